package vouchtest

import (
	"maps"
	"net/http"
)

// serveDiscovery serves the metadata of RFC 8414 and OpenID Connect Discovery.
// It advertises what this server does, which before Latest is nothing that needs a
// client's key.
func (v *Vouch) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	issuer := v.options.Issuer
	metadata := map[string]any{
		"issuer":                 issuer,
		"authorization_endpoint": issuer + "/oauth/authorize",
		"token_endpoint":         issuer + "/oauth/token",
		"jwks_uri":               issuer + "/oauth/jwks",
		"revocation_endpoint":    issuer + "/oauth/revoke",
		"registration_endpoint":  issuer + "/oauth/register",

		"scopes_supported":                           scopesSupported(),
		"response_types_supported":                   []string{"code"},
		"response_modes_supported":                   []string{"query"},
		"grant_types_supported":                      []string{grantCode},
		"subject_types_supported":                    []string{"public"},
		"code_challenge_methods_supported":           []string{"S256"},
		"id_token_signing_alg_values_supported":      []string{"RS256", "ES256"},
		"token_endpoint_auth_methods_supported":      v.authMethods(),
		"revocation_endpoint_auth_methods_supported": v.authMethods(),
		"acr_values_supported":                       []string{acrHardware},

		"require_pushed_authorization_requests": false,
		"require_signed_request_object":         false,
		"request_parameter_supported":           false,
		"request_uri_parameter_supported":       false,
		"claims_parameter_supported":            false,
		"resource_indicators_supported":         true,
		"claims_supported": []string{
			"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash",
			"email", "email_verified", "amr", "acr",
		},
		"authorization_response_iss_parameter_supported": true,
	}
	if v.latest() {
		maps.Copy(metadata, map[string]any{
			"pushed_authorization_request_endpoint":                 issuer + "/oauth/par",
			"request_uri_parameter_supported":                       true,
			"require_request_uri_registration":                      false,
			"token_endpoint_auth_signing_alg_values_supported":      []string{clientAlg},
			"revocation_endpoint_auth_signing_alg_values_supported": []string{clientAlg},
			"dpop_signing_alg_values_supported":                     []string{clientAlg},
		})
	}
	cacheable(w)
	writeJSON(w, http.StatusOK, metadata)
}

// serveProtectedResource describes the credential API (RFC 9728).
func (v *Vouch) serveProtectedResource(w http.ResponseWriter, _ *http.Request) {
	cacheable(w)
	writeJSON(w, http.StatusOK, map[string]any{
		"resource":                          v.options.Issuer,
		"authorization_servers":             []string{v.options.Issuer},
		"scopes_supported":                  scopesSupported(),
		"bearer_methods_supported":          []string{"header"},
		"dpop_bound_access_tokens_required": false,
	})
}

func scopesSupported() []string { return []string{"openid", "email"} }

func (v *Vouch) authMethods() []string {
	methods := []string{authNone, authBasic, authPost}
	if v.latest() {
		methods = append(methods, authPrivateKey)
	}
	return methods
}
