package vouchtest_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

func TestCodeFlow(t *testing.T) {
	s := startWithClient(t, vouchtest.Options{})
	q := authorization()
	q.Set("resource", "HTTPS://Broker.Example:443")
	back := authorize(t, s, q)
	if back.Get("state") != "s&t=1" || back.Get("iss") != s.VouchURL || back.Get("error") != "" {
		t.Fatalf("answer %v", back)
	}
	form := redemption(back.Get("code"))
	form.Set("resource", "https://broker.example/")
	r := postForm(t, s.VouchURL+"/oauth/token", form)
	answer := r.decode(t)
	if r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" ||
		answer["token_type"] != "Bearer" || answer["scope"] != "openid email" {
		t.Fatalf("status %d, answer %v", r.status, r.body)
	}
	token := answer["access_token"].(string)
	claims := payload(t, token, 1)
	person := vouchtest.DefaultPerson()
	for name, want := range map[string]any{
		"iss": s.VouchURL, "sub": person.Subject, "aud": "https://broker.example/", "client_id": testClient,
		"email": person.Email, "hardware_verified": true, "scope": "openid email",
	} {
		if claims[name] != want {
			t.Errorf("claim %s is %v, want %v", name, claims[name], want)
		}
	}
	if header := payload(t, token, 0); header["typ"] != "at+jwt" || header["alg"] != "ES256" {
		t.Errorf("header %v", header)
	}
	if id := payload(t, answer["id_token"].(string), 1); id["nonce"] != "n1" || id["aud"] != testClient || id["at_hash"] == nil {
		t.Errorf("ID token %v", id)
	}
}

// TestAccessTokenClaims holds the claims to exactly those of the contract.
func TestAccessTokenClaims(t *testing.T) {
	s := start(t, vouchtest.Options{})
	always := []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "hardware_verified"}
	ceremony := []string{"auth_time", "amr", "acr"}
	tests := []struct {
		name string
		o    vouchtest.TokenOptions
		want []string
	}{
		{"plain", vouchtest.TokenOptions{}, ceremony},
		{"e-mail", vouchtest.TokenOptions{Scope: "openid email"}, append([]string{"scope", "email", "email_verified"}, ceremony...)},
		{"bound", vouchtest.TokenOptions{Confirmation: map[string]any{"jkt": "x"}}, append([]string{"cnf"}, ceremony...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			claims := payload(t, s.Vouch.MintAccessToken(test.o), 1)
			want := slices.Concat(always, test.want)
			for _, name := range want {
				if _, ok := claims[name]; !ok {
					t.Errorf("claim %s is missing", name)
				}
			}
			if len(claims) != len(want) {
				t.Errorf("claims %v, want %v", claims, want)
			}
			if claims["nbf"] != claims["iat"] {
				t.Error("nbf differs from iat")
			}
		})
	}
}

func TestAuthorizeRefusals(t *testing.T) {
	s := startWithClient(t, vouchtest.Options{})
	set := func(pairs ...string) func(url.Values) {
		return func(q url.Values) {
			for i := 0; i < len(pairs); i += 2 {
				q.Del(pairs[i])
				if pairs[i+1] != "" {
					q.Set(pairs[i], pairs[i+1])
				}
			}
		}
	}
	tests := []struct {
		name     string
		change   func(url.Values)
		redirect bool // the error may travel to the redirect URI
		want     string
	}{
		{"unknown client", set("client_id", "mallory"), false, "invalid_request"},
		{"two clients", func(q url.Values) { q.Add("client_id", "other") }, false, "invalid_request"},
		{"no redirect URI", set("redirect_uri", ""), false, "invalid_request"},
		{"foreign redirect URI", set("redirect_uri", "https://evil.example/callback"), false, "invalid_request"},
		{"longer redirect URI", set("redirect_uri", testRedirect+"/.."), false, "invalid_request"},
		{"redirect URI with userinfo", set("redirect_uri", "https://client.example@evil.example/callback"), false, "invalid_request"},
		{"no response type", set("response_type", ""), true, "invalid_request"},
		{"implicit", set("response_type", "token"), true, "unsupported_response_type"},
		{"fragment mode", set("response_mode", "fragment"), true, "invalid_request"},
		{"no PKCE", set("code_challenge", "", "code_challenge_method", ""), true, "invalid_request"},
		{"plain PKCE", set("code_challenge_method", "plain"), true, "invalid_request"},
		{"PKCE without method", set("code_challenge_method", ""), true, "invalid_request"},
		{"challenge in plain base64", set("code_challenge", strings.Repeat("+", 43)), true, "invalid_request"},
		{"short challenge", set("code_challenge", "abc"), true, "invalid_request"},
		{"long state", set("state", strings.Repeat("s", 513)), true, "invalid_request"},
		{"unknown scope", set("scope", "openid admin"), true, "invalid_scope"},
		{"relative resource", set("resource", "/mcp"), true, "invalid_target"},
		{"resource with fragment", set("resource", "https://broker.example/mcp#x"), true, "invalid_target"},
		{"long resource", set("resource", "https://broker.example/"+strings.Repeat("x", 2048)), true, "invalid_target"},
		{"repeated resource", func(q url.Values) { q["resource"] = []string{"https://a.example", "https://b.example"} }, true, "invalid_request"},
		{"request object", set("request", "ey"), true, "request_not_supported"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			q := authorization()
			test.change(q)
			if !test.redirect {
				r := get(t, s.VouchURL+"/oauth/authorize?"+q.Encode())
				if r.status != http.StatusBadRequest || r.header.Get("Location") != "" || r.code(t) != test.want {
					t.Fatalf("status %d, Location %q, body %s", r.status, r.header.Get("Location"), r.body)
				}
				return
			}
			back := authorize(t, s, q)
			if back.Get("error") != test.want || back.Has("code") || back.Get("iss") != s.VouchURL {
				t.Fatalf("answer %v, want error %s", back, test.want)
			}
		})
	}
}

func TestLoopbackRedirect(t *testing.T) {
	s := start(t, vouchtest.Options{})
	err := s.Vouch.AddClient(vouchtest.Client{ID: testClient, RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]:5/cb?a=1"}})
	if err != nil {
		t.Fatal(err)
	}
	for uri, want := range map[string]bool{
		"http://127.0.0.1/cb":             true,
		"http://127.0.0.1:49152/cb":       true,
		"http://[::1]:6/cb?a=1":           true,
		"http://[::1]:6/cb":               false,
		"http://localhost:49152/cb":       false,
		"https://127.0.0.1/cb":            false,
		"http://127.0.0.1:49152/cb/":      false,
		"http://127.0.0.1:49152/cb#x":     false,
		"http://u@127.0.0.1:49152/cb":     false,
		"http://127.0.0.1.evil.test/cb":   false,
		"http://127.0.0.1:1@evil.test/cb": false,
	} {
		q := authorization()
		q.Set("redirect_uri", uri)
		r := get(t, s.VouchURL+"/oauth/authorize?"+q.Encode())
		if got := r.status == http.StatusFound; got != want {
			t.Errorf("%s: status %d", uri, r.status)
		}
	}
}

func TestTokenRefusals(t *testing.T) {
	now := newClock()
	s := startWithClient(t, vouchtest.Options{Now: now.Now})
	if err := s.Vouch.AddClient(vouchtest.Client{ID: "other", RedirectURIs: []string{testRedirect}}); err != nil {
		t.Fatal(err)
	}
	secretive := postJSON(t, s.VouchURL+"/oauth/register", `{"redirect_uris":["`+testRedirect+`"]}`).decode(t)
	id, secret := secretive["client_id"].(string), secretive["client_secret"].(string)
	basic := func(user, password string) []string {
		r := request(t, http.MethodPost, s.VouchURL, "")
		r.SetBasicAuth(user, password)
		return []string{"Authorization", r.Header.Get("Authorization")}
	}
	tests := []struct {
		name    string
		change  func(url.Values)
		headers []string
		age     time.Duration
		status  int
		want    string
	}{
		{"wrong verifier", func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 43)) }, nil, 0, 400, "invalid_grant"},
		{"short verifier", func(f url.Values) { f.Set("code_verifier", "x") }, nil, 0, 400, "invalid_request"},
		{"no verifier", func(f url.Values) { f.Del("code_verifier") }, nil, 0, 400, "invalid_request"},
		{"wrong redirect URI", func(f url.Values) { f.Set("redirect_uri", testRedirect+"2") }, nil, 0, 400, "invalid_grant"},
		{"unknown code", func(f url.Values) { f.Set("code", "x") }, nil, 0, 400, "invalid_grant"},
		{"code of another client", func(f url.Values) { f.Set("client_id", "other") }, nil, 0, 400, "invalid_grant"},
		{"old code", func(url.Values) {}, nil, 300 * time.Second, 400, "invalid_grant"},
		{"other resource", func(f url.Values) { f.Set("resource", "https://evil.example/") }, nil, 0, 400, "invalid_target"},
		{"unknown client", func(f url.Values) { f.Set("client_id", "mallory") }, nil, 0, 401, "invalid_client"},
		{"secret of a public client", func(f url.Values) { f.Set("client_secret", "x") }, nil, 0, 401, "invalid_client"},
		{"no secret", func(f url.Values) { f.Set("client_id", id) }, nil, 0, 401, "invalid_client"},
		{"wrong secret", func(f url.Values) { f.Set("client_id", id); f.Set("client_secret", "x") }, nil, 0, 401, "invalid_client"},
		{"wrong basic secret", func(f url.Values) { f.Del("client_id") }, basic(id, "x"), 0, 401, "invalid_client"},
		{"two secrets", func(f url.Values) { f.Set("client_id", id); f.Set("client_secret", secret) }, basic(id, secret), 0, 401, "invalid_client"},
		{"two clients", func(url.Values) {}, basic(id, secret), 0, 401, "invalid_client"},
		{"no grant", func(f url.Values) { f.Del("grant_type") }, nil, 0, 400, "invalid_request"},
		{"refresh token", func(f url.Values) { f.Set("grant_type", "refresh_token") }, nil, 0, 400, "unsupported_grant_type"},
		{"repeated code", func(f url.Values) { f.Add("code", "x") }, nil, 0, 400, "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			form := redemption(authorize(t, s, authorization()).Get("code"))
			test.change(form)
			now.advance(test.age)
			r := postForm(t, s.VouchURL+"/oauth/token", form, test.headers...)
			if r.status != test.status || r.code(t) != test.want {
				t.Fatalf("status %d, body %s, want %d %s", r.status, r.body, test.status, test.want)
			}
		})
	}
	r := postJSON(t, s.VouchURL+"/oauth/token", `{}`)
	if r.status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON body: status %d", r.status)
	}
}

func TestReplayedCodeEndsItsTokens(t *testing.T) {
	s := startWithClient(t, vouchtest.Options{})
	bystander := signIn(t, s, authorization())["access_token"].(string)
	form := redemption(authorize(t, s, authorization()).Get("code"))
	token := postForm(t, s.VouchURL+"/oauth/token", form).decode(t)["access_token"].(string)
	if r := get(t, s.VouchURL+awsPath, bearer(token)...); r.status != http.StatusOK {
		t.Fatalf("before the replay: status %d", r.status)
	}
	if r := postForm(t, s.VouchURL+"/oauth/token", form); r.code(t) != "invalid_grant" {
		t.Fatalf("replay: %s", r.body)
	}
	if r := get(t, s.VouchURL+awsPath, bearer(token)...); r.status != http.StatusUnauthorized {
		t.Errorf("after the replay: status %d", r.status)
	}
	if r := get(t, s.VouchURL+awsPath, bearer(bystander)...); r.status != http.StatusOK {
		t.Errorf("another code's token: status %d", r.status)
	}
}

func TestRevoke(t *testing.T) {
	s := startWithClient(t, vouchtest.Options{})
	if err := s.Vouch.AddClient(vouchtest.Client{ID: "other", RedirectURIs: []string{testRedirect}}); err != nil {
		t.Fatal(err)
	}
	token := signIn(t, s, authorization())["access_token"].(string)
	status := func() int { return get(t, s.VouchURL+awsPath, bearer(token)...).status }
	revoke := func(client, token string) int {
		return postForm(t, s.VouchURL+"/oauth/revoke", url.Values{"client_id": {client}, "token": {token}}).status
	}
	if got := revoke("other", token); got != http.StatusOK || status() != http.StatusOK {
		t.Errorf("another client ended the token (status %d)", got)
	}
	if got := revoke("mallory", token); got != http.StatusUnauthorized {
		t.Errorf("unknown client: status %d", got)
	}
	if got := revoke(testClient, "unknown"); got != http.StatusOK {
		t.Errorf("unknown token: status %d", got)
	}
	if got := revoke(testClient, token); got != http.StatusOK || status() != http.StatusUnauthorized {
		t.Errorf("the token lives on (status %d)", got)
	}
}
