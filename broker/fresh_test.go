package broker_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
)

const appURI = "http://127.0.0.1:33418/callback"

// signInFrom signs in from a browser, and returns the answer to the app.
func (b *signInBench) signInFrom(t *testing.T, jar http.CookieJar) (status int, answer map[string]any) {
	t.Helper()
	registered := b.post(t, "/oauth/register", "application/json", `{"client_name":"Claude","redirect_uris":["`+appURI+`"]}`, nil)
	id, _ := registered["client_id"].(string)
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {id}, "redirect_uri": {appURI},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	back, err := mcptest.BrowseIn(t.Context(), jar, b.url+"/oauth/authorize?"+q.Encode(), appURI, url.Values{"decision": {"allow"}, "scope": {"github"}})
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {id}, "code": {back.Get("code")}, "code_verifier": {verifier}}
	answer = b.post(t, "/oauth/token", "application/x-www-form-urlencoded", form.Encode(), &status)
	return status, answer
}

func (b *signInBench) post(t *testing.T, path, contentType, body string, status *int) (answer map[string]any) {
	t.Helper()
	resp, err := http.Post(b.url+path, contentType, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || json.Unmarshal(text, &answer) != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if status != nil {
		*status = resp.StatusCode
	}
	return answer
}

// withoutTheKey are ways in which a Vouch lets a browser pass that signed in there
// earlier, and whether the key was used all the same.
var withoutTheKey = []struct {
	name string
	hook func(*vouchtest.Vouch)
	ok   bool
}{
	{"as asked", func(*vouchtest.Vouch) {}, true},
	{"ignores prompt", func(v *vouchtest.Vouch) { v.IgnorePrompt(true) }, true}, // max_age does it
	{"passes silently", func(v *vouchtest.Vouch) { v.PassSilently(true) }, false},
	{"leaves auth_time out", func(v *vouchtest.Vouch) { v.OmitAuthTime(true) }, false},
	{"passes silently and leaves auth_time out", func(v *vouchtest.Vouch) { v.PassSilently(true); v.OmitAuthTime(true) }, false},
	{"does without the key", func(v *vouchtest.Vouch) { v.RefuseHardware(true) }, false},
}

// TestFreshHardwareProof: whoever has the person's browser, signed in at Vouch an
// hour ago, does not sign in without the key, whatever this Vouch makes of what it
// is asked.
func TestFreshHardwareProof(t *testing.T) {
	for _, tt := range withoutTheKey {
		t.Run(tt.name, func(t *testing.T) {
			b := newSignInBench(t)
			jar, _ := cookiejar.New(nil)
			if status, answer := b.signInFrom(t, jar); status != http.StatusOK {
				t.Fatalf("the first sign-in: %d %v", status, answer)
			}
			b.ahead.Store(int64(time.Hour))
			tt.hook(b.Vouch)
			revoked := b.Vouch.Count("/oauth/revoke")
			status, answer := b.signInFrom(t, jar)
			token, _ := answer["access_token"].(string)
			if tt.ok != (status == http.StatusOK && token != "") {
				t.Errorf("status %d, %v", status, answer)
			}
			if n := b.Vouch.Count("/oauth/revoke") - revoked; (n == 0) != tt.ok {
				t.Errorf("%d revocations at Vouch", n)
			}
		})
	}
}

// TestPushAsksForTheKey: each request that is pushed asks for it by both names.
func TestPushAsksForTheKey(t *testing.T) {
	b := newSignInBench(t)
	b.signIn(t)
	requests := b.Vouch.Requests("/oauth/par")
	form, err := url.ParseQuery(string(requests[len(requests)-1].Body))
	if err != nil || form.Get("prompt") != "login" || form.Get("max_age") != "0" {
		t.Errorf("pushed prompt %q, max_age %q, %v", form.Get("prompt"), form.Get("max_age"), err)
	}
}

// TestAllowedEmails: who is not on the operator's list neither signs in nor calls,
// with a token from before the list either.
func TestAllowedEmails(t *testing.T) {
	b := newSignInBench(t) // of alice@example.com
	before := b.signIn(t)
	for list, ok := range map[string]bool{"*@Example.com": true, "bob@example.com, *@other.example": false} {
		b.vars = map[string]string{"ALLOWED_EMAILS": list}
		b.use(t, b.keys[0], "")
		jar, _ := cookiejar.New(nil)
		status, answer := b.signInFrom(t, jar)
		if ok != (status == http.StatusOK) || !ok && answer["error"] != "access_denied" {
			t.Errorf("%s: %d %v", list, status, answer)
		}
		if b.works(t, before) != ok {
			t.Errorf("%s: a token from before works: %t", list, !ok)
		}
		if !ok {
			if status, _, text := b.call(t, before); status != http.StatusForbidden || !strings.Contains(text, "ALLOWED_EMAILS") {
				t.Errorf("%s: %d %s", list, status, text)
			}
		}
	}
}

// TestSignInLines: each line of a sign-in says who asks, where access goes and which
// request it was, and the last one has the id that calls have.
func TestSignInLines(t *testing.T) {
	b := newSignInBench(t)
	b.signIn(t)
	var last map[string]any
	for _, line := range *b.lines.Load() {
		if strings.Contains(line, `"event":"sign_in"`) {
			if err := json.Unmarshal([]byte(line), &last); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"request_id", "client_id", "client_name", "redirect_host", "sign_in", "sub", "email"} {
		if text, _ := last[name].(string); text == "" {
			t.Errorf("%s is missing in %v", name, last)
		}
	}
	if last["redirect_host"] != "127.0.0.1" || last["route"] != "token" || !strings.HasPrefix(last["client_id"].(string), "sha256:") {
		t.Errorf("the line: %v", last)
	}
}

// TestAllowedEmailsRelay: in relay mode the list is asked at each call, and an
// e-mail that Vouch has not verified is not on it.
func TestAllowedEmailsRelay(t *testing.T) {
	unverified := vouchtest.Flaws{Claims: map[string]any{"email_verified": nil}}
	tests := []struct {
		name, list string
		o          vouchtest.TokenOptions
		status     int
	}{
		{"no list", "", vouchtest.TokenOptions{}, http.StatusOK},
		{"on the list", "*@EXAMPLE.com", vouchtest.TokenOptions{Scope: "openid email"}, http.StatusOK},
		{"not on the list", "bob@example.com", vouchtest.TokenOptions{Scope: "openid email"}, http.StatusForbidden},
		{"no e-mail", "*", vouchtest.TokenOptions{}, http.StatusForbidden},
		{"not said to be verified", "*", vouchtest.TokenOptions{Scope: "openid email", Flaws: unverified}, http.StatusForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, vouchtest.Options{}, map[string]string{"ALLOWED_EMAILS": tt.list})
			tt.o.Audience = b.url + "/mcp"
			resp, _ := post(t, b.url, b.Vouch.MintAccessToken(tt.o), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
			if resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
		})
	}
}
