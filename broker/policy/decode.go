package policy

import "strconv"

// A field is one member that an object may have.
type field struct {
	name     string
	required bool
	read     func(*node)
}

// member returns a member's value, or nil.
func (n *node) member(name string) *node {
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i].value
		}
	}
	return nil
}

// place returns where a member's value begins, or where the object does.
func (n *node) place(name string) int {
	if value := n.member(name); value != nil {
		return value.at
	}
	return n.at
}

// item returns where an item of a list member begins.
func (n *node) item(name string, i int) int {
	if list := n.member(name); list != nil && i < len(list.items) {
		return list.items[i].at
	}
	return n.place(name)
}

// object reads an object that has these members and no other.
func (f *faults) object(n *node, what string, fields ...field) {
	if !f.is(n, isObject, what) {
		return
	}
	for _, m := range n.members {
		known := false
		for _, field := range fields {
			if field.name == m.name {
				known = true
				field.read(&m.value)
			}
		}
		if !known {
			f.aside(m.at, "%s has no member %s; it may have %s", what, quote(m.name), names(fields))
		}
	}
	for _, field := range fields {
		if field.required && n.member(field.name) == nil {
			f.add(n.at, "%s lacks the member %s", what, quote(field.name))
		}
	}
}

// ruleName is how faults name a rule: by its id, where there is one.
func ruleName(n *node) func() string {
	return func() string {
		if id := n.member("id"); id != nil && id.shape == isText {
			return "rule " + quote(id.text)
		}
		return "rule without an id"
	}
}

func profileName(name string) func() string {
	return func() string { return "profile " + quote(name) }
}

func testName(i int) func() string {
	return func() string { return "tests[" + strconv.Itoa(i) + "]" }
}

func names(fields []field) string {
	all := ""
	for _, field := range fields {
		if all != "" {
			all += ", "
		}
		all += field.name
	}
	return all
}

func (f *faults) is(n *node, s shape, what string) bool {
	if n.shape == s {
		return true
	}
	f.add(n.at, "%s must be %s, not %s", what, s.String(), n.shape.String())
	return false
}

func (f *faults) text(to *string, what string) func(*node) {
	return func(n *node) {
		if f.is(n, isText, what) {
			*to = n.text
		}
	}
}

// texts reads a list with something in it: an empty one allows or denies
// nothing, which no list is written for.
func (f *faults) texts(to *[]string, what string) func(*node) {
	return func(n *node) {
		if !f.is(n, isList, what) {
			return
		}
		if len(n.items) == 0 {
			f.add(n.at, "%s is an empty list, which matches nothing: fill it or leave it out", what)
		}
		*to = make([]string, len(n.items))
		each := "each item of " + what
		for i := range n.items {
			f.text(&(*to)[i], each)(&n.items[i])
		}
	}
}

func (f *faults) bool(to *bool, what string) func(*node) {
	return func(n *node) {
		if f.is(n, isBool, what) {
			*to = n.text == "true"
		}
	}
}

// whole reads a whole number without sign, fraction or exponent.
func (f *faults) whole(to *int, what string, least, most int) func(*node) {
	return func(n *node) {
		if !f.is(n, isNumber, what) {
			return
		}
		number, err := strconv.Atoi(n.text)
		if err != nil || strconv.Itoa(number) != n.text || number < least || number > most {
			f.add(n.at, "%s must be a whole number from %d to %d", what, least, most)
			return
		}
		*to = number
	}
}

// choice reads a text that must be one of a few.
func choice[T ~string](f *faults, to *T, what string, of ...T) func(*node) {
	return func(n *node) {
		if !f.is(n, isText, what) {
			return
		}
		known := ""
		for _, one := range of {
			if string(one) == n.text {
				*to = one
				return
			}
			known += ", " + string(one)
		}
		f.add(n.at, "%s must be one of %s, not %s", what, known[2:], quote(n.text))
	}
}

func each(f *faults, what string, most int, read func(*node)) func(*node) {
	return func(n *node) {
		if !f.is(n, isList, what) {
			return
		}
		if len(n.items) > most {
			f.add(n.at, "%s has more than %d items", what, most)
			return
		}
		for i := range n.items {
			read(&n.items[i])
		}
	}
}

func (f *faults) decode(n *node) (d document, names []string) {
	f.object(n, "the document",
		field{"$schema", false, f.text(&d.Schema, "$schema")},
		field{"version", true, f.whole(&d.Version, "version", 1, 1)},
		field{"mode", false, choice(f, &d.Mode, "mode", Enforce, Audit)},
		field{"aws", false, func(n *node) {
			if !f.is(n, isObject, "aws") {
				return
			}
			if len(n.members) > maxProfiles {
				f.add(n.at, "aws has more than %d profiles", maxProfiles)
				return
			}
			d.AWS = make(map[string]Profile, len(n.members))
			for _, m := range n.members {
				if _, twice := d.AWS[m.name]; !twice {
					names = append(names, m.name)
				}
				d.AWS[m.name] = f.profile(&m.value, m.name)
			}
		}},
		field{"rules", true, each(f, "rules", maxRules, func(n *node) { d.Rules = append(d.Rules, f.rule(n)) })},
		field{"tests", false, each(f, "tests", maxTests, func(n *node) {
			defer f.within(testName(len(d.Tests)))()
			d.Tests = append(d.Tests, f.test(n))
		})},
	)
	if d.Mode == "" {
		d.Mode = Enforce
	}
	return d, names
}

func (f *faults) profile(n *node, name string) (p Profile) {
	defer f.within(profileName(name))()
	f.object(n, "a profile",
		field{"role_arn", true, f.text(&p.RoleARN, "role_arn")},
		field{"level", false, choice(f, &p.Level, "level", View, Read, Write)},
		field{"max_seconds", false, f.whole(&p.MaxSeconds, "max_seconds", leastSeconds, mostSeconds)},
		field{"about", false, f.text(&p.About, "about")},
	)
	if p.Level == "" {
		p.Level = Read
	}
	if p.MaxSeconds == 0 {
		p.MaxSeconds = mostSeconds
	}
	return p
}

func (f *faults) rule(n *node) rule {
	r := rule{source: n}
	defer f.within(ruleName(n))()
	f.object(n, "a rule",
		field{"id", true, f.text(&r.ID, "id")},
		field{"allow", false, func(n *node) { r.Allow = f.grant(n, "allow") }},
		field{"deny", false, func(n *node) { r.Deny = f.grant(n, "deny") }},
		field{"level", false, choice(f, &r.Level, "level", View, Read, Write)},
		field{"max_seconds", false, f.whole(&r.MaxSeconds, "max_seconds", leastSeconds, mostSeconds)},
		field{"approve", false, choice(f, &r.Approve, "approve", ApproveNone, ApproveAsk, ApproveTouch)},
		field{"approvers", false, f.texts(&r.Approvers, "approvers")},
		field{"delivery", false, choice(f, &r.Delivery, "delivery", DeliverAny, DeliverSealed)},
		field{"recipients", false, f.texts(&r.Recipients, "recipients")},
	)
	return r
}

func (f *faults) grant(n *node, what string) grant {
	g := grant{source: n}
	f.object(n, what,
		field{"who", false, func(n *node) { g.Who = f.who(n) }},
		field{"aws", false, f.texts(&g.AWS, "aws")},
		field{"github", false, f.texts(&g.GitHub, "github")},
		field{"ssh", false, f.bool(&g.SSH, "ssh")},
		field{"tools", false, f.texts(&g.Tools, "tools")},
	)
	return g
}

func (f *faults) who(n *node) who {
	w := who{source: n}
	f.object(n, "who",
		field{"email", false, f.texts(&w.Email, "email")},
		field{"sub", false, f.texts(&w.Sub, "sub")},
		field{"client", false, f.texts(&w.Client, "client")},
	)
	return w
}

func (f *faults) test(n *node) test {
	t := test{source: n}
	f.object(n, "a test",
		field{"who", true, func(n *node) {
			f.object(n, "the who of a test",
				field{"email", false, f.text(&t.Who.Email, "the email of a test")},
				field{"sub", false, f.text(&t.Who.Sub, "the sub of a test")},
				field{"client", false, f.text(&t.Who.Client, "the client of a test")})
		}},
		field{"call", true, func(n *node) { t.Call = f.call(n) }},
		field{"want", true, choice(f, &t.Want, "want", wantAllow, wantDeny, wantAsk, wantTouch)},
	)
	return t
}

func (f *faults) call(n *node) call {
	c := call{source: n}
	f.object(n, "the call of a test",
		field{"tool", true, f.text(&c.Tool, "tool")},
		field{"profile", false, f.text(&c.Profile, "profile")},
		field{"role_arn", false, f.text(&c.RoleARN, "role_arn")},
		field{"duration_seconds", false, f.whole(&c.Seconds, "duration_seconds", leastSeconds, mostSeconds)},
		field{"owner", false, f.text(&c.Owner, "owner")},
		field{"repositories", false, f.texts(&c.Repositories, "repositories")},
		field{"seal_to", false, f.text(&c.SealTo, "seal_to")},
		field{"region", false, f.text(&c.Region, "region")},
		field{"policy", false, f.text(&c.Policy, "policy")},
		field{"format", false, f.text(&c.Format, "format")},
		field{"purpose", false, f.text(&c.Purpose, "purpose")},
		field{"public_key", false, f.text(&c.PublicKey, "public_key")})
	return c
}
