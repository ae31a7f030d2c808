package vouchtest

import (
	"encoding/json"
	"net/url"
	"slices"
)

const (
	maxRedirectURIs = 25
	maxContacts     = 10
	maxRequestURIs  = 10
)

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
	AuthAlg       string          `json:"token_endpoint_auth_signing_alg,omitempty"`
	DPoPBound     bool            `json:"dpop_bound_access_tokens,omitempty"`
	MTLSBound     bool            `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	keys []clientKey // of JWKS, once checked
}

func fillRegistration(m *registration) {
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
		if m.DPoPBound {
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
	case !slices.Contains(v.authMethods(), m.AuthMethod):
		return bad("the token endpoint auth method is not available")
	case m.IDTokenAlg != "ES256" && m.IDTokenAlg != "RS256":
		return bad("the ID token algorithm is not available")
	case len(m.Contacts) > maxContacts, len(m.RequestURIs) > maxRequestURIs:
		return bad("too many contacts or request URIs")
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
	return checkKeys(m)
}

// checkKeys judges the keys of client metadata, and what may be asked of a
// client because of them.
func checkKeys(m *registration) *oauthError {
	bad := func(why string) *oauthError { return badRequest("invalid_client_metadata", why) }
	if m.JWKS != nil {
		keys, err := parseJWKS(m.JWKS)
		if err != nil {
			return bad("jwks is not a set of public keys")
		}
		m.keys = keys
	}
	assertion := m.AuthMethod == authPrivateKey
	switch {
	case m.JWKS != nil && m.JWKSURI != "":
		return bad("jwks and jwks_uri exclude each other")
	case m.MTLSBound:
		return bad("mutual TLS is not available")
	case m.DPoPBound != assertion:
		return bad("private_key_jwt and sender-constrained tokens go together")
	case m.DPoPBound && m.IDTokenAlg != "ES256":
		return bad("the ID tokens of this client must be ES256")
	case m.AuthAlg != "" && !assertion:
		return bad("an assertion algorithm without private_key_jwt")
	case !assertion:
		return nil
	case m.JWKS == nil:
		return bad("private_key_jwt needs jwks; this server fetches no jwks_uri")
	case m.AuthAlg != "" && m.AuthAlg != clientAlg, !slices.ContainsFunc(m.keys, func(k clientKey) bool { return k.signs() }):
		return bad("no key fits an assertion algorithm")
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
