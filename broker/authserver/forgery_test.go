package authserver_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/secret"
)

// TestTokenForgeries: each fault is found before Vouch's code is spent, so that
// the rightful client's request still works afterwards.
func TestTokenForgeries(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	other := f.register("Other", "https://app.example/cb")
	b := f.newBrowser()
	code := b.signIn(a)
	consent, _ := b.open(f.query(a))
	minted := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))).json(t)["access_token"].(string)
	redeems := f.vouch.redeems

	set := func(name, value string) func(url.Values) { return func(q url.Values) { q.Set(name, value) } }
	tests := []struct {
		name   string
		change func(url.Values)
		status int
		code   string
	}{
		{"other client", set("client_id", other.id), 400, "invalid_grant"},
		{"client by a URL", set("client_id", "https://app.example/client.json"), 400, "invalid_grant"},
		{"unknown client", set("client_id", "nobody"), 401, "invalid_client"},
		{"client at an address", set("client_id", "https://127.0.0.1/client.json"), 401, "invalid_client"},
		{"access token as client", set("client_id", minted), 401, "invalid_client"},
		{"other redirect URI", set("redirect_uri", "https://app.example/cb2"), 400, "invalid_grant"},
		{"redirect URI in capitals", set("redirect_uri", "https://APP.example/cb"), 400, "invalid_grant"},
		{"other verifier", set("code_verifier", strings.Repeat("x", 52)), 400, "invalid_grant"},
		{"challenge as verifier", set("code_verifier", f.query(a).Get("code_challenge")), 400, "invalid_grant"},
		{"access token as code", set("code", minted), 400, "invalid_grant"},
		{"consent form as code", set("code", consent), 400, "invalid_grant"},
		{"Vouch's own code", set("code", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"), 400, "invalid_grant"},
		{"code with its first character changed", set("code", swap(code, 0)), 400, "invalid_grant"},
		{"code with its last character changed", set("code", swap(code, len(code)-1)), 400, "invalid_grant"},
		{"code with a character behind", set("code", code+"A"), 400, "invalid_grant"},
		{"right redirect URI and another", func(q url.Values) { q.Add("redirect_uri", "https://evil.example/cb") }, 400, "invalid_request"},
		{"right resource and another", func(q url.Values) { q["resource"] = []string{f.Config.Resource, "https://other.example/mcp"} }, 400, "invalid_target"},
		{"secret twice", func(q url.Values) { q["client_secret"] = []string{"x", "y"} }, 400, "invalid_request"},
		{"no code", func(q url.Values) { q.Del("code") }, 400, "invalid_request"},
		{"no client", func(q url.Values) { q.Del("client_id") }, 400, "invalid_request"},
		{"no verifier", func(q url.Values) { q.Del("code_verifier") }, 400, "invalid_request"},
		{"no grant type", func(q url.Values) { q.Del("grant_type") }, 400, "invalid_request"},
		{"other grant type", set("grant_type", "refresh_token"), 400, "unsupported_grant_type"},
		{"other grant type with its own parameters", func(q url.Values) {
			clear(q)
			q.Set("grant_type", "refresh_token")
			q.Set("refresh_token", "x")
		}, 400, "unsupported_grant_type"},
		{"other resource", set("resource", "https://other.example/mcp"), 400, "invalid_target"},
		{"two codes", func(q url.Values) { q.Add("code", code) }, 400, "invalid_request"},
		{"two verifiers", func(q url.Values) { q.Add("code_verifier", "x") }, 400, "invalid_request"},
		{"client secret", set("client_secret", "x"), 401, "invalid_client"},
		{"client assertion", set("client_assertion", "x"), 401, "invalid_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := tokenForm(a, code)
			tt.change(q)
			r := f.post(authserver.TokenPath, q)
			f.wantError(r, tt.status, tt.code)
			if f.vouch.redeems != redeems {
				t.Fatal("Vouch's code was spent")
			}
			if r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", r.header)
			}
		})
	}
	client, token := f.newBrowser(), f.url+authserver.TokenPath
	header := formHeader("")
	header.Set("Authorization", "Basic eDp5")
	r := client.do("POST", token, header, tokenForm(a, code).Encode())
	f.wantError(r, 401, "invalid_client")
	if !strings.HasPrefix(r.header.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("no challenge: %v", r.header)
	}
	f.wantError(client.do("POST", token+"?"+tokenForm(a, code).Encode(), formHeader(""), ""), 400, "invalid_request")
	f.wantError(client.do("POST", token, http.Header{"Content-Type": {"application/json"}}, `{"code":"x"}`), 400, "invalid_request")
	f.wantError(client.do("POST", token, formHeader(""), "%zz"), 400, "invalid_request")
	for coding, status := range map[string]int{"gzip": 415, "br": 415, "GZIP, identity": 415, "identity": 400} {
		header := formHeader("")
		header.Set("Content-Encoding", coding)
		f.wantError(client.do("POST", token, header, "x=y"), status, "invalid_request")
	}
	f.wantError(client.do("POST", token, formHeader(""), "x="+strings.Repeat("x", 16<<10)), 400, "invalid_request")

	form := tokenForm(a, code)
	form.Del("redirect_uri") // OAuth 2.1: PKCE binds
	form.Set("resource", f.Config.Resource)
	if r := f.post(authserver.TokenPath, form); r.status != 200 {
		t.Fatalf("the rightful client: %s", r.body)
	}
	f.wantError(f.post(authserver.TokenPath, form), 400, "invalid_grant") // replayed

	code = f.newBrowser().signIn(a)
	f.wait(time.Minute)
	redeems = f.vouch.redeems
	f.wantError(f.post(authserver.TokenPath, tokenForm(a, code)), 400, "invalid_grant")
	if f.vouch.redeems != redeems {
		t.Error("an expired code reached Vouch")
	}
	f.noSecrets(code, minted, a.verifier)
}

// TestVerifierForm: a verifier outside RFC 7636 fits no code, although its hash
// is the challenge.
func TestVerifierForm(t *testing.T) {
	f := newFixture(t)
	for name, verifier := range map[string]string{"short": strings.Repeat("x", 42), "long": strings.Repeat("x", 129), "other characters": strings.Repeat("x", 43) + "+"} {
		a := f.newApp()
		a.verifier = verifier
		code := f.newBrowser().signIn(a)
		if r := f.post(authserver.TokenPath, tokenForm(a, code)); r.status != 400 || r.json(t)["error"] != "invalid_grant" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

// swap changes one character of a sealed value.
func swap(s string, i int) string {
	c := byte('A')
	if s[i] == c {
		c = 'B'
	}
	if i == len(s)-1 { // all bits of the last character may not count
		c = s[i] ^ 1
	}
	return s[:i] + string(c) + s[i+1:]
}

// TestAccessTokenForgeries: nothing opens but what was minted, while it lives.
func TestAccessTokenForgeries(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	text := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))).json(t)["access_token"].(string)
	open := func(text string, at time.Time) error {
		_, err := authserver.OpenAccessToken(f.Sealer, secret.New(text), at)
		return err
	}
	now := f.clock()
	if err := open(text, now.Add(8*time.Hour-time.Second)); err != nil {
		t.Fatal(err)
	}
	for i := range text {
		if open(swap(text, i), now) == nil {
			t.Fatalf("opens with character %d changed", i)
		}
	}
	consent, _ := f.newBrowser().open(f.query(a))
	for name, err := range map[string]error{
		"after its end":   open(text, now.Add(8*time.Hour)),
		"a code":          open(f.newBrowser().signIn(a), now),
		"a consent form":  open(consent, now),
		"Vouch's token":   open(f.vouch.grant().Token.Reveal(), now),
		"nothing":         open("", now),
		"cut":             open(text[:len(text)-4], now),
		"with more":       open(text+"AAAA", now),
		"of another seal": func() error { _, err := authserver.OpenAccessToken(newSealer(), secret.New(text), now); return err }(),
	} {
		if !errors.Is(err, authserver.ErrAccessToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
