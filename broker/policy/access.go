package policy

import "mcp-credential-broker/broker/glob"

// An Entry is one thing that a caller may have, by which tool and on what terms.
type Entry struct {
	Kind Kind
	Tool string
	// Rule is the id of the allow that gives it.
	Rule string

	// Profile, About and RoleARN are one profile of the catalog.
	Profile, About, RoleARN string
	// Roles is a glob of role ARNs.
	Roles string
	// Repositories is a glob owner/repository. Installation says that a token for
	// the owner's whole installation is given too, where Except has none of its
	// repositories.
	Repositories string
	Installation bool
	// Except is globs of what denies take out of Roles or Repositories.
	Except []string

	// Level and Seconds, the longest life, are AWS's.
	Level      Level
	Seconds    int
	Approve    Approve
	Approvers  []string
	Sealed     bool
	Recipients []string
}

// Access returns what a caller may have: profiles in the order of the document,
// roles, repositories, SSH. A request is allowed by Decide if entries of one rule
// and its tool hold all of it, and Except nothing; the first such rule sets the
// terms. Mode audit changes nothing here: it gives more than anybody may have.
func (p *Policy) Access(c Caller) []Entry {
	all := p.profileAccess(c)
	who := &query{policy: p, caller: c, email: knownEmail(c.Email)}
	all = append(all, who.roleAccess()...)
	all = append(all, who.repositoryAccess()...)
	if q, _ := p.query(c, Request{Tool: sshTool, Kind: SSH}); q != nil {
		if e, ok := q.entry(); ok {
			all = append(all, e)
		}
	}
	return all
}

func (p *Policy) profileAccess(c Caller) (all []Entry) {
	for _, name := range p.names {
		for _, tool := range []string{readTool, writeTool} {
			q, problem := p.query(c, Request{Tool: tool, Kind: AWS, Profile: name, Write: tool == writeTool})
			if problem != "" {
				continue
			}
			if e, ok := q.entry(); ok {
				e.Profile, e.About, e.RoleARN = name, q.profile.About, q.role
				e.Level, e.Seconds = granted(q.profile.Level, tool), q.profile.MaxSeconds
				all = append(all, e)
			}
		}
	}
	return all
}

// entry asks about one concrete request.
func (q *query) entry() (Entry, bool) {
	if denied, _ := q.denied(); denied != nil {
		return Entry{}, false
	}
	r := q.covering()
	if r == nil {
		return Entry{}, false
	}
	return r.entry(q.Kind, q.Tool), true
}

func (r *compiled) entry(kind Kind, tool string) Entry {
	return Entry{
		Kind: kind, Tool: tool, Rule: r.id,
		Approve: r.approve, Approvers: r.approvers, Sealed: r.sealed, Recipients: r.recipients,
	}
}

// granted is the level that a tool gives of what is allowed at most.
func granted(most Level, tool string) Level {
	if most == Write && tool != writeTool {
		return Read
	}
	return most
}

func (q *query) roleAccess() (all []Entry) {
	shown := map[string]glob.List{}
	for _, r := range q.policy.allows[AWS] {
		if len(r.roles) == 0 || !r.who.allows(q) {
			continue
		}
		for _, tool := range []string{readTool, writeTool} {
			if !r.takes(tool) || tool == writeTool && r.level != Write {
				continue
			}
			for _, role := range r.roles {
				except, denied := q.deniedRoles(role, tool)
				if denied || covered(shown[tool], role) {
					continue
				}
				e := r.entry(AWS, tool)
				e.Roles, e.Except, e.Level, e.Seconds = role.String(), except, granted(r.level, tool), r.seconds
				all = append(all, e)
			}
			shown[tool] = append(shown[tool], r.roles...)
		}
	}
	return all
}

func covered(by glob.List, g *glob.Glob) bool {
	for _, one := range by {
		if one.Covers(g) {
			return true
		}
	}
	return false
}

// deniedRoles returns what denies take out of a glob, or that they take it all.
func (q *query) deniedRoles(role *glob.Glob, tool string) (except []string, denied bool) {
	for _, r := range q.policy.denies[AWS] {
		if !r.takes(tool) || !r.who.denies(q) {
			continue
		}
		if r.everything || covered(r.roles, role) {
			return nil, true
		}
		for _, one := range r.roles {
			if one.Overlaps(role) {
				except = append(except, one.String())
			}
		}
		for _, name := range r.profiles {
			arn := q.policy.profiles[name].RoleARN
			if role.Exact() && role.Match(arn) {
				return nil, true
			}
			if role.Match(arn) {
				except = append(except, arn)
			}
		}
	}
	return except, false
}

func (q *query) repositoryAccess() (all []Entry) {
	var shown []*compiled
	for _, r := range q.policy.allows[GitHub] {
		if !r.takes(githubTool) || !r.who.allows(q) || shadowed(shown, r) {
			continue
		}
		shown = append(shown, r)
		for i := range r.repositories {
			one := &r.repositories[i]
			except, denied := q.deniedRepositories(one)
			if denied {
				continue
			}
			e := r.entry(GitHub, githubTool)
			e.Repositories, e.Installation, e.Except = one.text, one.all, except
			all = append(all, e)
		}
	}
	return all
}

// shadowed reports whether one earlier rule covers all repositories of r. Two that
// do so together do not: a request across both is for r.
func shadowed(earlier []*compiled, r *compiled) bool {
	for _, before := range earlier {
		if before.coversAll(r) {
			return true
		}
	}
	return false
}

func (r *compiled) coversAll(later *compiled) bool {
	for i := range later.repositories {
		found := false
		for j := range r.repositories {
			found = found || r.repositories[j].covers(&later.repositories[i])
		}
		if !found {
			return false
		}
	}
	return true
}

func (r *repository) covers(other *repository) bool {
	return r.owner.Covers(other.owner) && r.name.Covers(other.name)
}

func (q *query) deniedRepositories(wanted *repository) (except []string, denied bool) {
	for _, r := range q.policy.denies[GitHub] {
		if !r.takes(githubTool) || !r.who.denies(q) {
			continue
		}
		if r.everything {
			return nil, true
		}
		for i := range r.repositories {
			one := &r.repositories[i]
			if one.covers(wanted) {
				return nil, true
			}
			if one.owner.Overlaps(wanted.owner) && (wanted.all || one.name.Overlaps(wanted.name)) {
				except = append(except, one.text)
			}
		}
	}
	return except, false
}
