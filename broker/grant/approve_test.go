package grant

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/vouch"
)

const (
	role   = "arn:aws:iam::444455556666:role/Agents"
	theKey = "wJalrXUtnFEMI/K7MDENG"
)

// A counter is a desk with one tool, whose credential costs nothing and is counted.
type counter struct {
	*Desk
	t     *testing.T
	now   time.Time
	mints int
	mint  func(context.Context, *call) (minted, error) // counts, unless a test has another
	lines []map[string]any
}

// newCounter returns one under a policy of one rule, for role, with these members.
func newCounter(t *testing.T, members string) *counter {
	t.Helper()
	rules, err := policy.Compile([]byte(`{"version": 1, "mode": "enforce", "rules": [{"id": "ops", "allow": {"aws": ["arn:aws:iam::444455556666:role/*"]}, "level": "write"` + members + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{t: t, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	c.mint = countMint(&c.mints)
	fake, other := awsTool(), awsWriteTool()
	fake.prepare = func(_ *Desk, in arguments) (w credential, err error) {
		if w.request.RoleARN, err = in.text("role_arn"); err != nil {
			return w, err
		}
		w.request.Kind, w.target.RoleARN = policy.AWS, w.request.RoleARN
		if w.request.Seconds, err = in.whole("duration_seconds", 900, 43200); err != nil {
			return w, err
		}
		w.mint = c.mint
		return w, nil
	}
	other.prepare = func(d *Desk, in arguments) (credential, error) {
		w, err := fake.prepare(d, in)
		w.request.Write = true
		return w, err
	}
	log := func(line any) {
		text, err := json.Marshal(line)
		var members map[string]any
		if err == nil {
			err = json.Unmarshal(text, &members)
		}
		if err != nil {
			t.Error(err)
		}
		c.lines = append(c.lines, members)
	}
	c.Desk, err = newDesk(Config{Policy: rules, Now: func() time.Time { return c.now }, Log: log}, []tool{fake, other})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// countMint counts a credential that costs nothing.
func countMint(mints *int) func(context.Context, *call) (minted, error) {
	return func(context.Context, *call) (minted, error) {
		*mints++
		whole := awsCredentials{Version: 1, AccessKeyId: "ASIAEXAMPLE", SecretAccessKey: theKey, SessionToken: "IQoJb3JpZ2luX2Vj", Expiration: "2026-11-25T13:00:00Z", AssumedRoleArn: "arn:aws:sts::444455556666:assumed-role/Agents/eve"}
		return minted{
			whole: whole,
			bare: func(d delivery) any {
				bare := whole
				bare.SecretAccessKey, bare.SessionToken, bare.delivery = "", "", d
				return bare
			},
			text: format.AWS{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: secret.New(theKey), SessionToken: secret.New("IQoJb3JpZ2luX2Vj"), Expiration: time.Unix(0, 0)}.Text,
		}, nil
	}
}

func newNotary(t *testing.T) *approval.Notary {
	t.Helper()
	key := p256test.Key()
	return &approval.Notary{Box: seal.Box{Current: key, Issuer: "https://b.example", VouchIssuer: "https://v.example", Resource: "https://b.example/mcp"}}
}

// eve calls with a client of hers.
func eve(n *approval.Notary) Caller {
	return Caller{
		Subject: "eve", Email: "eve@ops.example.com", EmailVerified: true, ClientID: "sha256:00", ClientName: "Test App",
		ClientIDHash: sha256.Sum256([]byte("client")), Approvals: n, Auth: vouch.Signed{}, Asked: authserver.AllScopes, Granted: authserver.AllScopes,
	}
}

const plainCall = `{"role_arn": "` + role + `", "duration_seconds": 900, "purpose": "mend the site"}`

// with returns an object with one more member.
func with(object, name, value string) string {
	member, _ := json.Marshal(map[string]string{name: value})
	return strings.TrimSuffix(object, "}") + ", " + strings.TrimPrefix(string(member), "{")
}

func (c *counter) run(who Caller, q mcp.Call) mcp.Result {
	c.t.Helper()
	q.Tool = cmp.Or(q.Tool, "get-aws-credentials")
	result, err := c.Run(context.Background(), who, &q)
	if err != nil {
		c.t.Fatal(err)
	}
	return result
}

func (c *counter) call(who Caller, object string) mcp.Result {
	c.t.Helper()
	return c.run(who, mcp.Call{Arguments: json.RawMessage(object)})
}

func (c *counter) last() map[string]any { return c.lines[len(c.lines)-1] }

// wantLogged compares members of the last line; nil is one that is absent.
func (c *counter) wantLogged(name string, want map[string]any) {
	c.t.Helper()
	line := c.last()
	for member, value := range want {
		if line[member] != value {
			c.t.Errorf("%s: %s is logged as %v, want %v", name, member, line[member], value)
		}
	}
}

// wantRefused checks that a call was refused with a status and a sentence.
func wantRefused(t *testing.T, name string, r mcp.Result, status int, says string) failure {
	t.Helper()
	f, ok := r.Structured.(failure)
	if !ok || !r.IsError {
		t.Fatalf("%s: %+v, want a failure", name, r)
	}
	if f.Status != status {
		t.Errorf("%s: status %d, want %d", name, f.Status, status)
	}
	if !strings.Contains(f.Message, says) {
		t.Errorf("%s: %q, want %q in it", name, f.Message, says)
	}
	return f
}

// wantLink checks that a call was refused with a link, and opens it.
func (c *counter) wantLink(n *approval.Notary, r mcp.Result) *approval.Request {
	c.t.Helper()
	f := wantRefused(c.t, "unapproved", r, 403, "Do not open the link yourself")
	if f.Link == "" || !strings.Contains(f.Message, f.Link) {
		c.t.Fatalf("the link %q is not in %q", f.Link, f.Message)
	}
	u, err := url.Parse(f.Link)
	if err != nil {
		c.t.Fatal(err)
	}
	request, err := n.OpenLink(u.Query().Get("r"), c.now)
	if err != nil {
		c.t.Fatal(err)
	}
	c.wantLogged("unapproved", map[string]any{"decision": approvalWanted, "outcome": "refused", "rule": "ops", "approved_by": nil})
	if text, _ := json.Marshal(c.last()); strings.Contains(string(text), "/approve") {
		c.t.Errorf("the link is in the log: %s", text)
	}
	return request
}

func (c *counter) wantMinted(r mcp.Result, by string) {
	c.t.Helper()
	if c.mints != 1 || r.IsError || r.Structured == nil {
		c.t.Errorf("%d credentials, %+v", c.mints, r)
	}
	c.wantLogged("minted", map[string]any{"decision": allow, "outcome": "issued", "approved_by": by, "rule": "ops"})
}

func (c *counter) wantNothing(name string) {
	c.t.Helper()
	if c.mints != 0 {
		c.t.Errorf("%s: a credential was handed out", name)
	}
}

// TestTouchToGrant: refused with a link, then the same call with the code.
func TestTouchToGrant(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "touch"`)
	refused := c.call(eve(n), plainCall)
	request := c.wantLink(n, refused)
	c.wantNothing("no code")
	if f := refused.Structured.(failure); !strings.Contains(f.Message, "eve@ops.example.com, in whose name you call, must approve this call of get-aws-credentials for "+role+" with a touch") || !strings.Contains(f.Message, "call get-aws-credentials again with the same arguments and the code as approval") {
		t.Error(f.Message)
	}
	facts := ""
	for _, f := range request.Facts {
		facts += f.Name + "=" + f.Value + ";"
	}
	if request.Person != "eve@ops.example.com" || request.ClientName != "Test App" {
		t.Errorf("asked for %q by %q", request.Person, request.ClientName)
	}
	if request.Rule != "ops" || len(request.Approvers) != 0 {
		t.Errorf("asked by the rule %q, of %q; want ops, and whoever calls", request.Rule, request.Approvers)
	}
	if want := "AWS role=" + role + ";What it may do there=read, stored data too;For how long=15 minutes;Purpose=mend the site;"; facts != want {
		t.Fatalf("told %s\nwant %s", facts, want)
	}
	if !request.Facts[3].Claimed {
		t.Error("the purpose is not told as what the app says")
	}
	code, err := n.Code(request.Call, "eve", c.now)
	if err != nil {
		t.Fatal(err)
	}
	c.wantMinted(c.call(eve(n), with(plainCall, "approval", code)), "eve")
}

// TestApprovalOfAnotherCall: a code is for one call. Each of these is refused with a
// new link, and nothing is handed out.
func TestApprovalOfAnotherCall(t *testing.T) {
	n := newNotary(t)
	approved := func(members string) (*counter, string) {
		c := newCounter(t, members)
		code, err := n.Code(c.wantLink(n, c.call(eve(n), plainCall)).Call, "eve", c.now)
		if err != nil {
			t.Fatal(err)
		}
		return c, code
	}
	other := newNotary(t)
	for _, test := range []struct {
		name    string
		members string
		change  func(c *counter, who *Caller, code *string, object *string)
	}{
		{"another person", "", func(_ *counter, who *Caller, _, _ *string) { who.Subject = "bob" }},
		{"another client", "", func(_ *counter, who *Caller, _, _ *string) { who.ClientIDHash[0] ^= 1 }},
		{"another role", "", func(_ *counter, _ *Caller, _, object *string) {
			*object = strings.Replace(*object, "Agents", "Other", 1)
		}},
		{"another life", "", func(_ *counter, _ *Caller, _, object *string) { *object = strings.Replace(*object, "900", "901", 1) }},
		{"another purpose", "", func(_ *counter, _ *Caller, _, object *string) { *object = strings.Replace(*object, "mend", "break", 1) }},
		{"one argument more", "", func(_ *counter, _ *Caller, _, object *string) { *object = with(*object, "region", "eu-central-1") }},
		{"in another format", "", func(_ *counter, _ *Caller, _, object *string) { *object = with(*object, "format", "env") }},
		{"one argument less", "", func(_ *counter, _ *Caller, _, object *string) { *object = `{"role_arn": "` + role + `"}` }},
		{"after five minutes", "", func(c *counter, _ *Caller, _, _ *string) { c.now = c.now.Add(5 * time.Minute) }},
		{"altered at the start", "", func(_ *counter, _ *Caller, code, _ *string) { *code = flip((*code)[0]) + (*code)[1:] }},
		{"altered at the end", "", func(_ *counter, _ *Caller, code, _ *string) { *code = (*code)[:18] + flip((*code)[18]) }},
		{"made up", "", func(_ *counter, _ *Caller, code, _ *string) { *code = "ABCD-EFGH-IJKL-MNOP" }},
		{"the requester's where approvers are needed", `, "approvers": ["carol@example.com"]`, func(*counter, *Caller, *string, *string) {}},
	} {
		c, code := approved(`, "approve": "touch"` + test.members)
		who, object := eve(n), plainCall
		test.change(c, &who, &code, &object)
		c.wantLink(n, c.call(who, with(object, "approval", code)))
		c.wantNothing(test.name)
	}
	c, code := approved(`, "approve": "touch"`)
	c.wantLink(n, c.run(eve(n), mcp.Call{Tool: "get-aws-write-credentials", Arguments: json.RawMessage(with(plainCall, "approval", code))}))
	c.wantNothing("another tool")
	c, code = approved(`, "approve": "touch"`)
	c.wantLink(other, c.call(eve(other), with(plainCall, "approval", code)))
	c.wantNothing("another broker")
}

// TestTargetInASentence: a refusal says what for.
func TestTargetInASentence(t *testing.T) {
	for want, of := range map[string]target{
		"the profile prod":                     {Profile: "prod", RoleARN: role},
		role:                                   {RoleARN: role},
		"the key SHA256:x":                     {KeyFingerprint: "SHA256:x"},
		"all repositories of acme":             {Owner: "acme"},
		"all repositories of the installation": {},
		"acme/web, acme/api":                   {Owner: "acme", Repositories: []string{"web", "api"}},
		"4 repositories of acme":               {Owner: "acme", Repositories: []string{"a", "b", "c", "d"}},
	} {
		if got := of.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func flip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

// TestTheSameCallSpelledOtherwise: what a client's JSON library does between two
// calls makes no other call of it.
func TestTheSameCallSpelledOtherwise(t *testing.T) {
	n := newNotary(t)
	for _, object := range []string{
		`{"purpose":"mend the site","duration_seconds":900,"role_arn":"` + role + `"}`,
		"{\n\t\"duration_seconds\" : 900.0, \"role_arn\":\"" + strings.ReplaceAll(role, "/", `\/`) + "\", \"purpose\": \"mend the \\u0073ite\"}",
		`{"duration_seconds":9e2,"role_arn":"` + role + `","purpose":"mend the site","region":null}`,
		with(plainCall, "seal_to", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"),
	} {
		c := newCounter(t, `, "approve": "touch"`)
		code, err := n.Code(c.wantLink(n, c.call(eve(n), plainCall)).Call, "eve", c.now)
		if err != nil {
			t.Fatal(err)
		}
		c.wantMinted(c.call(eve(n), with(object, "approval", strings.ToLower(code))), "eve")
	}
}

// TestApprovers: each whom the rule names is tried, and is on the line of the call.
func TestApprovers(t *testing.T) {
	n := newNotary(t)
	for _, by := range []string{"carol@example.com", "dave"} {
		c := newCounter(t, `, "approve": "touch", "approvers": ["carol@example.com", "dave"]`)
		result := c.call(eve(n), plainCall)
		request := c.wantLink(n, result)
		if f := result.Structured.(failure); strings.Join(request.Approvers, " ") != "carol@example.com dave" || request.Email != "eve@ops.example.com" || !strings.Contains(f.Message, "one of the approvers (carol@example.com, dave), and not eve@ops.example.com, in whose name you call,") {
			t.Errorf("asked %+v, %s", request, f.Message)
		}
		code, err := n.Code(request.Call, by, c.now)
		if err != nil {
			t.Fatal(err)
		}
		c.wantMinted(c.call(eve(n), with(plainCall, "approval", code)), by)
	}
}

// TestTheRequesterIsNoApprover: not with a code of their own from before the rule named
// approvers, them among these.
func TestTheRequesterIsNoApprover(t *testing.T) {
	n := newNotary(t)
	for _, own := range []string{"eve", "eve@ops.example.com"} {
		for _, approvers := range []string{`"eve", "eve@ops.example.com", "dave"`, `"eve", "eve@ops.example.com"`} {
			before := newCounter(t, `, "approve": "touch"`)
			code, err := n.Code(before.wantLink(n, before.call(eve(n), plainCall)).Call, own, before.now)
			if err != nil {
				t.Fatal(err)
			}
			c := newCounter(t, `, "approve": "touch", "approvers": [`+approvers+`]`)
			who := eve(n)
			who.Email = "Eve@Ops.example.com"
			c.wantLink(n, c.call(who, with(plainCall, "approval", code)))
			c.wantNothing(own)
		}
	}
}

// TestAnEmailThatNobodyVerified is not whom the page names, and makes nobody the same
// person as an approver.
func TestAnEmailThatNobodyVerified(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "touch"`)
	who := eve(n)
	who.EmailVerified = false
	if r := c.wantLink(n, c.call(who, plainCall)); r.Email != "" || r.Person != "eve" {
		t.Errorf("asked %+v", r)
	}
}

// TestArgumentsWithoutACanonicalForm are approved by no code: two of them could be
// taken for the same.
func TestArgumentsWithoutACanonicalForm(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "touch"`)
	for _, region := range []string{`{"a": 1}`, `[["a"]]`, `[null]`} {
		object := strings.TrimSuffix(plainCall, "}") + `, "region": ` + region + `}`
		if f, _ := c.call(eve(n), object).Structured.(failure); f.Status != 400 || f.Link != "" || !strings.Contains(f.Message, "texts, numbers") {
			t.Errorf("%s: %+v", region, f)
		}
	}
	c.wantNothing("no canonical form")
}

// TestRelayModeApprovesNothing: it has no key.
func TestRelayModeApprovesNothing(t *testing.T) {
	for _, approve := range []string{"touch", "ask"} {
		c := newCounter(t, `, "approve": "`+approve+`"`)
		who := eve(nil)
		who.Auth = vouch.Bearer{}
		r := c.run(who, mcp.Call{Arguments: json.RawMessage(with(plainCall, "approval", "ABCD-EFGH-IJKL-MNOP")), AsksPeople: true})
		if f := wantRefused(t, approve, r, 403, "relay mode"); f.Link != "" {
			t.Errorf("%s: there is a link: %s", approve, f.Link)
		}
		c.wantLogged(approve, map[string]any{"decision": deny})
		c.wantNothing(approve)
	}
}

// TestALongRequestIsNotCutShort: a page that left something out would be a lie.
func TestALongRequestIsNotCutShort(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "touch"`)
	r := c.call(eve(n), `{"role_arn": "arn:aws:iam::444455556666:role/`+strings.Repeat("a", 1500)+`"}`)
	if f, _ := r.Structured.(failure); f.Status != 400 || f.Link != "" || !strings.Contains(f.Message, "more than fits") {
		t.Errorf("%+v", r)
	}
	c.wantNothing("long")
}
