package e2e

import (
	"fmt"
	"strings"
	"testing"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/worker/stack"
)

const registration = `{"client_name":"x","redirect_uris":["http://127.0.0.1/callback"]}`

// TestRateLimit: one address cannot ask for sign-ins without end. The binding is
// wrangler's.
func TestRateLimit(t *testing.T) {
	s, err := stack.Start(t.Context(), stack.Config{SignIn: true, Worker: stack.WorkerConfig{Entry: instead}})
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

// TestToolRateLimit: one person's agent cannot use up the credentials of everybody,
// whichever of the person's tokens it has. Others have theirs, and asking what may be
// had stays free. The binding is wrangler's.
func TestToolRateLimit(t *testing.T) {
	shared.Vouch.ActAs(carol)
	t.Cleanup(func() { shared.Vouch.ActAs(vouchtest.DefaultPerson()) })
	refused := 0
	for range 24 { // a minute may end in between
		_, e := callTool(t, shared.Stack, shared.Token(), "get-ssh-certificate", map[string]any{"public_key": publicKey})
		if e == nil {
			continue
		}
		if refused++; e.Status != 429 || e.RetryAfter != 60 || !strings.Contains(e.Error, "try again in 60 s") {
			t.Fatalf("%+v", e)
		}
	}
	if refused < 4 || refused > 14 {
		t.Errorf("%d of 24 certificates in a row were refused", refused)
	}
	for tool, arguments := range map[string]map[string]any{
		"whoami": {}, "list-access": {}, "explain-access": {"tool": "get-ssh-certificate", "arguments": map[string]any{"public_key": publicKey}},
		"get-github-token": {"owner": "acme"},
	} {
		if _, e := callTool(t, shared.Stack, shared.Token(), tool, arguments); e != nil {
			t.Errorf("%s: %+v", tool, e)
		}
	}
	shared.Vouch.ActAs(vouchtest.DefaultPerson())
	if _, e := callTool(t, shared.Stack, shared.Token(), "get-ssh-certificate", map[string]any{"public_key": publicKey}); e != nil {
		t.Errorf("another person: %+v", e)
	}
}

// TestBrokenToolRateLimit: what cannot be counted is refused, and nothing is asked of
// Vouch for it.
func TestBrokenToolRateLimit(t *testing.T) {
	s := start(t, stack.Config{Worker: stack.WorkerConfig{Vars: map[string]string{"TOOL_LIMITER": "{}"}}})
	for _, call := range goodCalls {
		if _, e := callTool(t, s, s.Token(), call.tool, call.arguments); e == nil || e.Status != 429 {
			t.Errorf("%s: %+v", call.tool, e)
		}
	}
	if _, e := callTool(t, s, s.Token(), "whoami", map[string]any{}); e != nil {
		t.Errorf("whoami: %+v", e)
	}
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

// TestNoRateLimitIsSaid: without the bindings there are no limits, and the log says so,
// once. The limiter of the tools, alone, does not count for the sign-in.
func TestNoRateLimitIsSaid(t *testing.T) {
	for vars, want := range map[string][]string{
		"":             {"SIGN_IN_LIMITER", "SIGN_IN_STRICT_LIMITER", "TOOL_LIMITER"},
		"TOOL_LIMITER": {"SIGN_IN_LIMITER", "SIGN_IN_STRICT_LIMITER"},
	} {
		printed := &output{}
		config := stack.Config{SignIn: true, Worker: stack.WorkerConfig{Output: printed}}
		if vars != "" {
			config.Worker.Vars = map[string]string{vars: "{}"}
		}
		s := start(t, config)
		token, err := mcptest.SignIn(t.Context(), s.MCP)
		if err != nil {
			t.Fatal(err)
		}
		if _, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments); (e == nil) != (vars == "") {
			t.Errorf("with %q: %+v", vars, e)
		}
		lines := printed.lines(t, "start", len(want))
		if len(lines) != len(want) {
			t.Fatalf("with %q: %v", vars, lines)
		}
		for i, name := range want {
			if warning := fmt.Sprint(lines[i]["warning"]); !strings.Contains(warning, "no rate-limit binding "+name+";") {
				t.Errorf("with %q: %s", vars, warning)
			}
		}
	}
}
