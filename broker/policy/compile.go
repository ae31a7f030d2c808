package policy

import (
	"strings"

	"mcp-credential-broker/broker/age"
	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/github"
	"mcp-credential-broker/broker/glob"
)

// A compiled rule is one rule in the form that is matched. Texts that are
// compared without case are in small letters.
type compiled struct {
	id    string
	at    int // where the document names it
	who   match
	tools []string // none: every tool

	profiles     []string
	roles        glob.List
	repositories []repository
	ssh          bool
	everything   bool // a deny that names no kind

	level      Level
	seconds    int
	approve    Approve
	approvers  []string
	sealed     bool
	recipients []string
}

// match is the who of a rule. An empty list matches every caller.
type match struct{ emails, subs, clients glob.List }

// A repository is a glob owner/repository in its two parts, so that a star
// cannot cross from one into the other.
type repository struct {
	text        string
	owner, name *glob.Glob
	all         bool // name is a star alone: the whole installation is covered
}

type compiler struct {
	*faults
	policy *Policy
	root   *node
	used   map[string]bool // profiles that a rule names
	ids    map[string]bool
}

func (c *compiler) compile(d document) {
	for _, name := range c.policy.names {
		c.profile(name, d.AWS[name])
	}
	for _, r := range d.Rules {
		c.rule(r)
	}
	aws := c.root.member("aws")
	for _, name := range c.policy.names {
		if !c.used[name] {
			c.aside(aws.memberPlace(name), "no rule names the profile %s: name it in an allow, or remove it", quote(name))
		}
	}
}

func (c *compiler) profile(name string, p Profile) {
	defer c.within(profileName(name))()
	aws := c.root.member("aws")
	if !isName(name) {
		c.add(aws.memberPlace(name), "a profile's name must be 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	source := aws.member(name)
	if !isRoleARN(p.RoleARN) {
		c.add(source.place("role_arn"), "role_arn must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/Developer")
	}
	if len(p.About) > 200 || strings.ContainsFunc(p.About, isControl) {
		c.add(source.place("about"), "about must be one line of at most 200 bytes")
	}
}

// memberPlace returns where a member's name stands.
func (n *node) memberPlace(name string) int {
	for _, m := range n.members {
		if m.name == name {
			return m.at
		}
	}
	return n.at
}

func (c *compiler) rule(r rule) {
	defer c.within(ruleName(r.source))()
	c.checkID(r)
	allow, deny := r.source.member("allow"), r.source.member("deny")
	out := &compiled{id: r.ID, at: r.source.place("id")}
	switch {
	case allow != nil && deny != nil:
		c.add(deny.at, "a rule either allows or denies: make two of it")
	case allow != nil:
		c.grant(out, r.Allow)
		c.checkAllow(out, r, allow.at)
		c.terms(out, r)
		c.enter(&c.policy.allows, out)
	case deny != nil:
		c.grant(out, r.Deny)
		c.checkDeny(out, r, deny.at)
		c.enter(&c.policy.denies, out)
	default:
		c.add(r.source.at, "it has neither allow nor deny")
	}
}

// enter lists the rule under each kind that it can match.
func (c *compiler) enter(lists *[kinds][]*compiled, r *compiled) {
	for kind, can := range map[Kind]bool{AWS: len(r.profiles)+len(r.roles) > 0, GitHub: len(r.repositories) > 0, SSH: r.ssh} {
		if can || r.everything {
			lists[kind] = append(lists[kind], r)
		}
	}
}

func (c *compiler) checkID(r rule) {
	at := r.source.place("id")
	switch {
	case r.ID == "" || len(r.ID) > 64 || strings.ContainsFunc(r.ID, notPrintable):
		c.add(at, "an id must be 1 to 64 printable ASCII characters")
	case r.ID == "FREEZE":
		c.add(at, "the id FREEZE is the freeze's own: choose another")
	case c.ids[r.ID]:
		c.aside(at, "another rule has this id too: an id must name one rule")
	}
	c.ids[r.ID] = true
}

// grant compiles what allow and deny have in common.
func (c *compiler) grant(out *compiled, g grant) {
	out.who = c.who(g.Who)
	for i, entry := range g.AWS {
		at := g.source.item("aws", i)
		if !strings.ContainsAny(entry, ":*") {
			if _, ok := c.policy.profiles[entry]; !ok {
				c.add(at, "there is no profile %s in aws: add it there, or write the ARN of a role", quote(entry))
			}
			c.used[entry] = true
			out.profiles = append(out.profiles, entry)
			continue
		}
		role := glob.New(entry)
		if !matchesRoles(role) {
			c.add(at, "%s can match no role's ARN, such as arn:aws:iam::123456789012:role/Developer (profiles are named in full)", quote(entry))
		}
		out.roles = append(out.roles, role)
	}
	for i, entry := range g.GitHub {
		out.repositories = append(out.repositories, c.repository(g.source.item("github", i), entry))
	}
	out.ssh = g.SSH
	out.tools = g.Tools
	for i, tool := range g.Tools {
		if toolKind(tool) == 0 {
			c.add(g.source.item("tools", i), "%s is no tool that rules govern; those are %s, %s, %s and %s", quote(tool), readTool, writeTool, githubTool, sshTool)
		}
	}
}

func (c *compiler) who(w who) (m match) {
	for i, entry := range w.Email {
		e := glob.Fold(entry)
		if entry == "" || strings.ContainsFunc(entry, notPrintable) || strings.Contains(entry, " ") || strings.Count(entry, "@") > 1 || e.Exact() && !isEmail(entry) {
			c.add(w.source.item("email", i), "%s can match no e-mail, such as *@example.com (of ASCII alone)", quote(entry))
		}
		m.emails = append(m.emails, glob.New(e.String()))
	}
	fill := func(to *glob.List, name string, entries []string) {
		for i, entry := range entries {
			if entry == "" {
				c.add(w.source.item(name, i), "an empty text matches no %s: remove it", name)
			}
			*to = append(*to, glob.New(entry))
		}
	}
	fill(&m.subs, "sub", w.Sub)
	fill(&m.clients, "client", w.Client)
	return m
}

func (c *compiler) repository(at int, entry string) repository {
	owner, name, ok := strings.Cut(glob.Lower(entry), "/")
	switch {
	case !ok:
		c.add(at, "%s must be owner/repository, such as example/* for all of one owner's", quote(entry))
	case !github.ValidOwner(filled(owner)) || !github.ValidRepository(filled(name)):
		c.add(at, "%s can match no repository of GitHub's", quote(entry))
	}
	return repository{entry, glob.New(owner), glob.New(name), name != "" && strings.Trim(name, "*") == ""}
}

// filled is the shortest name that a glob matches, so that the grammar of names
// can judge the glob. Only names made of stars alone are empty.
func filled(pattern string) string {
	if name := strings.ReplaceAll(pattern, "*", ""); name != "" && !strings.HasPrefix(name, "-") {
		return name
	} else if strings.Contains(pattern, "*") {
		return "a" + name
	}
	return pattern
}

func (c *compiler) checkAllow(out *compiled, r rule, at int) {
	if !out.ssh && r.Allow.AWS == nil && r.Allow.GitHub == nil {
		if ssh := r.Allow.source.member("ssh"); ssh != nil && ssh.shape != isBool {
			return // told already
		}
		c.aside(at, "it allows nothing: give aws, github or ssh")
		return
	}
	c.checkTools(out, r.Allow)
	if len(out.roles) == 0 {
		for _, name := range []string{"level", "max_seconds"} {
			if value := r.source.member(name); value != nil {
				c.aside(value.at, "%s is for roles that ARN globs match, and there is none in aws: set it on the profile", name)
			}
		}
	}
	if len(out.tools) == 0 {
		return
	}
	canWrite := len(out.roles) > 0 && r.Level == Write
	for _, name := range out.profiles {
		canWrite = canWrite || c.policy.profiles[name].Level == Write
	}
	if len(out.profiles)+len(out.roles) > 0 && !out.takes(readTool) && !canWrite {
		c.aside(r.Allow.source.place("tools"), "%s alone matches nothing here, for no profile or level in this rule is write", writeTool)
	}
}

func (c *compiler) checkDeny(out *compiled, r rule, at int) {
	for _, name := range []string{"level", "max_seconds", "approve", "approvers", "delivery", "recipients"} {
		if value := r.source.member(name); value != nil {
			c.aside(value.at, "a deny has no %s: remove it, or write an allow", name)
		}
	}
	source := r.Deny.source
	given := source.member("aws") != nil || source.member("github") != nil || source.member("ssh") != nil
	switch {
	case len(source.members) == 0:
		c.aside(at, "it denies everything to everyone: to stop all grants, set the variable FREEZE")
	case given && r.Deny.AWS == nil && r.Deny.GitHub == nil && !r.Deny.SSH:
		c.aside(at, "it denies nothing: give aws, github or ssh, or leave them all out to deny everything")
	case given:
		c.checkTools(out, r.Deny)
	default:
		out.everything = true
	}
}

// checkTools finds tools and kinds that miss each other.
func (c *compiler) checkTools(out *compiled, g grant) {
	if len(out.tools) == 0 {
		return
	}
	asked := map[Kind]string{}
	if g.AWS != nil {
		asked[AWS] = "aws"
	}
	if g.GitHub != nil {
		asked[GitHub] = "github"
	}
	if g.SSH {
		asked[SSH] = "ssh"
	}
	for i, tool := range out.tools {
		if kind := toolKind(tool); kind != 0 && asked[kind] == "" {
			c.aside(g.source.item("tools", i), "%s can never match: the rule names nothing that it hands out", tool)
		}
	}
	for _, kind := range []Kind{AWS, GitHub, SSH} {
		if asked[kind] != "" && !out.takesKind(kind) {
			c.aside(g.source.place(asked[kind]), "%s can never match: tools names no tool that hands it out", asked[kind])
		}
	}
}

// terms compiles what an allow asks in return.
func (c *compiler) terms(out *compiled, r rule) {
	out.level, out.seconds, out.approve = r.Level, r.MaxSeconds, r.Approve
	if out.level == "" {
		out.level = Read
	}
	if out.seconds == 0 {
		out.seconds = mostSeconds
	}
	if out.approve == "" {
		out.approve = ApproveNone
	}
	out.sealed = r.Delivery == DeliverSealed
	if r.Approvers != nil && out.approve != ApproveTouch {
		c.aside(r.source.place("approvers"), "approvers give a touch of their key: write \"approve\": \"touch\", or remove them")
	}
	for i, entry := range r.Approvers {
		if entry == "" || strings.ContainsFunc(entry, notPrintable) || strings.Contains(entry, "*") {
			c.add(r.source.item("approvers", i), "an approver is one verified e-mail or one sub, without *")
		}
		if strings.Contains(entry, "@") {
			entry = glob.Lower(entry)
		}
		out.approvers = append(out.approvers, entry)
	}
	if r.Recipients != nil && !out.sealed {
		c.aside(r.source.place("recipients"), "recipients are for sealed answers: write \"delivery\": \"sealed\", or remove them")
	}
	for i, entry := range r.Recipients {
		recipient, err := age.ParseRecipient(entry)
		if err != nil { // the entry may be a secret key: its text is not repeated
			c.add(r.source.item("recipients", i), "recipients[%d] cannot be used: %s; write one as age-keygen -y prints it", i, err.Error())
		}
		out.recipients = append(out.recipients, recipient.String())
	}
}

func (r *compiled) takesKind(kind Kind) bool {
	for _, tool := range r.tools {
		if toolKind(tool) == kind {
			return true
		}
	}
	return len(r.tools) == 0
}

// takes reports whether the rule is for calls of that tool.
func (r *compiled) takes(tool string) bool {
	for _, one := range r.tools {
		if one == tool {
			return true
		}
	}
	return len(r.tools) == 0
}

func isControl(r rune) bool    { return r < ' ' || r == 0x7f }
func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// isEmail reports whether s can be an e-mail as far as rules look at it: one "@"
// with something on both sides, printable ASCII. Another is as good as unknown,
// for letters of other alphabets have more than one form and case.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.Contains(domain, "@") && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

func isName(s string) bool {
	return len(s) <= 64 && ascii.Only(s, ascii.Alphanumeric+"._-")
}
