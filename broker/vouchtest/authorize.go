package vouchtest

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	maxURIBytes    = 2048
	maxStateChars  = 512
	maxScopeBytes  = 512
	challengeBytes = 43 // base64url of a SHA-256 sum
	maxCodes       = 1024

	codeLifetime     = 300 * time.Second
	fapiCodeLifetime = 60 * time.Second
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
	thumbprint  string // of the DPoP key that it is bound to; empty: to none
	prompt      prompt
	life        time.Duration
	authTime    time.Time // of the ceremony; zero if this server keeps it to itself
	expires     time.Time
	spent       bool
}

// An authorization is a request to the authorization endpoint whose client and
// redirect URI are proven, so that its answer may be redirected.
type authorization struct {
	redirectURI string
	state       string
	code        *code // unless refused
	refused     *oauthError
}

// serveAuthorize is the authorization endpoint (RFC 6749 section 4.1.1). The
// person touches the key when that is asked for, and approves.
func (v *Vouch) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	a, refused := v.readAuthorization(r.URL.RawQuery)
	if refused != nil {
		v.refuseOAuth(w, refused)
		return
	}
	target, err := url.Parse(a.redirectURI)
	if err != nil {
		v.refuseOAuth(w, badRequest("invalid_request", "the redirect URI is malformed"))
		return
	}
	answer := url.Values{"iss": {v.options.Issuer}} // RFC 9207
	if a.state != "" && len(a.state) <= maxStateChars {
		answer.Set("state", a.state)
	}
	if a.refused == nil {
		a.code.authTime, a.refused = v.signIn(w, r, a.code.prompt)
	}
	if a.refused != nil {
		answer.Set("error", a.refused.Code)
		answer.Set("error_description", a.refused.Description)
	} else {
		answer.Set("code", v.keep(a.code))
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

// readAuthorization reads a request. Until client and redirect URI are proven,
// nothing may be redirected: the endpoint would send people wherever a link
// says.
func (v *Vouch) readAuthorization(query string) (*authorization, *oauthError) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return nil, badRequest("invalid_request", "the query is malformed")
	}
	c := v.client(q.Get("client_id"))
	switch {
	case c == nil || len(q["client_id"]) != 1:
		return nil, badRequest("invalid_request", "the client is unknown")
	case v.latest() && q.Has("request_uri"):
		return v.takePushed(c, q)
	}
	a, refused := v.readDirect(c, q)
	// FAPI 2.0 section 5.3.2.2: a request that passed through the browser may
	// have been changed there.
	if refused == nil && c.fapi() {
		a.refused = badRequest("invalid_request", "this client must push its requests")
	}
	return a, refused
}

// readDirect reads a request from its parameters.
func (v *Vouch) readDirect(c *client, q url.Values) (*authorization, *oauthError) {
	uri := q.Get("redirect_uri")
	if len(q["redirect_uri"]) != 1 || !registeredRedirect(c.metadata.RedirectURIs, uri) {
		return nil, badRequest("invalid_request", "the redirect URI is not registered")
	}
	a := &authorization{redirectURI: uri, state: q.Get("state")}
	a.code, a.refused = v.grant(c, q)
	return a, nil
}

// grant decides about an authorization request whose client and redirect URI
// are good.
func (v *Vouch) grant(c *client, q url.Values) (*code, *oauthError) {
	bad := func(why string) (*code, *oauthError) { return nil, badRequest("invalid_request", why) }
	for _, name := range []string{
		"response_type", "response_mode", "scope", "state", "resource", "nonce",
		"code_challenge", "code_challenge_method", "request", "request_uri", "dpop_jkt", "prompt", "max_age",
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
	audience, ok := narrow(q.Get("resource"))
	if !ok {
		return nil, badRequest("invalid_target", "the resource is not acceptable")
	}
	prompt, ok := readPrompt(q)
	if !ok {
		return bad("prompt or max_age is malformed")
	}
	asked := &code{
		prompt:   prompt,
		clientID: c.id, redirectURI: q.Get("redirect_uri"), audience: audience,
		challenge: q.Get("code_challenge"), scope: q.Get("scope"), nonce: q.Get("nonce"),
		life: codeLifetime,
	}
	if v.latest() {
		asked.thumbprint = q.Get("dpop_jkt") // RFC 9449 section 10
	}
	if c.fapi() {
		asked.life = fapiCodeLifetime
	}
	return asked, nil
}

// keep makes a code for a request that the person has just approved.
func (v *Vouch) keep(g *code) string {
	now := v.now()
	g.id, g.expires = newUUID(now), now.Add(g.life)
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
func narrow(resource string) (audience string, ok bool) {
	if resource == "" {
		return "", true
	}
	return normalizeResource(resource)
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
func isUnreserved(s string) bool { return unreserved.MatchString(s) }

var unreserved = regexp.MustCompile(`^[\w.~-]*$`)
