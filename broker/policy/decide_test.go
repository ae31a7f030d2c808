package policy

import (
	"strings"
	"testing"
)

const agents = "arn:aws:iam::444455556666:role/Agents"

// three is a policy with every kind of rule.
const three = `{"version": 1, "mode": "enforce",
 "aws": {"prod-look": {"role_arn": "arn:aws:iam::444455556666:role/Agents", "level": "read", "max_seconds": 7200},
         "prod":      {"role_arn": "arn:aws:iam::444455556666:role/Agents", "level": "write", "max_seconds": 900},
         "list":      {"role_arn": "arn:aws:iam::444455556666:role/List", "level": "view"}},
 "rules": [
  {"id": "everyone", "allow": {"who": {"email": ["*@example.com"]}, "aws": ["prod-look", "list"], "github": ["example/*", "Tools/lint"], "ssh": true}},
  {"id": "ops", "allow": {"who": {"email": ["*@ops.example.com"]}, "aws": ["prod"]}, "approve": "touch"},
  {"id": "sandbox", "allow": {"aws": ["arn:aws:iam::111122223333:role/*"]}, "max_seconds": 1800},
  {"id": "sandbox-change", "allow": {"aws": ["arn:aws:iam::111122223333:role/Dev*"]}, "level": "write", "approve": "ask"},
  {"id": "sandbox-view", "allow": {"aws": ["arn:aws:iam::111122224444:role/*"]}, "level": "view"},
  {"id": "robots", "allow": {"who": {"sub": ["robot-*"], "client": ["ci.example"]}, "github": ["other/app", "*/docs"]}},
  {"id": "no-payroll", "deny": {"github": ["example/payroll"]}},
  {"id": "no-vendors", "deny": {"who": {"email": ["*@vendor.example.com"]}}},
  {"id": "no-list", "deny": {"who": {"email": ["eve@*"]}, "aws": ["list"]}},
  {"id": "no-admin", "deny": {"aws": ["arn:*:role/*Admin*"]}},
  {"id": "no-desktop", "deny": {"who": {"client": ["desktop.example"]}, "ssh": true}}]}`

func read(profile string) Request { return Request{Tool: readTool, Kind: AWS, Profile: profile} }
func write(profile string) Request {
	return Request{Tool: writeTool, Kind: AWS, Write: true, Profile: profile}
}
func role(arn string) Request { return Request{Tool: readTool, Kind: AWS, RoleARN: arn} }
func writeRole(arn string) Request {
	return Request{Tool: writeTool, Kind: AWS, Write: true, RoleARN: arn}
}
func seconds(r Request, n int) Request { r.Seconds = n; return r }
func sealed(r Request, to string) Request {
	r.SealTo = to
	return r
}
func repositories(owner string, names ...string) Request {
	return Request{Tool: githubTool, Kind: GitHub, Owner: owner, Repositories: names}
}

var certificate = Request{Tool: sshTool, Kind: SSH}

func TestDecide(t *testing.T) {
	p := mustCompile(t, three)
	bob := Caller{Subject: "1", Email: "bob@example.com", Clients: []string{"claude.example", "Claude"}}
	eve := Caller{Subject: "2", Email: "Eve@OPS.example.com", Clients: []string{"claude.example"}}
	unknown := Caller{Subject: "3", Clients: []string{"claude.example"}}
	stranger := Caller{Subject: "3", Email: "x@elsewhere.example", Clients: []string{"claude.example"}}
	robot := Caller{Subject: "robot-7", Email: "r@robots.example", Clients: []string{"ci.example"}}
	tests := []struct {
		name    string
		caller  Caller
		request Request
		want    want
		rule    string
	}{
		{"profile", bob, read("prod-look"), wantAllow, "everyone"},
		{"profile of another team", bob, read("prod"), wantDeny, ""},
		{"write tool on a profile to read", bob, write("prod-look"), wantDeny, ""},
		{"write tool", eve, write("prod"), wantTouch, "ops"},
		{"read tool on a profile to write", eve, read("prod"), wantTouch, "ops"},
		{"e-mail of a subdomain", eve, read("prod-look"), wantDeny, ""},
		{"unknown profile", bob, read("nothing"), wantDeny, ""},
		{"profile in capitals", bob, read("PROD-LOOK"), wantDeny, ""},
		{"role of a profile by its ARN", bob, role(agents), wantDeny, ""},
		{"role by a glob", stranger, role("arn:aws:iam::111122223333:role/team/ci/Build"), wantAllow, "sandbox"},
		{"role of another account", stranger, role("arn:aws:iam::111122225555:role/Build"), wantDeny, ""},
		{"role in other case", stranger, role("arn:aws:iam::111122223333:ROLE/Build"), wantDeny, ""},
		{"write to a role", stranger, writeRole("arn:aws:iam::111122223333:role/Developer"), wantAsk, "sandbox-change"},
		{"read of the same role", stranger, role("arn:aws:iam::111122223333:role/Developer"), wantAllow, "sandbox"},
		{"write to a role that is for reading", stranger, writeRole("arn:aws:iam::111122223333:role/Build"), wantDeny, ""},
		{"write to a role that is to be viewed", stranger, writeRole("arn:aws:iam::111122224444:role/Build"), wantDeny, ""},
		{"denied role", stranger, role("arn:aws:iam::111122223333:role/MyAdmin"), wantDeny, "no-admin"},
		{"profile and role", bob, Request{Tool: readTool, Kind: AWS, Profile: "list", RoleARN: agents}, wantDeny, ""},
		{"neither", bob, Request{Tool: readTool, Kind: AWS}, wantDeny, ""},
		{"denied profile", Caller{Subject: "4", Email: "eve@example.com"}, read("list"), wantDeny, "no-list"},
		{"asked for too long", bob, seconds(read("prod-look"), 7201), wantDeny, "everyone"},
		{"asked for the longest", bob, seconds(read("prod-look"), 7200), wantAllow, "everyone"},
		{"asked for longer than the rule", stranger, seconds(role("arn:aws:iam::111122223333:role/Build"), 1801), wantDeny, "sandbox"},

		{"repository", bob, repositories("example", "app"), wantAllow, "everyone"},
		{"repository in other case", bob, repositories("EXAMPLE", "App"), wantAllow, "everyone"},
		{"rule in other case", bob, repositories("tools", "LINT"), wantAllow, "everyone"},
		{"denied repository", bob, repositories("example", "payroll"), wantDeny, "no-payroll"},
		{"denied in other case", bob, repositories("Example", "PayRoll"), wantDeny, "no-payroll"},
		{"denied among others", bob, repositories("example", "app", "payroll"), wantDeny, "no-payroll"},
		{"installation with a denied one", bob, repositories("example"), wantDeny, "no-payroll"},
		{"installation of which one is allowed", bob, repositories("tools"), wantDeny, ""},
		{"repository beside an allowed one", bob, repositories("tools", "lint", "other"), wantDeny, ""},
		{"no owner", bob, repositories("", "app"), wantDeny, ""},
		{"empty list", bob, Request{Tool: githubTool, Kind: GitHub, Owner: "example", Repositories: []string{}}, wantDeny, ""},
		{"star between owner and name", robot, repositories("other", "docs"), wantAllow, "robots"},
		{"client and sub", robot, repositories("other", "app"), wantAllow, "robots"},
		{"sub and another client", Caller{Subject: "robot-7", Email: robot.Email, Clients: []string{"claude.example"}}, repositories("other", "app"), wantDeny, ""},
		{"client and another sub", Caller{Subject: "human", Email: robot.Email, Clients: []string{"ci.example"}}, repositories("other", "app"), wantDeny, ""},
		{"client in other case", Caller{Subject: "robot-7", Email: robot.Email, Clients: []string{"CI.example"}}, repositories("other", "app"), wantDeny, ""},
		{"no sub", Caller{Email: robot.Email, Clients: []string{"ci.example"}}, repositories("other", "app"), wantDeny, ""},

		{"certificate", bob, certificate, wantAllow, "everyone"},
		{"certificate of an unknown e-mail", unknown, certificate, wantDeny, "no-vendors"},
		{"certificate for a denied client", Caller{Subject: "1", Email: "bob@example.com", Clients: []string{"x", "desktop.example"}}, certificate, wantDeny, "no-desktop"},
		{"certificate for an unknown client", Caller{Subject: "1", Email: "bob@example.com"}, certificate, wantDeny, "no-desktop"},
		{"vendor", Caller{Subject: "5", Email: "x@vendor.example.com", Clients: []string{"c"}}, role("arn:aws:iam::111122223333:role/Build"), wantDeny, "no-vendors"},
		{"kind of another tool", bob, Request{Tool: sshTool, Kind: GitHub, Owner: "example", Repositories: []string{"app"}}, wantDeny, ""},
		{"no kind", bob, Request{Tool: sshTool}, wantDeny, ""},
		{"tool without rules", bob, Request{Tool: "whoami", Kind: SSH}, wantDeny, ""},
		{"writing by the read tool", eve, Request{Tool: readTool, Kind: AWS, Write: true, Profile: "prod"}, wantDeny, ""},
		{"reading by the write tool", eve, Request{Tool: writeTool, Kind: AWS, Profile: "prod"}, wantDeny, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := p.Decide(tt.caller, tt.request)
			if got := d.verdict(); got != tt.want || d.Rule != tt.rule {
				t.Errorf("got %s by rule %q (%s), want %s by %q", got, d.Rule, d.Reason, tt.want, tt.rule)
			}
			if d.Reason == "" {
				t.Error("no reason is given")
			}
		})
	}
}

// TestUnknownEmail: what the issuer has not verified, and what is no e-mail of
// ASCII, matches no allow and every deny.
func TestUnknownEmail(t *testing.T) {
	p := mustCompile(t, rules(
		`{"id": "all", "allow": {"who": {"email": ["*"]}, "ssh": true}}`,
		`{"id": "anyone", "allow": {"github": ["a/*"]}}`,
		`{"id": "no-eve", "deny": {"who": {"email": ["eve@example.com"]}, "github": ["a/secret"]}}`))
	for _, email := range []string{"", "bob", "@", "bob@", "@example.com", "a@b@example.com", "bob @example.com", "bob@example.com\n", "\u212aim@example.com", "bób@example.com"} {
		c := Caller{Subject: "1", Email: email}
		if d := p.Decide(c, certificate); d.Allow {
			t.Errorf("%q matches an allow", email)
		}
		if d := p.Decide(c, repositories("a", "secret")); d.Allow || d.Rule != "no-eve" {
			t.Errorf("%q escapes a deny", email)
		}
		if d := p.Decide(c, repositories("a", "b")); !d.Allow {
			t.Errorf("%q is refused what everyone has: %s", email, d.Reason)
		}
	}
	if d := p.Decide(Caller{Subject: "1", Email: "bob@example.com"}, certificate); !d.Allow {
		t.Error("a known e-mail is refused:", d.Reason)
	}
}

func TestGranted(t *testing.T) {
	p := mustCompile(t, three)
	eve := Caller{Subject: "2", Email: "eve@ops.example.com", Clients: []string{"c"}}
	bob := Caller{Subject: "1", Email: "bob@example.com", Clients: []string{"c"}}
	build, developer, view := "arn:aws:iam::111122223333:role/Build", "arn:aws:iam::111122223333:role/Developer", "arn:aws:iam::111122224444:role/X"
	const list = "arn:aws:iam::444455556666:role/List"
	tests := []struct {
		name    string
		caller  Caller
		request Request
		role    string
		level   Level
		seconds int
	}{
		{"write tool", eve, write("prod"), agents, Write, 900},
		{"read tool on a profile to write", eve, read("prod"), agents, Read, 900},
		{"profile to read", bob, read("prod-look"), agents, Read, 3600},
		{"less asked for", bob, seconds(read("prod-look"), 1000), agents, Read, 1000},
		{"more asked for", bob, seconds(read("prod-look"), 7200), agents, Read, 7200},
		{"profile to view", bob, read("list"), list, View, 3600},
		{"the profile sets no most", bob, seconds(read("list"), 43200), list, View, 43200},
		{"role", bob, role(build), build, Read, 1800},
		{"role to write", bob, writeRole(developer), developer, Write, 3600},
		{"role to view", bob, role(view), view, View, 3600},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := p.Decide(tt.caller, tt.request)
			if !d.Allow || d.RoleARN != tt.role || d.Profile != tt.request.Profile || d.Level != tt.level || d.Seconds != tt.seconds {
				t.Errorf("got %+v, want %s at %s for %d seconds", d, tt.role, tt.level, tt.seconds)
			}
		})
	}
}

// TestDeniedByOtherName: what is denied by a profile's name is not to be had by
// its role's ARN, nor the reverse.
func TestDeniedByOtherName(t *testing.T) {
	const catalog = `{"version": 1, "aws": {"look": {"role_arn": "` + agents + `"}, "prod": {"role_arn": "` + agents + `", "level": "write"}},
	 "rules": [{"id": "all", "allow": {"aws": ["look", "prod", "arn:*"]}, "level": "write"}, `
	caller := Caller{Subject: "1", Email: "bob@example.com"}
	for _, tt := range []struct {
		deny   string
		denied []Request
		others []Request
	}{
		{`{"id": "no", "deny": {"aws": ["prod"]}}`, []Request{read("prod"), write("prod"), role(agents), writeRole(agents)}, []Request{read("look"), role(agents + "2")}},
		{`{"id": "no", "deny": {"aws": ["` + agents + `"]}}`, []Request{read("prod"), write("prod"), role(agents), read("look")}, []Request{role(agents + "2")}},
		{`{"id": "no", "deny": {"aws": ["prod"], "tools": ["get-aws-write-credentials"]}}`, []Request{write("prod"), writeRole(agents)}, []Request{read("prod"), role(agents)}},
		{`{"id": "no", "deny": {"tools": ["get-aws-write-credentials"]}}`, []Request{write("prod"), writeRole(agents + "2")}, []Request{read("prod"), role(agents)}},
	} {
		p := mustCompile(t, catalog+tt.deny+"]}")
		for _, r := range tt.denied {
			if d := p.Decide(caller, r); d.Allow || d.Rule != "no" {
				t.Errorf("%s lets %+v through: %s", tt.deny, r, d.Reason)
			}
		}
		for _, r := range tt.others {
			if d := p.Decide(caller, r); !d.Allow {
				t.Errorf("%s refuses %+v: %s", tt.deny, r, d.Reason)
			}
		}
	}
}

func TestSeal(t *testing.T) {
	p := mustCompile(t, `{"version": 1, "aws": {"p": {"role_arn": "`+agents+`"}, "q": {"role_arn": "`+agents+`"}, "r": {"role_arn": "`+agents+`"}}, "rules": [
	 {"id": "sealed", "allow": {"aws": ["p"]}, "delivery": "sealed"},
	 {"id": "pinned", "allow": {"aws": ["q"]}, "delivery": "sealed", "recipients": ["`+goodRecipient+`"]},
	 {"id": "both", "allow": {"aws": ["r"]}, "delivery": "sealed", "approve": "touch", "recipients": ["`+goodRecipient+`"]}]}`)
	for _, tt := range []struct {
		name        string
		request     Request
		want, after want // before and after an approval
		rule        string
	}{
		{"no seal", read("p"), wantDeny, wantDeny, "sealed"},
		{"any seal", sealed(read("p"), otherRecipient), wantAllow, wantAllow, "sealed"},
		{"no seal to a pinned key", read("q"), wantDeny, wantDeny, "pinned"},
		{"seal to another key", sealed(read("q"), otherRecipient), wantDeny, wantDeny, "pinned"},
		{"seal to the pinned key", sealed(read("q"), goodRecipient), wantAllow, wantAllow, "pinned"},
		{"no seal before an approval", read("r"), wantTouch, wantDeny, "both"},
		{"wrong seal before an approval", sealed(read("r"), otherRecipient), wantDeny, wantDeny, "both"},
		{"seal and approval", sealed(read("r"), goodRecipient), wantTouch, wantAllow, "both"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := p.Decide(Caller{Subject: "1"}, tt.request)
			after := d.Approved()
			if d.verdict() != tt.want || after.verdict() != tt.after || d.Rule != tt.rule || after.Rule != tt.rule {
				t.Errorf("got %s and %s by %q and %q, want %s and %s by %q", d.verdict(), after.verdict(), d.Rule, after.Rule, tt.want, tt.after, tt.rule)
			}
			if !d.Sealed || !after.Sealed {
				t.Error("the decision does not ask for a seal")
			}
		})
	}
}

func TestMayApprove(t *testing.T) {
	p := mustCompile(t, rules(
		`{"id": "own", "allow": {"github": ["a/own"]}, "approve": "touch"}`,
		`{"id": "open", "allow": {"github": ["a/open"]}}`,
		`{"id": "others", "allow": {"github": ["a/others"]}, "approve": "touch", "approvers": ["Carol@example.com", "sub-dave", "bob@example.com", "1"]}`))
	bob := Caller{Subject: "1", Email: "bob@example.com"}
	for _, tt := range []struct {
		name, repository string
		approver         Caller
		want             string
	}{
		{"oneself", "own", bob, "1"},
		{"another", "own", Caller{Subject: "2", Email: "bob@example.com"}, ""},
		{"nothing to approve", "open", bob, ""},
		{"approver by e-mail", "others", Caller{Subject: "3", Email: "carol@EXAMPLE.com"}, "carol@example.com"},
		{"approver by sub", "others", Caller{Subject: "sub-dave"}, "sub-dave"},
		{"sub in other case", "others", Caller{Subject: "SUB-dave"}, ""},
		{"no approver", "others", Caller{Subject: "4", Email: "mallory@example.com"}, ""},
		{"approver without a verified e-mail", "others", Caller{Subject: "3"}, ""},
		{"requester among the approvers", "others", bob, ""},
		{"requester's e-mail under another sub", "others", Caller{Subject: "9", Email: "BOB@example.com"}, ""},
		{"nobody", "others", Caller{}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, ok := p.Decide(bob, repositories("a", tt.repository)).MayApprove(tt.approver)
			if ok != (tt.want != "") || ok && name != tt.want {
				t.Errorf("got %q, %v, want %q", name, ok, tt.want)
			}
		})
	}
	if _, ok := (Decision{}).MayApprove(Caller{}); ok {
		t.Error("the decision that was never made can be approved")
	}
	for _, tt := range []struct {
		approvers           []string
		requester, approver Caller
	}{
		{nil, Caller{}, Caller{}},
		{[]string{"carol@example.com"}, bob, Caller{Email: "carol@example.com"}},
		{[]string{""}, bob, Caller{Email: "carol@example.com"}},
	} {
		if name, ok := MayApprove(tt.approvers, tt.requester, tt.approver); ok {
			t.Errorf("%q: somebody without a sub approves as %q", tt.approvers, name)
		}
	}
}

// TestAudit: what enforce would refuse is let through and told, but not past an
// approval or a seal.
func TestAudit(t *testing.T) {
	const catalog = `"aws": {"look": {"role_arn": "` + agents + `"}, "prod": {"role_arn": "` + agents + `", "level": "write", "max_seconds": 900}, "list": {"role_arn": "arn:aws:iam::444455556666:role/List", "level": "view"}},`
	p := mustCompile(t, `{"version": 1, "mode": "audit", `+catalog+` "rules": [
	 {"id": "look", "allow": {"who": {"email": ["*@example.com"]}, "aws": ["look"], "github": ["a/app"]}},
	 {"id": "prod", "allow": {"who": {"email": ["*@ops.example.com"]}, "aws": ["prod"], "github": ["a/infra"]}, "approve": "touch"},
	 {"id": "list", "allow": {"who": {"sub": ["nobody"]}, "aws": ["list"]}},
	 {"id": "dev", "allow": {"aws": ["arn:aws:iam::111122223333:role/*"]}, "approve": "ask"},
	 {"id": "keys", "allow": {"who": {"email": ["*@ops.example.com"]}, "ssh": true}, "delivery": "sealed"},
	 {"id": "no-infra", "deny": {"github": ["a/infra"]}}]}`)
	bob := Caller{Subject: "1", Email: "bob@example.com"}
	eve := Caller{Subject: "2", Email: "eve@ops.example.com"}
	tests := []struct {
		name    string
		caller  Caller
		request Request
		want    want
		would   bool // deny
		rule    string
		level   Level
		seconds int
	}{
		{"allowed", bob, read("look"), wantAllow, false, "look", Read, 3600},
		{"nothing matches", bob, read("prod"), wantAllow, true, "", Read, 900},
		{"nothing matches, to write", bob, write("prod"), wantAllow, true, "", Read, 900},
		{"nothing matches, to view", bob, read("list"), wantAllow, true, "", View, 3600},
		{"nothing matches, by role", bob, role(agents), wantAllow, true, "", Read, 3600},
		{"approval", eve, write("prod"), wantTouch, false, "prod", Write, 900},
		{"role of a profile with an approval", eve, role(agents), wantDeny, false, "prod", "", 0},
		{"write where reading has an approval", bob, writeRole("arn:aws:iam::111122223333:role/X"), wantAsk, true, "", Read, 3600},
		{"too long", eve, seconds(write("prod"), 1000), wantTouch, true, "prod", Write, 1000},
		{"denied", bob, repositories("a", "infra"), wantAllow, true, "no-infra", "", 0},
		{"denied, with an approval", eve, repositories("a", "infra"), wantTouch, true, "no-infra", "", 0},
		{"a repository more", eve, repositories("a", "infra", "x"), wantDeny, false, "prod", "", 0},
		{"the whole installation", eve, repositories("a"), wantDeny, false, "prod", "", 0},
		{"the whole of another", eve, repositories("b"), wantAllow, true, "", "", 0},
		{"no seal", eve, certificate, wantDeny, false, "keys", "", 0},
		{"seal", eve, sealed(certificate, goodRecipient), wantAllow, false, "keys", "", 0},
		{"unknown profile", bob, read("x"), wantDeny, false, "", "", 0},
		{"write tool on a profile to read", bob, write("look"), wantDeny, false, "", "", 0},
		{"no owner", bob, repositories(""), wantDeny, false, "", "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := p.Decide(tt.caller, tt.request)
			open := d
			open.WouldDeny = false
			if open.verdict() != tt.want || d.WouldDeny != tt.would || d.Rule != tt.rule {
				t.Errorf("got %s by %q, enforce would deny: %v; want %s by %q, %v", open.verdict(), d.Rule, d.WouldDeny, tt.want, tt.rule, tt.would)
			}
			if d.Level != tt.level || d.Seconds != tt.seconds {
				t.Errorf("got %q for %d seconds, want %q for %d", d.Level, d.Seconds, tt.level, tt.seconds)
			}
			if d.WouldDeny && !strings.Contains(d.Reason, "enforce would refuse it: ") {
				t.Errorf("the reason does not say so: %s", d.Reason)
			}
		})
	}
}
