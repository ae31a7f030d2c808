package policy

import "mcp-credential-broker/broker/glob"

// Warnings returns what works otherwise than the writer of a valid document may
// think. It is for people who check a document; nothing of it is decided on.
func Warnings(data []byte) []*Fault {
	f := &faults{document: string(data)}
	root, ok := readJSON(f.document, f)
	if !ok {
		return nil
	}
	d, _ := f.decode(root)
	p, err := Compile(data)
	if err != nil {
		return nil
	}
	w := faults{document: f.document}
	if p.mode == Audit {
		w.aside(root.place("mode"), "mode audit refuses nothing that the rules refuse: it only writes would-deny into the audit line")
	}
	for _, r := range d.Rules {
		w.warn(r)
	}
	for _, kind := range []Kind{AWS, GitHub, SSH} {
		w.shadows(p, kind)
	}
	inOrder(w.found)
	return w.found
}

func (f *faults) warn(r rule) {
	defer f.within(ruleName(r.source))()
	if r.Approve == ApproveAsk || r.Approve == ApproveTouch {
		f.aside(r.source.place("approve"), "in relay mode the broker has no key to approve with, and this rule refuses")
	}
	who := r.Allow.Who
	if who.Client != nil && who.Email == nil && who.Sub == nil {
		f.aside(who.source.place("client"), "a client chooses its name itself, so client alone keeps nobody out: give email or sub too")
	}
}

// shadows finds allows that never decide about a kind.
func (f *faults) shadows(p *Policy, kind Kind) {
	for i, r := range p.allows[kind] {
		for _, d := range p.denies[kind] {
			if d.who.covers(&r.who) && d.takesAll(r, kind) && (d.everything || d.holds(r, kind)) {
				f.aside(r.at, "rule %s never gives %s: the deny %s takes all of it", quote(r.id), kindName(kind), quote(d.id))
			}
		}
		for _, before := range p.allows[kind][:i] {
			if before.who.covers(&r.who) && before.takesAll(r, kind) && before.holds(r, kind) && (before.level == Write || r.level != Write) {
				f.aside(r.at, "rule %s never decides about %s: rule %s stands before it and covers all of it", quote(r.id), kindName(kind), quote(before.id))
			}
		}
	}
}

func kindName(kind Kind) string {
	switch kind {
	case AWS:
		return "aws"
	case GitHub:
		return "github"
	}
	return "ssh"
}

// covers reports whether everyone whom other matches is matched too.
func (m *match) covers(other *match) bool {
	all := func(mine, others glob.List) bool {
		for _, one := range others {
			if len(mine) > 0 && !covered(mine, one) {
				return false
			}
		}
		return len(mine) == 0 || len(others) > 0
	}
	return all(m.emails, other.emails) && all(m.subs, other.subs) && all(m.clients, other.clients)
}

func (r *compiled) takesAll(other *compiled, kind Kind) bool {
	for _, tool := range []string{readTool, writeTool, githubTool, sshTool} {
		if toolKind(tool) == kind && other.takes(tool) && !r.takes(tool) {
			return false
		}
	}
	return true
}

// holds reports whether all that other names of a kind is named by r too.
func (r *compiled) holds(other *compiled, kind Kind) bool {
	switch kind {
	case GitHub:
		return r.coversAll(other)
	case SSH:
		return true
	}
	for _, name := range other.profiles {
		if !contains(r.profiles, name) {
			return false
		}
	}
	for _, role := range other.roles {
		if !covered(r.roles, role) {
			return false
		}
	}
	return true
}
