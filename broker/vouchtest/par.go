package vouchtest

import (
	"net/http"
	"net/url"
	"time"
)

const (
	requestURIPrefix = "urn:ietf:params:oauth:request_uri:"
	requestURILife   = 60 * time.Second
	maxPushed        = 1024
)

// pushed is an authorization request that waits for its person (RFC 9126).
type pushed struct {
	authorization
	clientID string
	expires  time.Time
}

// servePushed is the pushed authorization request endpoint.
func (v *Vouch) servePushed(w http.ResponseWriter, r *http.Request) {
	a, refused := v.readPushed(r)
	if refused != nil {
		v.refuseOAuth(w, refused)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{
		"request_uri": v.keepPushed(a), "expires_in": int64(requestURILife.Seconds()),
	})
}

func (v *Vouch) readPushed(r *http.Request) (*authorization, *oauthError) {
	request, refused := v.readClientRequest(r)
	if refused != nil {
		return nil, refused
	}
	form := request.form
	if form.Has("request_uri") { // RFC 9126 section 2.1
		return nil, badRequest("invalid_request", "a pushed request cannot name another")
	}
	form.Set("client_id", request.client.id) // a client that signed its name need not repeat it
	a, refused := v.readDirect(request.client, form)
	if refused == nil {
		refused = a.refused
	}
	if refused != nil {
		return nil, refused
	}
	// The code shall be worth nothing without the key of this proof (RFC 9449
	// section 10.1).
	if asked := a.code.thumbprint; asked != "" && request.thumbprint != "" && asked != request.thumbprint {
		return nil, badRequest(codeBadProof, "dpop_jkt names another key")
	}
	if request.thumbprint != "" {
		a.code.thumbprint = request.thumbprint
	}
	return a, nil
}

// keepPushed stores a request and returns its URI.
func (v *Vouch) keepPushed(a *authorization) string {
	now := v.now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.pushed) >= maxPushed {
		for id, old := range v.pushed {
			if old.expires.Before(now) {
				delete(v.pushed, id)
			}
		}
	}
	uri := requestURIPrefix + newSecret()
	v.pushed[digestOf(uri)] = &pushed{*a, a.code.clientID, now.Add(requestURILife)}
	return uri
}

// takePushed returns the request behind a request_uri, once. Another client's
// looks unknown and stays good.
func (v *Vouch) takePushed(c *client, q url.Values) (*authorization, *oauthError) {
	// What stands beside it was not authenticated: a link could change it.
	for name := range q {
		if name != "client_id" && name != "request_uri" {
			return nil, badRequest("invalid_request", "a pushed request stands alone")
		}
	}
	unknown := badRequest("invalid_request_uri", "the request URI is unknown or was used")
	if len(q["request_uri"]) != 1 {
		return nil, unknown
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	id := digestOf(q.Get("request_uri"))
	p := v.pushed[id]
	if p == nil || p.clientID != c.id {
		return nil, unknown
	}
	delete(v.pushed, id)
	if !v.now().Before(p.expires) {
		return nil, unknown
	}
	return &p.authorization, nil
}
