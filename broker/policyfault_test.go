package broker_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"mcp-credential-broker/broker/vouchtest"
)

// badPolicy has a fault in line 2, column 2.
const badPolicy = `{"version": 1, "mode": "enforce", "rules": [{"id": "a", "allow": {"github": ["*/*"], "ssh": true}}],
 "rulse": []}`

// TestInvalidPolicy: whoever may call learns what is wrong with the policy and gets
// nothing, in both modes; a stranger learns where to sign in, and can.
func TestInvalidPolicy(t *testing.T) {
	relay := newBench(t, vouchtest.Options{}, map[string]string{"POLICY": badPolicy})
	signs := newSignInBench(t)
	signs.vars = map[string]string{"POLICY": badPolicy}
	signs.use(t, signs.keys[0], "")
	for _, tt := range []struct {
		mode, url string
		token     func() string
		log       func() string
		vouch     *vouchtest.Stack
	}{
		{"relay", relay.url, func() string {
			return relay.Vouch.MintAccessToken(vouchtest.TokenOptions{Audience: relay.url + "/mcp", Scope: "openid email"})
		}, func() string { return relay.log[len(relay.log)-1] }, relay.Stack},
		{"sign-in", signs.url, func() string { return signs.signIn(t) }, func() string { l := *signs.lines.Load(); return l[len(l)-1] }, signs.Stack},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			for _, bad := range []string{"", "x"} {
				r, text := post(t, tt.url, bad, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
				if r.StatusCode != http.StatusUnauthorized || !strings.Contains(r.Header.Get("WWW-Authenticate"), "resource_metadata") || strings.Contains(text, "rulse") {
					t.Errorf("token %q: %d %s", bad, r.StatusCode, text)
				}
			}
			token := tt.token()
			for _, body := range []string{
				`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, `{`,
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-github-token","arguments":{"owner":"acme"}}}`,
				`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"explain-access","arguments":{}}}`,
			} {
				r, text := post(t, tt.url, token, body)
				var answer struct {
					Error  string
					Status int
				}
				if err := json.Unmarshal([]byte(text), &answer); err != nil || r.StatusCode != http.StatusServiceUnavailable || answer.Status != 503 {
					t.Errorf("%s: status %d, %s, %v; want 503", body, r.StatusCode, text, err)
				}
				for _, part := range []string{"policy of this broker is invalid", ": 2:2: ", "rulse"} {
					if !strings.Contains(answer.Error, part) {
						t.Errorf("%s: %q, want %q in it", body, answer.Error, part)
					}
				}
				var line map[string]any
				if err := json.Unmarshal([]byte(tt.log()), &line); err != nil {
					t.Fatal(err)
				}
				requestID := r.Header.Get("X-Request-Id")
				if requestID == "" {
					t.Errorf("%s: the answer has no id", body)
				}
				for name, want := range map[string]any{"event": "policy_invalid", "request_id": requestID, "status": 503.0, "sub": vouchtest.DefaultPerson().Subject} {
					if line[name] != want {
						t.Errorf("%s: %s is logged as %v, want %v", body, name, line[name], want)
					}
				}
				if reason, _ := line["reason"].(string); !strings.HasPrefix(reason, "2:2: ") {
					t.Errorf("%s: logged %q, want where the fault is", body, reason)
				}
			}
			for _, path := range []string{"/v1/credentials/github/token", "/v1/credentials/aws/token", "/v1/credentials/ssh"} {
				if n := tt.vouch.Vouch.Count(path); n != 0 {
					t.Errorf("%s was asked %d times", path, n)
				}
			}
			health, err := http.Get(tt.url + "/healthz")
			if err != nil {
				t.Fatal(err)
			}
			defer health.Body.Close()
			var told struct{ Error string }
			if err := json.NewDecoder(health.Body).Decode(&told); err != nil || health.StatusCode != http.StatusServiceUnavailable || !strings.Contains(told.Error, ": 2:2: ") {
				t.Errorf("/healthz: %d %+v", health.StatusCode, told)
			}
		})
	}
}

// post sends a body to the endpoint with a token, if it is one.
func post(t *testing.T, url, token, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	return exchange(t, req)
}

// exchange sends a request and reads the answer.
func exchange(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text strings.Builder
	if _, err := io.Copy(&text, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp, text.String()
}
