package e2e

import (
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/worker/stack"
)

const (
	pathAWS    = "/v1/credentials/aws/token"
	pathGitHub = "/v1/credentials/github/token"
	pathSSH    = "/v1/credentials/ssh"
	pathJWKS   = "/oauth/jwks"
)

// TestUpstreamTrouble: whatever Vouch or STS does, the call ends in an error
// result that says what to do, and nothing is handed out.
func TestUpstreamTrouble(t *testing.T) {
	s := start(t, stack.Config{})
	token := s.Token()
	tests := []struct {
		name   string
		fault  fault.Fault
		status int
		says   string
	}{
		{"500", fault.Fault{Kind: fault.Status}, 500, "failed (status 500); try again"},
		{"rate limited", fault.Fault{Kind: fault.RateLimited, RetryAfter: 9}, 429, "try again in "},
		{"rate limited until a date", fault.Fault{Kind: fault.RateLimited, RetryAfter: 9, RetryAtDate: true}, 429, "try again in "},
		{"cut off", fault.Fault{Kind: fault.Cut}, 502, "could not be reached"},
		{"garbage", fault.Fault{Kind: fault.Garbage}, 502, "could not be used"},
		{"huge", fault.Fault{Kind: fault.Huge}, 502, "could not be used"},
		{"empty", fault.Fault{Kind: fault.Empty}, 502, "could not be used"},
		{"redirect", fault.Fault{Kind: fault.Redirect}, 502, "redirect"},
	}
	for _, tt := range tests {
		for _, call := range goodCalls {
			at, path := &s.Vouch.Tap, map[string]string{"get-aws-credentials": pathAWS, "get-github-token": pathGitHub, "get-ssh-certificate": pathSSH}[call.tool]
			t.Run(tt.name+"/"+call.tool, func(t *testing.T) {
				f := tt.fault
				f.Path = path
				expectTrouble(t, s, *at, f, token, call.tool, call.arguments, tt.status, "Vouch", tt.says)
			})
		}
		t.Run(tt.name+"/STS", func(t *testing.T) {
			f := tt.fault
			f.Path = "/"
			expectTrouble(t, s, s.STS.Tap, f, token, goodCalls[0].tool, goodCalls[0].arguments, tt.status, "AWS STS", tt.says)
		})
	}
	if n := s.Vouch.Count("/-/trap") + s.STS.Count("/-/trap"); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func expectTrouble(t *testing.T, s *stack.Stack, at *fault.Tap, f fault.Fault, token, tool string, arguments any, status int, who, says string) {
	t.Helper()
	if err := at.SetFault(f); err != nil {
		t.Fatal(err)
	}
	defer at.ClearFaults()
	_, e := callTool(t, s, token, tool, arguments)
	if e == nil {
		t.Fatal("a credential was handed out")
	}
	if e.Status != status || !strings.Contains(e.Error, who) || !strings.Contains(e.Error, says) {
		t.Errorf("%+v; want status %d, %q and %q", *e, status, who, says)
	}
}

// TestSlowUpstream: one deadline holds for the whole call, however its hops
// divide it.
func TestSlowUpstream(t *testing.T) {
	s := start(t, stack.Config{})
	token := s.Token()
	tests := []struct {
		name       string
		vouch, sts fault.Fault
	}{
		{"Vouch hangs", fault.Fault{Path: "/v1/credentials/*", Kind: fault.Hang}, fault.Fault{}},
		{"STS hangs", fault.Fault{}, fault.Fault{Path: "/", Kind: fault.Hang}},
		{"both are slow", fault.Fault{Path: "/v1/credentials/*", Kind: fault.Slow, Delay: 7 * time.Second},
			fault.Fault{Path: "/", Kind: fault.Hang}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer s.Vouch.ClearFaults()
			defer s.STS.ClearFaults()
			if tt.vouch.Path != "" {
				if err := s.Vouch.SetFault(tt.vouch); err != nil {
					t.Fatal(err)
				}
			}
			if tt.sts.Path != "" {
				if err := s.STS.SetFault(tt.sts); err != nil {
					t.Fatal(err)
				}
			}
			begin := time.Now()
			_, e := callTool(t, s, token, goodCalls[0].tool, goodCalls[0].arguments)
			if took := time.Since(begin); took > 15*time.Second {
				t.Errorf("the call took %v", took)
			}
			if e == nil || e.Status != 504 || !strings.Contains(e.Error, "did not answer in time") {
				t.Errorf("error %+v", e)
			}
		})
	}
}

// TestSignedRequestsRequired: a Vouch of today refuses relay mode, and the
// person learns why.
func TestSignedRequestsRequired(t *testing.T) {
	s := start(t, stack.Config{Vouch: vouchtest.Options{RequireSignatures: true}})
	for _, call := range goodCalls {
		_, e := callTool(t, s, s.Token(), call.tool, call.arguments)
		if e == nil || e.Status != 401 || !strings.Contains(e.Error, "this Vouch requires signed requests") || !strings.Contains(e.Error, "sign-in mode") {
			t.Errorf("%s: %+v", call.tool, e)
		}
	}
}

// TestVouchRefuses: Vouch's own refusals become sentences.
func TestVouchRefuses(t *testing.T) {
	s := start(t, stack.Config{})
	tests := []struct {
		path, tool, code string
		status           int
		says             string
	}{
		{pathAWS, "get-aws-credentials", "rsa_key_unavailable", 501, "no RSA key"},
		{pathAWS, "get-aws-credentials", "invalid_token", 401, "reconnect to sign in"},
		{pathAWS, "get-aws-credentials", "hardware_required", 403, "hardware key"},
		{pathGitHub, "get-github-token", "github_not_connected", 404, s.VouchURL + "/github/connect"},
		{pathGitHub, "get-github-token", "owner_required", 400, "argument owner"},
		{pathGitHub, "get-github-token", "installation_suspended", 403, "suspended"},
		{pathGitHub, "get-github-token", "org_required", 403, "organisation"},
		{pathGitHub, "get-github-token", "github_error", 502, "check the names"},
		{pathSSH, "get-ssh-certificate", "ssh_ca_not_configured", 503, "certificate authority"},
	}
	for _, tt := range tests {
		t.Run(tt.code, func(t *testing.T) {
			for _, call := range goodCalls {
				if call.tool == tt.tool {
					f := fault.Fault{Path: tt.path, Kind: fault.Status, Status: tt.status, Code: tt.code}
					expectTrouble(t, s, s.Vouch.Tap, f, s.Token(), call.tool, call.arguments, tt.status, "", tt.says)
				}
			}
		})
	}
	t.Run("revoked session", func(t *testing.T) {
		token := s.Token()
		s.Vouch.Revoke(token)
		_, e := callTool(t, s, token, goodCalls[0].tool, goodCalls[0].arguments)
		if e == nil || e.Status != 401 || !strings.Contains(e.Error, "reconnect") {
			t.Errorf("%+v", e)
		}
	})
}

// TestKeyRotation: a new key at Vouch is found by itself, and unknown keys do
// not turn into fetches.
func TestKeyRotation(t *testing.T) {
	s := start(t, stack.Config{})
	call := func(token string) int {
		return send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer "+token).status
	}
	if status := call(s.Token()); status != 200 {
		t.Fatalf("status %d before the rotation", status)
	}
	before := s.Vouch.Count(pathJWKS)
	forged := mint(t, s, vouchtest.TokenOptions{Flaws: vouchtest.Flaws{Header: map[string]any{"kid": "vouch-oidc-unknown"}}})
	for range 50 {
		if status := call(forged); status == 200 {
			t.Fatal("a token with an unknown key was taken")
		}
	}
	if n := s.Vouch.Count(pathJWKS) - before; n > 5 {
		t.Errorf("50 tokens with an unknown key caused %d fetches", n)
	}
	if status := call(s.Token()); status != 200 {
		t.Errorf("status %d for a good token after the forged ones", status)
	}
}

// TestVouchDown: without keys no token can be checked; that is no reason to
// send a person to sign in again.
func TestVouchDown(t *testing.T) {
	s := start(t, stack.Config{})
	if err := s.Vouch.SetFault(fault.Fault{Path: pathJWKS, Kind: fault.Status}); err != nil {
		t.Fatal(err)
	}
	a := send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer "+s.Token())
	if a.status != 503 || a.header.Get("Retry-After") == "" || a.header.Get("WWW-Authenticate") != "" {
		t.Errorf("status %d, headers %v", a.status, a.header)
	}
}
