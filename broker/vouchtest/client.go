package vouchtest

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	grantCode = "authorization_code"

	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"

	maxRedirectURIs = 25
	maxContacts     = 10
	maxRequestURIs  = 10
)

var errClient = errors.New("client is not usable")

// A Client is an OAuth client that the server knows from the start, as one made
// by an administrator.
type Client struct {
	ID string
	// Secret is empty for a public client.
	Secret       string
	RedirectURIs []string
	// ResourceURIs bound what the client may narrow its tokens to; none means
	// everything.
	ResourceURIs []string
}

// client is a registered client.
type client struct {
	Client
	metadata          registration
	idTokenAlg        string
	registrationToken string
	issued            time.Time
}

// registration is client metadata (RFC 7591 section 2). Unknown members are
// ignored.
type registration struct {
	RedirectURIs  []string        `json:"redirect_uris,omitempty"`
	GrantTypes    []string        `json:"grant_types"`
	ResponseTypes []string        `json:"response_types"`
	AuthMethod    string          `json:"token_endpoint_auth_method"`
	ClientName    string          `json:"client_name,omitempty"`
	ClientURI     string          `json:"client_uri,omitempty"`
	Scope         string          `json:"scope,omitempty"`
	Contacts      []string        `json:"contacts,omitempty"`
	RequestURIs   []string        `json:"request_uris,omitempty"`
	JWKS          json.RawMessage `json:"jwks,omitempty"`
	JWKSURI       string          `json:"jwks_uri,omitempty"`
	IDTokenAlg    string          `json:"id_token_signed_response_alg"`
	DPoPBound     bool            `json:"dpop_bound_access_tokens,omitempty"`
}

// AddClient registers a client for the authorization code grant.
func (v *Vouch) AddClient(c Client) error {
	m := registration{RedirectURIs: c.RedirectURIs, AuthMethod: authBasic}
	if c.Secret == "" {
		m.AuthMethod = authNone
	}
	v.fillRegistration(&m)
	if refused := v.checkRegistration(&m); refused != nil {
		return fmt.Errorf("%w: %s", errClient, refused.Description)
	}
	if c.ID == "" {
		return fmt.Errorf("%w: no id", errClient)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.clients[c.ID] != nil {
		return fmt.Errorf("%w: the id is taken", errClient)
	}
	v.clients[c.ID] = &client{Client: c, metadata: m, idTokenAlg: m.IDTokenAlg, issued: v.options.Now()}
	return nil
}

func (v *Vouch) client(id string) *client {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clients[id]
}

func (v *Vouch) fillRegistration(m *registration) {
	if m.GrantTypes == nil {
		m.GrantTypes = []string{grantCode}
	}
	if m.ResponseTypes == nil {
		m.ResponseTypes = []string{"code"}
	}
	if m.AuthMethod == "" {
		m.AuthMethod = authBasic
	}
	if m.IDTokenAlg == "" {
		m.IDTokenAlg = "RS256"
		if v.options.NoRSA {
			m.IDTokenAlg = "ES256"
		}
	}
}

func (v *Vouch) checkRegistration(m *registration) *oauthError {
	bad := func(why string) *oauthError { return badRequest("invalid_client_metadata", why) }
	for _, grant := range m.GrantTypes {
		if !slices.Contains(registrableGrants(), grant) {
			return bad("a grant type is not allowed")
		}
	}
	withCode := slices.Contains(m.GrantTypes, grantCode)
	switch {
	case withCode && !slices.Equal(m.ResponseTypes, []string{"code"}),
		!withCode && len(m.ResponseTypes) > 0:
		return bad("the response types do not fit the grant types")
	case !slices.Contains(authMethods(), m.AuthMethod), m.DPoPBound:
		return bad("the token endpoint auth method is not available")
	case m.IDTokenAlg != "ES256" && (m.IDTokenAlg != "RS256" || v.options.NoRSA):
		return bad("the ID token algorithm is not available")
	case len(m.Contacts) > maxContacts, len(m.RequestURIs) > maxRequestURIs:
		return bad("too many contacts or request URIs")
	case m.JWKS != nil && m.JWKSURI != "":
		return bad("jwks and jwks_uri exclude each other")
	case m.JWKS != nil && !publicKeys(m.JWKS):
		return bad("jwks is not a set of public keys")
	case !allHTTPS(m.RequestURIs), m.JWKSURI != "" && !allHTTPS([]string{m.JWKSURI}):
		return bad("an address is not https")
	case withCode && len(m.RedirectURIs) == 0, len(m.RedirectURIs) > maxRedirectURIs:
		return badRequest("invalid_redirect_uri", "1 to 25 redirect URIs are needed")
	}
	for _, uri := range m.RedirectURIs {
		if !redirectable(uri) {
			return badRequest("invalid_redirect_uri", "a redirect URI is not allowed")
		}
	}
	return nil
}

func registrableGrants() []string {
	const urn = "urn:ietf:params:oauth:grant-type:"
	return []string{
		grantCode, "client_credentials", "refresh_token",
		urn + "device_code", urn + "token-exchange", urn + "fido2-assertion",
	}
}

// publicKeys reports whether text is a JWK set that gives no private key away.
func publicKeys(text json.RawMessage) bool {
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil || len(set.Keys) == 0 {
		return false
	}
	for _, key := range set.Keys {
		_, private := key["d"]
		if _, symmetric := key["k"]; private || symmetric || key["kty"] == nil {
			return false
		}
	}
	return true
}

func allHTTPS(uris []string) bool {
	for _, uri := range uris {
		if u, err := url.Parse(uri); err != nil || u.Scheme != "https" || u.Host == "" {
			return false
		}
	}
	return true
}

// redirectable reports whether a redirect URI may be registered: https, http on
// loopback, or an application's own scheme. A fragment would swallow the
// answer; userinfo hides the host; a script scheme runs in the browser.
func redirectable(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxURIBytes || u.Fragment != "" || u.User != nil {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Host != ""
	case "http":
		return isLoopback(u)
	case "", "javascript", "data", "vbscript", "file", "blob", "about":
		return false
	}
	return true
}

// authenticateClient finds the client of a request to the token or revocation
// endpoint, by the method that it registered and by no other (RFC 6749 section
// 2.3).
func (v *Vouch) authenticateClient(r *http.Request, form url.Values) (*client, *oauthError) {
	invalid := &oauthError{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	method := authNone
	if secret != "" {
		method = authPost
	}
	if r.Header.Get("Authorization") != "" {
		user, password, ok := r.BasicAuth()
		basicID, err1 := url.QueryUnescape(user)
		basicSecret, err2 := url.QueryUnescape(password)
		if !ok || err1 != nil || err2 != nil || secret != "" || id != "" && id != basicID {
			return nil, invalid
		}
		id, secret, method = basicID, basicSecret, authBasic
	}
	c := v.client(id)
	if c == nil || !methodFits(c, method) ||
		subtle.ConstantTimeCompare([]byte(secret), []byte(c.Secret)) != 1 {
		return nil, invalid
	}
	return c, nil
}

// methodFits lets the clients that an administrator made use either form of
// their secret; registered ones said which.
func methodFits(c *client, method string) bool {
	if c.registrationToken == "" && c.Secret != "" {
		return method == authBasic || method == authPost
	}
	return method == c.metadata.AuthMethod
}
