package grant

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/policy/policytest"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

var update = flag.Bool("update", false, "write the golden file anew")

// The calls of the golden file, one for each tool that hands something out.
var goldenCalls = []struct{ tool, arguments, reads string }{
	{"get-aws-credentials", `{"role_arn": "arn:aws:iam::444455556666:role/team/Agents", "duration_seconds": 900, "region": "eu-central-1"`, `"aws": ["arn:aws:iam::444455556666:role/*"]`},
	{"get-aws-write-credentials", `{"profile": "prod"`, `"aws": ["prod"]`},
	{"get-github-token", `{"owner": "example", "repositories": ["web", "api"]`, `"github": ["example/*"]`},
	{"get-ssh-certificate", `{"public_key": "` + theKeyLine + `"`, `"ssh": true`},
}

// A scene is a way that a call can go.
type scene struct {
	name string
	// rules are all of them, ALLOW what allows the call; the call's rule has the
	// members terms.
	mode, rules, terms string
	with               string // more arguments
	call               mcp.Call
	who                func(*Caller)
	config             func(*Config)
	refuse             func(upstream.Request) (*upstream.Response, error)
	approve            bool // touch, and call again
	canceled           bool
}

// refusing answers every request to a host with a status and a body.
func refusing(host string, status int, body string) func(upstream.Request) (*upstream.Response, error) {
	return func(r upstream.Request) (*upstream.Response, error) {
		if u, err := url.Parse(r.URL); err != nil || !strings.HasPrefix(u.Host, host) {
			return nil, err
		}
		return &upstream.Response{Status: status, Header: http.Header{"Content-Type": {"application/json"}, "Retry-After": {"7"}}, Body: []byte(body)}, nil
	}
}

var scenes = []scene{
	{name: "allow"},
	{name: "allow, with a purpose", with: `, "purpose": "mend the site"`},
	{name: "deny", rules: `{"id": "nobody", "deny": {ALLOW}}, {"id": "all", "allow": {ALLOW}}`},
	{name: "deny, no rule", rules: `{"id": "others", "allow": {"who": {"email": ["*@elsewhere.example"]}, ALLOW}}`},
	{name: "would-deny", mode: "audit", rules: `{"id": "nobody", "deny": {ALLOW}}, {"id": "all", "allow": {ALLOW}}`},
	{name: "approval wanted", terms: `, "approve": "touch"`, with: `, "purpose": "mend the site"`},
	{name: "approved", terms: `, "approve": "touch"`, approve: true},
	{name: "approved by another", terms: `, "approve": "touch", "approvers": ["boss@example.com"]`, approve: true},
	{name: "asked", terms: `, "approve": "ask"`, call: mcp.Call{AsksPeople: true}},
	{name: "sealed", terms: `, "delivery": "sealed"`, with: `, "seal_to": "` + policytest.Recipient + `"`},
	{name: "unsealed", terms: `, "delivery": "sealed"`},
	{name: "frozen", config: func(c *Config) { c.Freeze = "closed until Monday" }},
	{name: "too often", config: func(c *Config) { c.Limiter = never{} }},
	{name: "declined", who: func(c *Caller) { c.Granted = 0 }},
	{name: "unverified", rules: `{"id": "ours", "allow": {"who": {"email": ["*@example.com"]}, ALLOW}}`, who: func(c *Caller) { c.EmailVerified = false }},
	{name: "wrong argument", with: `, "seal_to": 7`},
	{name: "Vouch refuses", refuse: refusing("vouch.", 403, `{"code": "hardware_required", "message": "words of Vouch"}`)},
	{name: "Vouch is busy", refuse: refusing("vouch.", 429, `{}`)},
	{name: "Vouch knows the sign-in no more", refuse: refusing("vouch.", 401, `{"code": "invalid_token", "message": "words of Vouch"}`)},
	{name: "Vouch answers nonsense", refuse: refusing("vouch.", 200, `{"token": "secret words"}`)},
	{name: "Vouch is slow", refuse: func(upstream.Request) (*upstream.Response, error) { return nil, upstream.ErrTimeout }},
	{name: "STS refuses", refuse: refusing("sts.", 403, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>words of STS</Message></Error></ErrorResponse>`)},
	{name: "client hangs up", canceled: true},
}

// never counts nothing.
type never struct{}

func (never) Allow(context.Context, limit.Binding, string) bool { return false }

// play returns the audit lines of a scene.
func (s scene) play(t *testing.T, tool, arguments, allows string) (lines []string) {
	t.Helper()
	rules := s.rules
	if rules == "" {
		rules = `{"id": "all", "allow": {ALLOW}` + s.terms + `}`
	}
	document := `{"version": 1, "mode": "` + s.mode + `", "rules": [` + strings.ReplaceAll(rules, "ALLOW", allows) + `]`
	if s.mode == "" {
		document = strings.Replace(document, `"mode": ""`, `"mode": "enforce"`, 1)
	}
	if strings.Contains(allows, "prod") {
		document += `, "aws": {"prod": {"role_arn": "arn:aws:iam::444455556666:role/team/Agents", "level": "write", "max_seconds": 1800}}`
	}
	compiled, err := policy.Compile([]byte(document + "}"))
	if err != nil {
		t.Fatalf("%s: %s: %v", s.name, document, err)
	}
	now := func() time.Time { return agreeTime }
	out := upstream.Client{Fetcher: &wire{now: now, refuse: s.refuse}, Now: now}
	config := Config{Vouch: vouch.Client{Issuer: vouchOfTests, Upstream: out}, STS: sts.Client{Upstream: out}, Policy: compiled, Now: now, Log: func(line any) {
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}}
	if s.config != nil {
		s.config(&config)
	}
	desk, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	n := newNotary(t)
	who := Caller{
		RequestID: "8f1e2d3c4b5a6978-FRA", Subject: "0192f0c1", Email: "ada@example.com", EmailVerified: true, SignIn: "0123456789ab", ClientID: "sha256:00112233", ClientName: "Test App",
		ClientHost: "app.example", Clients: []string{"app.example", "Test App"}, Auth: vouch.Bearer{Token: theBearer}, Approvals: n, Asked: authserver.AllScopes, Granted: authserver.AllScopes,
	}
	if s.who != nil {
		s.who(&who)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if s.canceled {
		cancel()
	}
	call := s.call
	call.Tool, call.Arguments = tool, json.RawMessage(arguments+s.with+"}")
	result, _ := desk.Run(ctx, who, &call)
	if !s.approve {
		return lines
	}
	a := &asker{t: t, who: who}
	decision := policy.Decision{}
	by := "0192f0c1"
	if strings.Contains(s.terms, "approvers") {
		decision.Approvers, by = []string{"boss@example.com"}, "boss@example.com"
	}
	code := a.approve(result.Structured.(failure).Link, decision)
	call.Arguments = json.RawMessage(arguments + s.with + `, "approval": "` + code + `"}`)
	if result, err = desk.Run(ctx, who, &call); err != nil || result.IsError || !strings.Contains(lines[1], `"approved_by":"`+by+`"`) {
		t.Errorf("%s: %+v, %v", s.name, result, err)
	}
	return lines
}

// TestAuditGolden holds every line of the audit to a golden file, to the letter: SIEMs
// parse it. No secret of what is handed out is in it, and nothing that upstream wrote
// but its codes.
func TestAuditGolden(t *testing.T) {
	var got bytes.Buffer
	for _, c := range goldenCalls {
		for _, s := range scenes {
			if s.name == "STS refuses" && !strings.Contains(c.tool, "aws") {
				continue
			}
			for _, line := range s.play(t, c.tool, c.arguments, c.reads) {
				fmt.Fprintf(&got, "# %s: %s\n%s\n", c.tool, s.name, line)
			}
		}
	}
	tells := scene{}
	for _, c := range []struct{ tool, name, arguments string }{
		{"whoami", "answered", `{`}, {"whoami", "wrong argument", `{"x": 1`}, {"list-access", "answered", `{`},
		{"explain-access", "answered", `{"tool": "get-ssh-certificate", "arguments": {"public_key": "` + theKeyLine + `"}`},
		{"explain-access", "of a tool that tells", `{"tool": "whoami"`},
	} {
		for _, line := range tells.play(t, c.tool, c.arguments, `"ssh": true`) {
			fmt.Fprintf(&got, "# %s: %s\n%s\n", c.tool, c.name, line)
		}
	}
	text := got.String()
	for _, secret := range []string{theKey, theSession, theToken, theGitHub, theBearer.Reveal(), "ssh-ed25519", "words of", "secret words", "/approve"} {
		if strings.Contains(text, secret) {
			t.Errorf("the lines hold %q", secret)
		}
	}
	path := filepath.Join("testdata", "audit.golden")
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wanted, gotten := strings.Split(string(want), "\n"), strings.Split(text, "\n")
	for i := range max(len(wanted), len(gotten)) {
		if i >= len(wanted) || i >= len(gotten) || wanted[i] != gotten[i] {
			t.Fatalf("line %d is not that of %s; if it should change, run go test ./broker/grant -update\n%s", i+1, path, gotten[min(i, len(gotten)-1)])
		}
	}
}
