package policy

import (
	"mcp-credential-broker/broker/age"
	"mcp-credential-broker/broker/github"
	"mcp-credential-broker/broker/glob"
)

// someone stands for the sub and the client of a test that names none: known, and
// nobody's in particular.
const someone = "-"

// try asks Decide what the document's own tests ask.
func (c *compiler) try(tests []test) {
	for i, t := range tests {
		c.tryOne(testName(i), t)
	}
}

func (c *compiler) tryOne(name func() string, t test) {
	defer c.within(name)()
	before := len(c.found)
	r := c.request(t)
	if t.Who.Email != "" && !isEmail(t.Who.Email) {
		c.add(t.source.member("who").place("email"), "%s is no e-mail of ASCII", quote(t.Who.Email))
	}
	if len(c.found) > before {
		return
	}
	caller := Caller{Subject: t.Who.Sub, Email: t.Who.Email, Clients: []string{t.Who.Client}}
	if caller.Subject == "" {
		caller.Subject = someone
	}
	if t.Who.Client == "" {
		caller.Clients[0] = someone
	}
	d := c.policy.Decide(caller, r)
	if got := d.verdict(); got != t.Want {
		c.aside(t.source.place("want"), "got %s, want %s: %s", string(got), string(t.Want), d.Reason)
	}
}

// verdict is a decision in the words of a test. What only mode audit lets through
// is a deny: tests are about the rules.
func (d Decision) verdict() want {
	switch {
	case !d.Allow || d.WouldDeny:
		return wantDeny
	case d.Approve == ApproveAsk:
		return wantAsk
	case d.Approve == ApproveTouch:
		return wantTouch
	}
	return wantAllow
}

// request is the request of a test's call; its shape is checked as that of a
// real one.
func (c *compiler) request(t test) Request {
	in := t.Call
	r := Request{
		Tool: in.Tool, Kind: toolKind(in.Tool), Profile: in.Profile, RoleARN: in.RoleARN, Write: in.Tool == writeTool,
		Seconds: in.Seconds, SealTo: in.SealTo,
	}
	if r.Kind == 0 {
		c.aside(in.source.place("tool"), "%s is no tool that rules govern", quote(in.Tool))
		return r
	}
	for name, kind := range map[string]Kind{"profile": AWS, "role_arn": AWS, "duration_seconds": AWS, "owner": GitHub, "repositories": GitHub} {
		if in.source.member(name) != nil && kind != r.Kind {
			c.aside(in.source.place(name), "%s takes no %s", in.Tool, name)
		}
	}
	if in.Profile != "" {
		if _, ok := c.policy.profiles[in.Profile]; !ok {
			c.aside(in.source.place("profile"), "there is no profile %s in aws", quote(in.Profile))
		}
	}
	if in.RoleARN != "" && !isRoleARN(in.RoleARN) {
		c.aside(in.source.place("role_arn"), "%s is no ARN of an IAM role", quote(in.RoleARN))
	}
	if r.Kind == AWS && (in.Profile == "") == (in.RoleARN == "") {
		c.aside(in.source.at, "name either a profile or a role_arn")
	}
	if r.Kind == GitHub {
		var err error
		if r.Owner, r.Repositories, err = github.ParseRepositories(in.Owner, in.Repositories); err != nil {
			c.aside(in.source.place("repositories"), "this call is refused before any rule: %s", err.Error())
		}
	}
	if in.SealTo != "" {
		if _, err := age.ParseRecipient(in.SealTo); err != nil { // its text may be a secret key
			c.aside(in.source.place("seal_to"), "seal_to cannot be used: %s", err.Error())
		}
	}
	return r
}

func isRoleARN(s string) bool {
	g := glob.New(s)
	return g.Exact() && matchesRoles(g)
}
