package vouchtest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"mcp-credential-broker/broker/vouchtest"
)

// FuzzSignatureFields: no header that a client makes up passes for a signature,
// and none brings the server down.
func FuzzSignatureFields(f *testing.F) {
	v, err := vouchtest.New(vouchtest.Options{Issuer: "http://vouch.example", Version: vouchtest.Latest})
	if err != nil {
		f.Fatal(err)
	}
	if err := v.AddClient(vouchtest.Client{ID: partyID, RedirectURIs: []string{testRedirect}}); err != nil {
		f.Fatal(err)
	}
	token := v.MintAccessToken(vouchtest.TokenOptions{ClientID: partyID})
	const good = `sig1=("@method" "@path");alg="ecdsa-p256-sha256";created=1;keyid="x";nonce="\"\\"`
	f.Add(good, "sig1=:AA==:", "sha-256=:AA==:")
	f.Add(`sig1=("@method" "@path"), sig2=()`, "sig1=:"+strings.Repeat("A", 86)+"==:", "")
	f.Add(`sig1=("@signature-params" "" "@query-param";name="x")`, "sig1=:", ":")
	f.Add(`sig1=(`, `sig1`, `sha-256=`)
	f.Add("*=()", "*=::", "a.b-c_*1=::, a=::")
	f.Add(strings.Replace(good, "=1;", "=9223372036854775808;", 1), "sig1=:AA==:", "sha-256=:AA==:, sha-256=:AA==:")
	f.Fuzz(func(t *testing.T, input, signature, digest string) {
		r := httptest.NewRequest(http.MethodGet, awsPath, nil)
		r.Header = http.Header{
			"Authorization": {"Bearer " + token}, "Signature-Input": {input}, "Signature": {signature}, "Content-Digest": {digest},
		}
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || w.Body.String() != "signature verification failed" {
			t.Errorf("status %d, body %s", w.Code, w.Body)
		}
	})
}

// FuzzProofAndAssertion: no JWT that a client makes up passes for a proof or an
// assertion.
func FuzzProofAndAssertion(f *testing.F) {
	v, err := vouchtest.New(vouchtest.Options{Issuer: "http://vouch.example", Version: vouchtest.Latest})
	if err != nil {
		f.Fatal(err)
	}
	const jwk = `{"kty":"EC","crv":"P-256","x":"","y":""}`
	for _, header := range []string{
		`{"alg":"ES256","typ":"dpop+jwt","jwk":` + jwk + `}`, `{"alg":"none","typ":"dpop+jwt","jwk":null}`,
		`{"alg":"EdDSA","typ":"dpop+jwt","jwk":{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}`,
		`{"alg":"PS256","typ":"dpop+jwt","jwk":{"kty":"RSA","n":"AA","e":"AQAB"}}`, `{"alg":"ES256","kid":"x"}`, `[]`, ``,
	} {
		f.Add(header, `{"iss":"fapi-client","sub":"fapi-client","aud":["x"],"jti":"1","iat":1,"exp":2e99,"htm":"POST","htu":"http://vouch.example/oauth/token"}`, "AA")
	}
	f.Fuzz(func(t *testing.T, header, claims, signature string) {
		text := base64URL(header) + "." + base64URL(claims) + "." + base64URL(signature)
		post := func(headers http.Header) *httptest.ResponseRecorder {
			form := url.Values{"grant_type": {"x"}, "client_assertion_type": {bearerType}, "client_assertion": {text}}
			r := httptest.NewRequest(http.MethodPost, "/oauth/token", strings.NewReader(form.Encode()))
			r.Header = headers
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			v.ServeHTTP(w, r)
			return w
		}
		if w := post(http.Header{"Dpop": {text}}); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "invalid_dpop_proof") {
			t.Errorf("proof: status %d, body %s", w.Code, w.Body)
		}
		if w := post(http.Header{}); w.Code != http.StatusUnauthorized {
			t.Errorf("assertion: status %d, body %s", w.Code, w.Body)
		}
	})
}

// FuzzClientKeys: what is registered as a JWK set is refused or kept, but never
// brings the server down.
func FuzzClientKeys(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`, `{"keys":[{"kty":"RSA","n":"AA","e":"AQAB"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`, `{"keys":[null]}`, `{"keys":{}}`, `[]`, `null`, `{"keys":[{"kty":"oct","k":"AA"}]}`,
	} {
		f.Add(seed)
	}
	v, err := vouchtest.New(vouchtest.Options{Issuer: "http://vouch.example", Version: vouchtest.Latest})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, keys string) {
		body := `{"token_endpoint_auth_method":"private_key_jwt","redirect_uris":["` + testRedirect + `"],"jwks":` + keys + `}`
		r := httptest.NewRequest(http.MethodPost, "/oauth/register", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		if w.Code != http.StatusCreated && w.Code != http.StatusBadRequest {
			t.Errorf("status %d, body %s", w.Code, w.Body)
		}
	})
}
