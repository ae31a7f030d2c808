package grant

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/policy/policytest"
)

// runs calls a tool of a desk and returns the result, and its text if it is an error.
func runs(t *testing.T, d *Desk, who Caller, tool, arguments string) (mcp.Result, string) {
	t.Helper()
	r, err := d.Run(t.Context(), who, &mcp.Call{Tool: tool, Arguments: json.RawMessage(arguments)})
	if err != nil {
		t.Fatal(err)
	}
	f, _ := r.Structured.(failure)
	return r, f.Message
}

func compiled(t *testing.T, document string) func(*Config) {
	t.Helper()
	p, err := policy.Compile([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.Policy = p }
}

const prodPolicy = `{"version": 1, "mode": "enforce", "aws": {"prod": {"role_arn": "` + role + `", "level": "read"}},
 "rules": [{"id": "all", "allow": {"aws": ["prod", "arn:aws:iam::444455556666:role/*"]}}]}`

// TestInlinePolicyBeside what narrows the session to its level: together they have STS's
// room, and what is too long, or no policy, is refused before anybody is asked.
func TestInlinePolicyBeside(t *testing.T) {
	d, w, _ := wired(t, compiled(t, prodPolicy))
	room := 2048 - len("arn:aws:iam::aws:policy/ReadOnlyAccess")
	document := func(length int) string { return `{"a":"` + strings.Repeat("x", length-8) + `"}` }
	nested := func(depth int) string { return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth) }
	for _, tt := range []struct {
		policy string
		fits   bool
	}{
		{document(room), true}, {document(room + 1), false}, {document(2048), false},
		{`{"a":`, false}, {`{"a":1}x`, false}, {`[]`, false}, {`7`, false}, {`{}`, true},
		{nested(maxPolicyDepth), true}, {nested(maxPolicyDepth + 1), false},
	} {
		w.asked = 0
		quoted, _ := json.Marshal(tt.policy)
		r, says := runs(t, d, ada(), "get-aws-credentials", `{"profile": "prod", "policy": `+string(quoted)+`}`)
		if r.IsError == tt.fits || !tt.fits && (w.asked != 0 || !strings.Contains(says, "policy must")) {
			t.Errorf("%d characters, %.10q: %d requests, %q", len(tt.policy), tt.policy, w.asked, says)
		}
		if tt.fits && w.minted[len(w.minted)-1].inline != tt.policy {
			t.Errorf("%.10q arrived changed", tt.policy)
		}
	}
	approvals, _, _ := wired(t, compiled(t, strings.Replace(prodPolicy, `role/*"]}`, `role/*"]}, "approve": "touch"`, 1)))
	n := newNotary(t)
	for arguments, want := range map[string]bool{`{"profile": "prod", "policy": "{}"}`: true, `{"profile": "prod"}`: false} {
		r, _ := runs(t, approvals, eve(n), "get-aws-credentials", arguments)
		u, err := url.Parse(r.Structured.(failure).Link)
		if err != nil {
			t.Fatal(err)
		}
		request, err := n.OpenLink(u.Query().Get("r"), agreeTime)
		if err != nil {
			t.Fatal(err)
		}
		told := false
		for _, f := range request.Facts {
			told = told || f.Name == "Narrowed" && f.Claimed // it may allow everything
		}
		if told != want {
			t.Errorf("%s: the page says %+v", arguments, request.Facts)
		}
	}
}

// TestNoPolicyWidensALevel: AWS adds up what the session policies allow, the one of the
// level and the one of the call, so that beside the former the latter may only deny.
func TestNoPolicyWidensALevel(t *testing.T) {
	const nothingElse = `{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "NotResource": ["arn:aws:s3:::site", "arn:aws:s3:::site/*"]}]}`
	allowing := []string{
		`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`,
		`{"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}`,
		`{"Statement": {"Effect": "\u0041llow", "Action": "s3:*", "Resource": "*"}}`,
		`{"statement": [{"effect": "allow", "Action": "s3:*", "Resource": "*"}]}`,
		`{"Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}, {"Action": "ec2:*", "Resource": "*", "Effect": "Allow"}]}`,
		`{"Statement": {"Effect": "Allow", "Effect": "Deny", "Action": "s3:*", "Resource": "*"}}`,
		`{"Statement": {"Effect": "Deny", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}}`,
		`{"Statement": [], "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}`,
	}
	read, reads, _ := wired(t, compiled(t, prodPolicy))
	view, views, _ := wired(t, compiled(t, strings.Replace(prodPolicy, `"level": "read"`, `"level": "view"`, 1)))
	write, writes, _ := wired(t, compiled(t, strings.Replace(prodPolicy, `"level": "read"`, `"level": "write"`, 1)))
	free, frees, _ := wired(t, nil)
	guide, guides, _ := wired(t, func(c *Config) { c.Guide = true })
	for _, tt := range []struct {
		name   string
		desk   *Desk
		wire   *wire
		tool   string
		target string
		widens bool // an Allow would
	}{
		{"read", read, reads, "get-aws-credentials", `"profile": "prod"`, true},
		{"read by ARN", read, reads, "get-aws-credentials", `"role_arn": "` + role + `"`, true},
		{"view", view, views, "get-aws-credentials", `"profile": "prod"`, true},
		{"write for reading", write, writes, "get-aws-credentials", `"profile": "prod"`, true},
		{"no policy", free, frees, "get-aws-credentials", `"role_arn": "` + role + `"`, true},
		{"write", write, writes, "get-aws-write-credentials", `"profile": "prod"`, false},
		{"the guide", guide, guides, "get-aws-credentials", `"role_arn": "` + role + `"`, false},
	} {
		for _, text := range append(allowing, nothingElse) {
			refused := tt.widens && text != nothingElse
			quoted, _ := json.Marshal(text)
			tt.wire.asked = 0
			r, says := runs(t, tt.desk, ada(), tt.tool, `{`+tt.target+`, "policy": `+string(quoted)+`}`)
			if r.IsError != refused || refused && (tt.wire.asked != 0 || !strings.Contains(says, "may only deny")) {
				t.Errorf("%s, %s: %d requests, %q", tt.name, text, tt.wire.asked, says)
			}
		}
	}
	if r, _ := runs(t, read, ada(), "explain-access", `{"tool": "get-aws-credentials", "arguments": {"profile": "prod", "policy": "{\"Statement\":{\"Effect\":\"Allow\"}}"}}`); r.Structured.(explanation).Decision != "deny" {
		t.Errorf("explained as %+v", r.Structured)
	}
}

// TestProfiles are those of the policy: its name heads the ini section, and without a
// policy there are none.
func TestProfiles(t *testing.T) {
	d, _, _ := wired(t, compiled(t, prodPolicy))
	for arguments, want := range map[string]string{`{"profile": "prod", "format": "ini"}`: "[prod]\n", `{"role_arn": "` + role + `", "format": "ini"}`: "[default]\n"} {
		if r, says := runs(t, d, ada(), "get-aws-credentials", arguments); !strings.HasPrefix(r.Text, want) {
			t.Errorf("%s: %.10q %s", arguments, r.Text, says)
		}
	}
	none, w, _ := wired(t, nil)
	if _, says := runs(t, none, ada(), "get-aws-credentials", `{"profile": "prod"}`); !strings.Contains(says, "no profiles") || w.asked != 0 {
		t.Error(says)
	}
}

// TestQuotedNames: an argument's name is repeated if it looks like one, and else may be a
// secret.
func TestQuotedNames(t *testing.T) {
	for name, want := range map[string]string{
		"role": `"role"`, "A-b_9": `"A-b_9"`, strings.Repeat("x", 24): `"` + strings.Repeat("x", 24) + `"`,
		strings.Repeat("x", 25): "of that name", "a b": "of that name", "a\n": "of that name", "é": "of that name", "a=": "of that name",
	} {
		if got := quoteName(name); got != want {
			t.Errorf("%q is repeated as %s", name, got)
		}
	}
	d, _, _ := wired(t, nil)
	if _, says := runs(t, d, ada(), "explain-access", `{"tool": "get-github-token", "arguments": "x"}`); !strings.Contains(says, "arguments must be an object") {
		t.Error(says)
	}
}

// TestListAccessTellsTheMode: that a policy only watches, and that the guide's one tool
// gives whatever the role may.
func TestListAccessTellsTheMode(t *testing.T) {
	audit, _, _ := wired(t, compiled(t, strings.Replace(prodPolicy, "enforce", "audit", 1)))
	guide, _, _ := wired(t, func(c *Config) { c.Guide = true })
	free, _, _ := wired(t, nil)
	for name, tt := range map[string]struct {
		desk *Desk
		path string
		want string
	}{
		"audit": {audit, "note", "the policy only watches: more is let through, and written down"},
		"guide": {guide, `access.#(tool=="get-aws-credentials").level`, "write"},
		"free":  {free, `access.#(tool=="get-aws-credentials").level`, "read"},
		"write": {free, `access.#(tool=="get-aws-write-credentials").level`, "write"},
	} {
		r, _ := runs(t, tt.desk, ada(), "list-access", `{}`)
		text, err := json.Marshal(r.Structured)
		if err != nil || gjson.GetBytes(text, tt.path).Str != tt.want {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

// TestClientNames: what the token says goes before what the call says of its client, and
// neither reaches the log with what could hide or turn text around.
func TestClientNames(t *testing.T) {
	d, _, lines := wired(t, nil)
	for _, tt := range []struct{ token, call, want string }{
		{"Test App", "Another", "Test App"}, {"", "Another", "Another"}, {"Te\u202est\x1b App", "", "Test App"}, {"", "An\u200bother\n", "Another"},
	} {
		who := ada()
		who.ClientName = tt.token
		if _, err := d.Run(t.Context(), who, &mcp.Call{Tool: "whoami", Arguments: json.RawMessage(`{}`), ClientName: tt.call}); err != nil {
			t.Fatal(err)
		}
		if got := (*lines)[len(*lines)-1].ClientName; got != tt.want {
			t.Errorf("%q and %q are logged as %q, want %q", tt.token, tt.call, got, tt.want)
		}
	}
}

// TestWhoamiTellsWhatIs: each member by itself, as the token has it.
func TestWhoamiTellsWhatIs(t *testing.T) {
	d, _, _ := wired(t, nil)
	who := ada()
	who.Email, who.Granted = "ada@example.com", authserver.ScopeGitHub
	for _, tt := range []struct {
		change func()
		want   string
	}{
		{func() {}, `{"sub":"ada","email":"ada@example.com","email_verified":false,"scopes":["github"]}`},
		{func() { who.Expires, who.AuthTime = agreeTime.Add(time.Hour), agreeTime }, `{"sub":"ada","email":"ada@example.com","email_verified":false,"expires":"2026-11-25T13:00:00Z","signed_in_with_key":"2026-11-25T12:00:00Z","scopes":["github"]}`},
	} {
		tt.change()
		r, _ := runs(t, d, who, "whoami", `{}`)
		if text, err := json.Marshal(r.Structured); err != nil || string(text) != tt.want {
			t.Errorf("%s, %v, want %s", text, err, tt.want)
		}
	}
}

// TestListAccessTellsTheTerms: who must approve, and to whom it is sealed.
func TestListAccessTellsTheTerms(t *testing.T) {
	d, _, _ := wired(t, compiled(t, `{"version": 1, "mode": "enforce", "rules": [{"id": "all", "allow": {"ssh": true}, "approve": "touch", "approvers": ["boss@example.com"], "delivery": "sealed", "recipients": ["`+policytest.Recipient+`"]}]}`))
	r, _ := runs(t, d, ada(), "list-access", `{}`)
	want := `{"access":[{"tool":"get-ssh-certificate","rule":"all","approval":"touch","approvers":["boss@example.com"],"delivery":"sealed","recipients":["` + policytest.Recipient + `"]}]}`
	if text, err := json.Marshal(r.Structured); err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
}
