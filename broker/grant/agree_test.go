package grant

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/policy/policytest"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// An asker puts one question to a desk under one random policy, in every way in which
// it can be put.
type asker struct {
	t      *testing.T
	desk   *Desk
	wire   *wire
	lines  []*record
	rules  *policy.Policy
	who    Caller
	q      policy.Request
	object map[string]any // the arguments
}

var agreeTime = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func newAsker(t *testing.T, n *approval.Notary, seed uint64) (a *asker, d policytest.Document) {
	r := rand.New(rand.NewPCG(seed, 2))
	d = policytest.New(r)
	d.Mode = []string{"enforce", "enforce", "enforce", "audit"}[r.IntN(4)]
	known := policytest.Caller(r)
	a = &asker{t: t, q: d.Request(r), who: Caller{
		Subject: known.Subject, Email: known.Email, EmailVerified: known.Email != "", Clients: known.Clients, ClientName: known.Clients[0],
		Auth: vouch.Bearer{Token: theBearer}, Approvals: n, Asked: authserver.AllScopes, Granted: authserver.AllScopes,
	}}
	if known.Email == "" { // one that nobody verified is none
		a.who.Email = "bob@example.com"
	}
	a.object = policytest.Arguments(a.q)
	if a.q.Kind == policy.SSH {
		a.object["public_key"] = theKeyLine
	}
	var err error
	if a.rules, err = policy.Compile(d.JSON()); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time { return agreeTime }
	a.wire = &wire{now: now}
	out := upstream.Client{Fetcher: a.wire, Now: now}
	a.desk, err = New(Config{
		Vouch: vouch.Client{Issuer: vouchOfTests, Upstream: out}, STS: sts.Client{Upstream: out}, Policy: a.rules, Now: now,
		Log: func(line any) { a.lines = append(a.lines, line.(*record)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, d
}

// run calls a tool and returns the result and its line.
func (a *asker) run(tool string, arguments map[string]any, in mcp.Call) (mcp.Result, *record) {
	object, err := json.Marshal(arguments)
	if err != nil {
		a.t.Fatal(err)
	}
	in.Tool, in.Arguments = tool, object
	result, err := a.desk.Run(a.t.Context(), a.who, &in)
	if err != nil {
		a.t.Fatal(err)
	}
	return result, a.lines[len(a.lines)-1]
}

// explain is what explain-access says of the call, and says nothing else.
func (a *asker) explain() explanation {
	asked := a.wire.asked
	result, _ := a.run("explain-access", map[string]any{"tool": a.q.Tool, "arguments": a.object}, mcp.Call{})
	if a.wire.asked != asked {
		a.t.Errorf("explaining asked upstream")
	}
	told, ok := result.Structured.(explanation)
	if !ok {
		a.t.Fatalf("explained %+v", result)
	}
	return told
}

// listed is the entry of list-access that gives the request, or nil.
func (a *asker) listed() *policy.Entry {
	result, _ := a.run("list-access", map[string]any{}, mcp.Call{})
	var all []policy.Entry
	for _, e := range result.Structured.(access).Access {
		kind := policy.AWS
		switch e.Tool {
		case "get-github-token":
			kind = policy.GitHub
		case "get-ssh-certificate":
			kind = policy.SSH
		}
		all = append(all, policy.Entry{
			Kind: kind, Tool: e.Tool, Rule: e.Rule, Profile: e.Profile, RoleARN: e.RoleARN, Roles: e.Roles, Repositories: e.Repositories, Installation: e.Installation,
			Except: e.Except, Level: policy.Level(e.Level), Seconds: e.MaxSeconds, Approve: policy.Approve(e.Approval), Approvers: e.Approvers, Sealed: e.Delivery == "sealed", Recipients: e.Recipients,
		})
	}
	q := a.q
	q.SealTo = policytest.Recipient // what an entry says of seals is its own
	return policytest.Listed(all, q)
}

// approve gets the code for a link from somebody who may give it; none if nobody can.
func (a *asker) approve(link string, d policy.Decision) string {
	u, err := url.Parse(link)
	if err != nil {
		a.t.Fatal(err)
	}
	request, err := a.who.Approvals.OpenLink(u.Query().Get("r"), agreeTime)
	if err != nil {
		a.t.Fatal(err)
	}
	by := []string{a.who.Subject}
	if len(d.Approvers) > 0 {
		by = slices.DeleteFunc(slices.Clone(d.Approvers), func(name string) bool {
			return name == a.who.Subject || a.who.EmailVerified && name == glob.Lower(a.who.Email)
		})
	}
	if len(by) == 0 {
		return ""
	}
	code, err := a.who.Approvals.Code(request.Call, by[0], agreeTime)
	if err != nil {
		a.t.Fatal(err)
	}
	return code
}

// wantMinted checks that exactly what was decided was minted, once, and left as it
// was to leave.
func (a *asker) wantMinted(r mcp.Result, line *record, d policy.Decision) {
	a.t.Helper()
	if r.IsError || len(a.wire.minted) != 1 {
		a.t.Errorf("%d credentials, %+v", len(a.wire.minted), r)
		return
	}
	got := a.wire.minted[0]
	switch a.q.Kind {
	case policy.AWS:
		var arns []string
		partition := strings.Split(d.RoleARN, ":")[1]
		switch d.Level {
		case policy.View:
			arns = []string{"arn:" + partition + ":iam::aws:policy/job-function/ViewOnlyAccess"}
		case policy.Read:
			arns = []string{"arn:" + partition + ":iam::aws:policy/ReadOnlyAccess"}
		}
		if got.role != d.RoleARN || got.seconds != strconv.Itoa(d.Seconds) || !slices.Equal(got.arns, arns) {
			a.t.Errorf("decided %+v, which is %q, minted %+v", d, arns, got)
		}
		if line.Level != d.Level || line.Seconds != d.Seconds {
			a.t.Errorf("decided %+v, logged %+v", d, line)
		}
	case policy.GitHub:
		if !strings.EqualFold(got.owner, a.q.Owner) || (got.repositories == nil) != (a.q.Repositories == nil) || len(got.repositories) != len(a.q.Repositories) ||
			slices.ContainsFunc(got.repositories, func(name string) bool { return !slices.Contains(a.q.Repositories, name) }) {
			a.t.Errorf("decided %+v, minted %+v", a.q, got)
		}
	case policy.SSH:
		if got.key != theKeyLine {
			a.t.Errorf("minted %+v", got)
		}
	}
	if out, ok := r.Structured.(awsCredentials); ok && (out.Level != d.Level || !slices.Equal(out.PolicyArns, got.arns)) {
		a.t.Errorf("decided %+v, minted %+v, and told %+v", d, got, out)
	}
	text, err := json.Marshal(r.Structured)
	if err != nil {
		a.t.Fatal(err)
	}
	naked := false
	for _, secret := range []string{theKey, theSession, theGitHub, "ssh-ed25519-cert-v01"} {
		naked = naked || strings.Contains(string(text)+r.Text, secret)
	}
	if sealed := d.Sealed || a.q.SealTo != ""; naked == sealed || sealed && line.SealedTo != a.q.SealTo {
		a.t.Errorf("decided %+v for %q, left as %s", d, a.q.SealTo, text)
	}
	want := allow
	if d.WouldDeny {
		want = wouldDeny
	}
	if line.Decision != want || line.Rule != d.Rule {
		a.t.Errorf("logged %s by %q, want %s by %q", line.Decision, line.Rule, want, d.Rule)
	}
	if line.Outcome != "issued" || line.Issued == nil {
		a.t.Errorf("logged as %s, %+v; want issued, and what", line.Outcome, line.Issued)
	}
}

// wantNothing checks that a call was refused with that decision, and nobody asked.
func (a *asker) wantNothing(r mcp.Result, line *record, decision, rule string) {
	a.t.Helper()
	if !r.IsError && r.Ask == nil {
		a.t.Errorf("got %+v, want a refusal or a question", r)
	}
	if a.wire.asked != 0 || line.Issued != nil {
		a.t.Errorf("%d requests, and logged as issued: %+v; want none", a.wire.asked, line.Issued)
	}
	if line.Decision != decision || line.Rule != rule {
		a.t.Errorf("logged %s by %q, want %s by %q", line.Decision, line.Rule, decision, rule)
	}
}

// TestEverythingAgrees: Decide, explain-access, list-access, the document's own tests
// and the real call come to the same, and what is minted is what was decided.
func TestEverythingAgrees(t *testing.T) {
	policies := uint64(10_000)
	if testing.Short() {
		policies = 1000
	}
	n, seen := newNotary(t), map[string]int{}
	for seed := range policies {
		a, document := newAsker(t, n, seed)
		decided := a.rules.Decide(a.who.known(), a.q)
		seen[a.agree(document, decided)]++
		if t.Failed() {
			t.Fatalf("seed %d: %+v asks %+v under %s", seed, a.who.known(), a.q, document.JSON())
		}
	}
	for _, one := range []string{"allow", "would-deny", "deny", "touch", "ask", "approved, unsealed", "approved by nobody"} {
		if uint64(seen[one]) < policies/500 {
			t.Errorf("%d came to %q: the policies prove little (%v)", seen[one], one, seen)
		}
	}
}

// agree asks in every way and returns what it came to.
func (a *asker) agree(document policytest.Document, d policy.Decision) string {
	want, test := allow, "allow"
	switch {
	case !d.Allow:
		want, test = deny, "deny"
	case d.Approve != policy.ApproveNone:
		want, test = approvalWanted, string(d.Approve)
	}
	if told := a.explain(); told.Decision != want || told.Rule != d.Rule || told.Reason != d.Reason {
		a.t.Errorf("decided %+v, explained %+v", d, told)
	}

	if d.WouldDeny {
		test = "deny" // tests are about the rules
	}
	who := map[string]string{"sub": a.who.Subject, "client": a.who.Clients[0]}
	if a.who.EmailVerified {
		who["email"] = a.who.Email
	}
	call := policytest.Arguments(a.q)
	call["tool"] = a.q.Tool
	document.Tests = []policytest.Test{{Who: who, Call: call, Want: test}}
	if _, err := policy.Compile(document.JSON()); err != nil {
		a.t.Errorf("decided %+v, and a test that wants %s says %v", d, test, err)
	}

	sealed := a.q
	sealed.SealTo = policytest.Recipient
	rules := a.rules.Decide(a.who.known(), sealed)
	switch e := a.listed(); {
	case (e != nil) != (rules.Allow && !rules.WouldDeny):
		a.t.Errorf("decided %+v, listed %+v", rules, e)
	case e != nil && (e.Rule != rules.Rule || e.Approve != rules.Approve || e.Sealed != rules.Sealed || e.Level != rules.Level):
		a.t.Errorf("decided %+v, listed %+v", rules, e)
	}

	if want != approvalWanted {
		r, line := a.run(a.q.Tool, a.object, mcp.Call{})
		if want == deny {
			a.wantNothing(r, line, deny, d.Rule)
			return deny
		}
		a.wantMinted(r, line, d)
		return line.Decision
	}
	r, line := a.run(a.q.Tool, a.object, mcp.Call{AsksPeople: true})
	a.wantNothing(r, line, approvalWanted, d.Rule)
	approved := d.Approved()
	if d.Approve == policy.ApproveAsk {
		if r.Ask == nil {
			a.t.Fatalf("nobody is asked: %+v", r)
		}
		r, line = a.run(a.q.Tool, a.object, mcp.Call{AsksPeople: true, RequestState: r.Ask.State, InputResponses: json.RawMessage(yes)})
	} else {
		f, _ := r.Structured.(failure)
		code := a.approve(f.Link, d)
		if code == "" {
			return "approved by nobody"
		}
		a.object["approval"] = code
		if told := a.explain(); (told.Decision == allow) != approved.Allow || told.Rule != approved.Rule || told.Reason != approved.Reason {
			a.t.Errorf("approved %+v, explained %+v", approved, told)
		}
		r, line = a.run(a.q.Tool, a.object, mcp.Call{})
	}
	if !approved.Allow {
		a.wantNothing(r, line, deny, approved.Rule)
		return "approved, unsealed"
	}
	a.wantMinted(r, line, approved)
	if line.ApprovedBy == "" {
		a.t.Errorf("approved, logged %+v", line)
	}
	return string(d.Approve)
}
