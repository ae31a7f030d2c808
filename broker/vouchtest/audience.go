package vouchtest

import (
	"net/url"
	"strings"
)

// covers reports whether a token's audience admits it to a path of this server:
// it is the client's own id, or a URL of this origin whose path is the request
// path or a parent of it.
func (v *Vouch) covers(claims *accessClaims, path string) bool {
	if len(claims.Audience) != 1 {
		return false
	}
	audience := claims.Audience[0]
	if audience == claims.ClientID {
		return true
	}
	u, ok := v.ownResource(audience)
	if !ok {
		return false
	}
	// On whole segments: a token for /v1/credentials/ssh is not one for
	// /v1/credentials/ssh-keys.
	parent := strings.TrimSuffix(u.Path, "/")
	return path == parent || strings.HasPrefix(path, parent+"/")
}

// ownResource parses a resource of this server.
func (v *Vouch) ownResource(resource string) (*url.URL, bool) {
	u, err := url.Parse(resource)
	if err != nil || u.RawQuery != "" || u.ForceQuery || u.User != nil || strings.Contains(resource, "#") {
		return nil, false
	}
	own, err := url.Parse(v.options.Issuer)
	if err != nil {
		return nil, false
	}
	have, ok1 := originOf(u)
	want, ok2 := originOf(own)
	return u, ok1 && ok2 && have == want
}
