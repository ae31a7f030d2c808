package e2e

import (
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

const registration = `{"client_name":"x","redirect_uris":["http://127.0.0.1/callback"]}`

// TestRateLimit: one address cannot ask for sign-ins without end. The binding is
// wrangler's.
func TestRateLimit(t *testing.T) {
	s, err := stack.Start(t.Context(), stack.Config{SignIn: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	// Where Vouch is asked the share is smaller. A minute may end in between.
	refused := 0
	for range 12 {
		if a := send(t, "POST", s.Worker.URL+"/oauth/token/", "", "Content-Type: application/x-www-form-urlencoded"); a.status == 429 {
			refused++
		}
	}
	if refused < 2 {
		t.Errorf("%d of 12 token requests in a row were refused", refused)
	}
	for range 60 {
		a := send(t, "POST", s.Worker.URL+"/oauth/register", registration, jsonType)
		if a.status == 429 {
			if a.header.Get("Retry-After") == "" {
				t.Error("the refusal names no wait")
			}
			return
		}
		if a.status != 201 {
			t.Fatalf("register: %d %s", a.status, a.body)
		}
	}
	t.Error("60 registrations in a row were served")
}

// TestBrokenRateLimit: what cannot be counted is refused.
func TestBrokenRateLimit(t *testing.T) {
	s := start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Vars: map[string]string{"SIGN_IN_LIMITER": "{}"}}})
	for _, address := range []string{"CF-Connecting-IP: 192.0.2.1", "CF-Connecting-IP: 2001:db8::1", "CF-Connecting-IP: unknown"} {
		if a := send(t, "POST", s.Worker.URL+"/oauth/register", registration, jsonType, address); a.status != 429 || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: register: %d %s", address, a.status, a.body)
		}
	}
	if a := send(t, "GET", s.Worker.URL+"/.well-known/oauth-authorization-server", ""); a.status != 200 {
		t.Errorf("metadata, which is free: %d", a.status)
	}
}

// TestNoRateLimitIsSaid: without the binding there is no limit, and the log says so.
func TestNoRateLimitIsSaid(t *testing.T) {
	printed := &output{}
	s := start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Output: printed}})
	if a := send(t, "POST", s.Worker.URL+"/oauth/register", registration, jsonType); a.status != 201 {
		t.Errorf("register: %d %s", a.status, a.body)
	}
	waitUntil(t, "the warning", func() bool { return strings.Contains(printed.String(), "no rate-limit binding") })
}
