package grant

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"mcp-credential-broker/broker/age/agetest"
	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
)

const examplePolicy = `{"version": 1, "mode": "enforce",
 "aws": {"prod-look": {"role_arn": "arn:aws:iam::444455556666:role/Agents", "level": "read", "about": "look only"},
         "prod": {"role_arn": "arn:aws:iam::444455556666:role/Agents", "level": "write", "max_seconds": 900}},
 "rules": [
  {"id": "everyone-looks", "allow": {"who": {"email": ["*@example.com", "*@ops.example.com"]}, "aws": ["prod-look"], "github": ["example/*"], "ssh": true}},
  {"id": "ops-change", "allow": {"who": {"email": ["*@ops.example.com"]}, "aws": ["prod"]}, "approve": "touch", "delivery": "sealed"},
  {"id": "no-payroll", "deny": {"github": ["example/payroll"]}}]}`

// tellDesk returns a desk whose tools hand out nothing but count that they would.
func tellDesk(t *testing.T, document, freeze string) (d *Desk, mints *int) {
	t.Helper()
	c := Config{Freeze: freeze, Now: newCounter(t, "").config.Now, Log: func(any) {}}
	if document != "" {
		rules, err := policy.Compile([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		c.Policy = rules
	}
	all, mints := tools(c), new(int)
	for i := range all {
		prepare := all[i].prepare
		if prepare == nil {
			continue
		}
		all[i].prepare = func(d *Desk, in arguments) (credential, error) {
			w, err := prepare(d, in)
			w.mint = countMint(mints)
			return w, err
		}
	}
	d, err := newDesk(c, all)
	if err != nil {
		t.Fatal(err)
	}
	return d, mints
}

// TestExplainingAndCallingAgree: what explain-access says is what the call comes to.
// It mints nothing, and takes a code as the call does.
func TestExplainingAndCallingAgree(t *testing.T) {
	n := newNotary(t)
	recipient := agetest.NewIdentity(t).Recipient().String()
	bob, stranger, reader := eve(n), eve(n), eve(n)
	bob.Subject, bob.Email = "bob", "bob@example.com"
	stranger.EmailVerified = false
	reader.Granted = authserver.ScopeAWS
	relay := eve(nil)
	for _, test := range []struct {
		name      string
		who       Caller
		tool      string
		arguments string
		freeze    string
		decision  string
		rule      string
		reason    string
	}{
		{"look", bob, "get-aws-credentials", `{"profile": "prod-look"}`, "", allow, "everyone-looks", "allows this"},
		{"look by role", bob, "get-aws-credentials", `{"role_arn": "` + role + `"}`, "", deny, "", ""},
		{"change without a right", bob, "get-aws-write-credentials", `{"profile": "prod"}`, "", deny, "", ""},
		{"change", eve(n), "get-aws-write-credentials", `{"profile": "prod"}`, "", approvalWanted, "ops-change", "touch"},
		{"change, sealed", eve(n), "get-aws-write-credentials", `{"profile": "prod", "seal_to": "` + recipient + `"}`, "", approvalWanted, "ops-change", "touch"},
		{"change, approved", eve(n), "get-aws-write-credentials", `{"profile": "prod", "seal_to": "` + recipient + `", "approval": "CODE"}`, "", allow, "ops-change", "allows this"},
		{"change, approved and unsealed", eve(n), "get-aws-write-credentials", `{"profile": "prod", "approval": "CODE"}`, "", deny, "ops-change", "only sealed"},
		{"change, with a wrong code", eve(n), "get-aws-write-credentials", `{"profile": "prod", "approval": "ABCD-EFGH-IJKL-MNOP"}`, "", approvalWanted, "ops-change", "touch"},
		{"change in relay mode", relay, "get-aws-write-credentials", `{"profile": "prod"}`, "", deny, "ops-change", "relay mode"},
		{"write with a profile that reads", eve(n), "get-aws-write-credentials", `{"profile": "prod-look"}`, "", deny, "", "get-aws-credentials"},
		{"too long", eve(n), "get-aws-write-credentials", `{"profile": "prod", "duration_seconds": 3600}`, "", deny, "ops-change", "900"},
		{"e-mail that nobody verified", stranger, "get-aws-credentials", `{"profile": "prod-look"}`, "", deny, "", ""},
		{"scope that was not granted", reader, "get-aws-write-credentials", `{"profile": "prod"}`, "", deny, "", "declined"},
		{"no such profile", bob, "get-aws-credentials", `{"profile": "nope"}`, "", deny, "", "no such profile"},
		{"profile and role", bob, "get-aws-credentials", `{"profile": "prod-look", "role_arn": "` + role + `"}`, "", deny, "", "not both"},
		{"neither", bob, "get-aws-credentials", `{}`, "", deny, "", "role_arn"},
		{"a repository", bob, "get-github-token", `{"owner": "example", "repositories": ["web"]}`, "", allow, "everyone-looks", ""},
		{"a denied repository", bob, "get-github-token", `{"owner": "example", "repositories": ["web", "Payroll"]}`, "", deny, "no-payroll", "denies"},
		{"frozen", bob, "get-aws-credentials", `{"profile": "prod-look"}`, "closed until Monday", deny, "FREEZE", "closed until Monday"},
		{"malformed", bob, "get-github-token", `{"owner": 7}`, "", deny, "", "owner must be"},
	} {
		d, mints := tellDesk(t, examplePolicy, test.freeze)
		object := test.arguments
		if strings.Contains(object, "CODE") {
			in, err := parseArguments([]byte(object), d.tool(test.tool).schema("input.properties"))
			if err != nil {
				t.Fatal(err)
			}
			sum, _ := approval.Canonical(in, approvalArgument, sealToArgument)
			code, err := n.Code(approval.Call{Subject: "eve", ClientIDHash: eve(n).ClientIDHash, Tool: test.tool, Arguments: sum}, "eve", d.config.Now())
			if err != nil {
				t.Fatal(err)
			}
			object = strings.Replace(object, "CODE", code, 1)
		}
		told, err := d.Run(t.Context(), test.who, &mcp.Call{Tool: "explain-access", Arguments: json.RawMessage(`{"tool": "` + test.tool + `", "arguments": ` + object + `}`)})
		if err != nil {
			t.Fatal(err)
		}
		got, _ := told.Structured.(explanation)
		if got.Decision != test.decision || got.Rule != test.rule {
			t.Errorf("%s: explained as %s by %q, want %s by %q", test.name, got.Decision, got.Rule, test.decision, test.rule)
		}
		if !strings.Contains(got.Reason, test.reason) || got.Reason == "" || strings.Contains(got.Reason, "/approve?") {
			t.Errorf("%s: the reason is %q; want %q in it, and no link", test.name, got.Reason, test.reason)
		}
		if *mints != 0 {
			t.Errorf("%s: explaining handed something out", test.name)
		}
		result, err := d.Run(t.Context(), test.who, &mcp.Call{Tool: test.tool, Arguments: json.RawMessage(object)})
		if err != nil {
			t.Fatal(err)
		}
		f, _ := result.Structured.(failure)
		called := map[bool]string{true: deny, false: allow}[result.IsError]
		if f.Link != "" {
			called = approvalWanted
		}
		if called != test.decision || *mints != map[bool]int{true: 1}[called == allow] {
			t.Errorf("%s: the call came to %s: %+v", test.name, called, result)
		}
	}
}

// TestListAccess: what may be had by this client, with its terms.
func TestListAccess(t *testing.T) {
	n := newNotary(t)
	reader := eve(n)
	reader.Granted = authserver.ScopeAWS
	d, _ := tellDesk(t, examplePolicy, "")
	list := func(d *Desk, who Caller) string {
		r, err := d.Run(t.Context(), who, &mcp.Call{Tool: "list-access", Arguments: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(r.Structured)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	all := list(d, eve(n))
	for _, holds := range []string{
		`{"tool":"get-aws-credentials","rule":"everyone-looks","profile":"prod-look","about":"look only","role_arn":"arn:aws:iam::444455556666:role/Agents","level":"read",`,
		`{"tool":"get-aws-write-credentials","rule":"ops-change","profile":"prod","role_arn":"arn:aws:iam::444455556666:role/Agents","level":"write","max_seconds":900,"approval":"touch","delivery":"sealed"}`,
		`"repositories":"example/*"`, `"except":["example/payroll"]`, `{"tool":"get-ssh-certificate",`,
	} {
		if !strings.Contains(all, holds) {
			t.Errorf("the list has no %s:\n%s", holds, all)
		}
	}
	if narrow := list(d, reader); strings.Contains(narrow, "write-credentials") || strings.Contains(narrow, "github-token") || !strings.Contains(narrow, `"not_granted":["aws:write","github","ssh"]`) {
		t.Errorf("the list of a reader: %s", narrow)
	}
	frozen, _ := tellDesk(t, examplePolicy, "closed")
	if text := list(frozen, eve(n)); text != `{"access":[],"note":"closed"}` {
		t.Errorf("frozen: %s", text)
	}
	free, _ := tellDesk(t, "", "")
	if text := list(free, reader); !strings.Contains(text, `{"tool":"get-aws-credentials","level":"read","approval":"none","delivery":"any"}]`) {
		t.Errorf("without a policy: %s", text)
	}
}

func TestWhoami(t *testing.T) {
	d, _ := tellDesk(t, "", "")
	r, err := d.Run(t.Context(), eve(nil), &mcp.Call{Tool: "whoami", Arguments: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	got, _ := r.Structured.(whoami)
	want := whoami{Subject: "eve", Email: "eve@ops.example.com", Verified: true, Client: "Test App", Host: got.Host, Expires: got.Expires, SignedIn: got.SignedIn,
		Scopes: []string{"aws", "aws:write", "github", "ssh"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
