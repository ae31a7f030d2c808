package vouchtest_test

import (
	"net/http"
	"strings"
	"testing"

	"mcp-credential-broker/broker/vouchtest"
)

func TestRegister(t *testing.T) {
	s := start(t, vouchtest.Options{})
	at := s.VouchURL + "/oauth/register"
	public := `"redirect_uris":["` + testRedirect + `"],"token_endpoint_auth_method":"none"`
	tests := []struct {
		name, body string
		headers    []string
		status     int
		want       string
	}{
		{"public client", `{` + public + `,"client_name":"x","unknown":1}`, nil, 201, ""},
		{"secret by default", `{"redirect_uris":["http://localhost/cb","cursor://x/y"]}`, nil, 201, ""},
		{"good owner", `{` + public + `}`, bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{})), 201, ""},
		{"bad owner", `{` + public + `}`, bearer("x"), 401, "invalid_token"},
		{"no redirect URI", `{}`, nil, 400, "invalid_redirect_uri"},
		{"plain http", `{"redirect_uris":["http://client.example/cb"]}`, nil, 400, "invalid_redirect_uri"},
		{"fragment", `{"redirect_uris":["https://client.example/cb#x"]}`, nil, 400, "invalid_redirect_uri"},
		{"script", `{"redirect_uris":["javascript:alert(1)"]}`, nil, 400, "invalid_redirect_uri"},
		{"too many", `{"redirect_uris":["` + strings.Repeat(testRedirect+`","`, 25) + `https://a.example/"]}`, nil, 400, "invalid_redirect_uri"},
		{"implicit", `{` + public + `,"grant_types":["implicit"]}`, nil, 400, "invalid_client_metadata"},
		{"token response", `{` + public + `,"response_types":["token"]}`, nil, 400, "invalid_client_metadata"},
		{"private_key_jwt without support", `{"redirect_uris":["` + testRedirect + `"],"token_endpoint_auth_method":"private_key_jwt"}`, nil, 400, "invalid_client_metadata"},
		{"both key forms", `{` + public + `,"jwks":{"keys":[{"kty":"EC"}]},"jwks_uri":"https://a.example/"}`, nil, 400, "invalid_client_metadata"},
		{"private key", `{` + public + `,"jwks":{"keys":[{"kty":"EC","d":"x"}]}}`, nil, 400, "invalid_client_metadata"},
		{"NUL", `{` + public + `,"client_name":"\u0000"}`, nil, 400, "invalid_client_metadata"},
		{"not JSON", `x`, nil, 400, "invalid_client_metadata"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := postJSON(t, at, test.body, test.headers...)
			if r.status != test.status || r.code(t) != test.want {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			if r.status != http.StatusCreated {
				return
			}
			c := r.decode(t)
			_, secret := c["client_secret"]
			_, expiry := c["client_secret_expires_at"]
			public := c["token_endpoint_auth_method"] == "none"
			if secret == public || expiry == public {
				t.Errorf("a public client (%v) with a secret, or another without: %s", public, r.body)
			}
			if c["redirect_uris"] == nil || strings.Contains(r.body, "null") {
				t.Errorf("something is missing or null: %s", r.body)
			}
			id, _ := c["client_id"].(string)
			if uri := c["registration_client_uri"]; id == "" || uri != at+"/"+id {
				t.Errorf("the client %q is managed at %v", id, uri)
			}
		})
	}
}

func TestRegistrationManagement(t *testing.T) {
	s := start(t, vouchtest.Options{})
	register := func() map[string]any {
		return postJSON(t, s.VouchURL+"/oauth/register", `{"redirect_uris":["`+testRedirect+`"]}`).decode(t)
	}
	token := func(c map[string]any) []string { return bearer(c["registration_access_token"].(string)) }
	uri := func(c map[string]any) string { return c["registration_client_uri"].(string) }
	a, b := register(), register()

	if r := get(t, uri(a), token(a)...); r.status != http.StatusOK || r.decode(t)["client_id"] != a["client_id"] {
		t.Fatalf("read: status %d, body %s", r.status, r.body)
	}
	put := send(t, request(t, http.MethodPut, uri(a), `{"redirect_uris":["https://new.example/"]}`,
		append(token(a), "Content-Type", "application/json")...))
	if put.status != http.StatusOK || put.decode(t)["registration_access_token"] == a["registration_access_token"] {
		t.Fatalf("replace: status %d, body %s", put.status, put.body)
	}
	if r := get(t, uri(a), token(a)...); r.status != http.StatusUnauthorized {
		t.Errorf("old registration token: status %d", r.status)
	}
	next := put.decode(t)
	q := authorization()
	q.Set("client_id", a["client_id"].(string))
	if r := get(t, s.VouchURL+"/oauth/authorize?"+q.Encode()); r.status != http.StatusBadRequest {
		t.Errorf("replaced redirect URI: status %d", r.status)
	}
	// A token used for another client is void afterwards, for its own too.
	if r := get(t, uri(next), token(b)...); r.status != http.StatusUnauthorized {
		t.Errorf("token of another client: status %d", r.status)
	}
	if r := get(t, uri(b), token(b)...); r.status != http.StatusUnauthorized {
		t.Errorf("leaked token: status %d", r.status)
	}
}

func TestUnregisteredGrant(t *testing.T) {
	s := start(t, vouchtest.Options{})
	r := postJSON(t, s.VouchURL+"/oauth/register",
		`{"grant_types":["client_credentials"],"response_types":[],"token_endpoint_auth_method":"client_secret_post"}`)
	c := r.decode(t)
	form := redemption("x")
	form.Set("client_id", c["client_id"].(string))
	form.Set("client_secret", c["client_secret"].(string))
	if r := postForm(t, s.VouchURL+"/oauth/token", form); r.code(t) != "unauthorized_client" {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
	// The right secret, by the method that the client did not register.
	basic := request(t, http.MethodPost, s.VouchURL+"/oauth/token", "grant_type=x", "Content-Type", "application/x-www-form-urlencoded")
	basic.SetBasicAuth(form.Get("client_id"), form.Get("client_secret"))
	if r := send(t, basic); r.code(t) != "invalid_client" {
		t.Errorf("other method: status %d, body %s", r.status, r.body)
	}
}
