package vouchtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxURIBytes    = 2048
	maxStateChars  = 512
	maxScopeBytes  = 512
	challengeBytes = 43 // base64url of a SHA-256 sum
	codeLifetime   = 300 * time.Second
	maxCodes       = 1024
)

// code is what an authorization code stands for. A spent one is kept until it
// expires, to recognise a replay.
type code struct {
	id          string
	clientID    string
	redirectURI string
	challenge   string
	audience    string // empty: not narrowed
	scope       string
	nonce       string
	authTime    time.Time
	expires     time.Time
	spent       bool
}

// serveAuthorize is the authorization endpoint (RFC 6749 section 4.1.1). The
// person has signed in with the key already, and approves.
func (v *Vouch) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		writeOAuthError(w, badRequest("invalid_request", "the query is malformed"))
		return
	}
	// Until client and redirect URI are proven, nothing may be redirected: the
	// endpoint would send people wherever a link says.
	c := v.client(q.Get("client_id"))
	if c == nil || len(q["client_id"]) != 1 {
		writeOAuthError(w, badRequest("invalid_request", "the client is unknown"))
		return
	}
	target, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || len(q["redirect_uri"]) != 1 || !registeredRedirect(c.RedirectURIs, q.Get("redirect_uri")) {
		writeOAuthError(w, badRequest("invalid_request", "the redirect URI is not registered"))
		return
	}
	answer := url.Values{"iss": {v.options.Issuer}} // RFC 9207
	if state := q.Get("state"); state != "" && len(state) <= maxStateChars {
		answer.Set("state", state)
	}
	if granted, refused := v.grant(c, q); refused != nil {
		answer.Set("error", refused.Code)
		answer.Set("error_description", refused.Description)
	} else {
		answer.Set("code", v.keep(granted))
	}
	query := target.Query()
	for name, values := range answer {
		query[name] = values
	}
	target.RawQuery = query.Encode()
	w.Header().Set("Location", target.String())
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusFound)
}

// grant decides about an authorization request whose client and redirect URI
// are good.
func (v *Vouch) grant(c *client, q url.Values) (*code, *oauthError) {
	bad := func(why string) (*code, *oauthError) { return nil, badRequest("invalid_request", why) }
	for _, name := range []string{
		"response_type", "response_mode", "scope", "state", "resource", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri",
	} {
		if len(q[name]) > 1 {
			return bad("a parameter is repeated")
		}
	}
	switch {
	case q.Get("request") != "":
		return nil, badRequest("request_not_supported", "request objects are not supported")
	case q.Get("request_uri") != "":
		return nil, badRequest("request_uri_not_supported", "pushed requests are not supported")
	case q.Get("response_type") == "":
		return bad("response_type is missing")
	case q.Get("response_type") != "code":
		return nil, badRequest("unsupported_response_type", "only code is supported")
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return bad("the response mode is not supported")
	case !slices.Contains(c.metadata.GrantTypes, grantCode):
		return nil, badRequest("unauthorized_client", "the grant is not registered")
	case len(q.Get("state")) > maxStateChars:
		return bad("the state is too long")
	// Without S256, whoever sees the redirect can redeem the code (RFC 7636).
	case q.Get("code_challenge_method") != "S256":
		return bad("code_challenge_method must be S256")
	case len(q.Get("code_challenge")) != challengeBytes || !isUnreserved(q.Get("code_challenge")):
		return bad("the code challenge is missing or malformed")
	case !scopesKnown(q.Get("scope")):
		return nil, badRequest("invalid_scope", "a scope is unknown")
	}
	audience, ok := narrow(c, q.Get("resource"))
	if !ok {
		return nil, badRequest("invalid_target", "the resource is not acceptable")
	}
	now := v.options.Now()
	return &code{
		id: newUUID(now), clientID: c.ID, redirectURI: q.Get("redirect_uri"), audience: audience,
		challenge: q.Get("code_challenge"), scope: q.Get("scope"), nonce: q.Get("nonce"),
		authTime: now, expires: now.Add(codeLifetime),
	}, nil
}

// keep stores what a new code stands for, and returns the code.
func (v *Vouch) keep(g *code) string {
	now := v.options.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.codes) >= maxCodes {
		for id, old := range v.codes {
			if old.expires.Before(now) {
				delete(v.codes, id)
			}
		}
	}
	text := newSecret()
	v.codes[digestOf(text)] = g
	return text
}

func scopesKnown(scope string) bool {
	if len(scope) > maxScopeBytes {
		return false
	}
	for _, one := range strings.Fields(scope) {
		if !slices.Contains(scopesSupported(), one) {
			return false
		}
	}
	return true
}

// narrow returns the audience that a resource stands for, empty when there is
// none (RFC 8707 section 2).
func narrow(c *client, resource string) (audience string, ok bool) {
	if resource == "" {
		return "", true
	}
	audience, ok = normalizeResource(resource)
	if !ok || len(c.ResourceURIs) == 0 {
		return audience, ok
	}
	allowed := slices.ContainsFunc(c.ResourceURIs, func(one string) bool {
		normal, ok := normalizeResource(one)
		return ok && normal == audience
	})
	return audience, allowed
}

// normalizeResource returns the WHATWG serialisation of a resource, as far as
// it differs from what people write: lower-case scheme and host, no default
// port, at least a slash as the path.
func normalizeResource(resource string) (string, bool) {
	u, err := url.Parse(resource)
	if err != nil || len(resource) > maxURIBytes || u.Scheme == "" || strings.Contains(resource, "#") {
		return "", false
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return resource, true
	}
	if u.Host == "" {
		return "", false
	}
	u.Host = strings.ToLower(u.Host)
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	u.Host = strings.TrimSuffix(u.Host, port)
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), true
}

// registeredRedirect compares redirect URIs as texts, except that http on
// loopback may use any port (RFC 8252 section 7.3).
func registeredRedirect(registered []string, asked string) bool {
	if slices.Contains(registered, asked) {
		return true
	}
	want, ok := withoutLoopbackPort(asked)
	return ok && slices.ContainsFunc(registered, func(one string) bool {
		have, ok := withoutLoopbackPort(one)
		return ok && have == want
	})
}

func withoutLoopbackPort(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || !isLoopback(u) {
		return "", false
	}
	// Only the port goes: userinfo, fragment and spelling still count.
	return strings.Replace(uri, u.Host, strings.TrimSuffix(u.Host, ":"+u.Port()), 1), true
}

func isLoopback(u *url.URL) bool {
	name := u.Hostname()
	return u.Scheme == "http" && (name == "127.0.0.1" || name == "::1" || name == "localhost")
}

// isUnreserved reports whether s has only the characters of PKCE values (RFC
// 7636 section 4.1).
func isUnreserved(s string) bool {
	for _, c := range []byte(s) {
		if !isWord(c) && c != '-' && c != '.' && c != '~' {
			return false
		}
	}
	return true
}

// isWord reports whether c is an ASCII letter, a digit or an underscore.
func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
