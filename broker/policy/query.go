package policy

import "mcp-credential-broker/broker/glob"

// A query is one request beside what matching it needs, worked out once.
type query struct {
	Request
	policy  *Policy
	caller  Caller
	email   string // as rules compare it, "" when it is not known
	profile Profile
	role    string // the role asked for, by either name
	owner   string
	names   []string // of the repositories, in small letters
}

// query checks what no rule can allow, in either mode.
func (p *Policy) query(c Caller, r Request) (q *query, problem string) {
	q = &query{Request: r, policy: p, caller: c, email: knownEmail(c.Email), role: r.RoleARN, owner: glob.Lower(r.Owner)}
	switch {
	case toolKind(r.Tool) == 0 || toolKind(r.Tool) != r.Kind:
		return nil, "no rule governs this tool, so it hands out nothing"
	case r.Kind == AWS:
		return q, q.checkAWS()
	case r.Kind == GitHub && r.Owner == "":
		return nil, "the policy decides by owner and repository: name the owner"
	case r.Kind == GitHub && r.Repositories != nil && len(r.Repositories) == 0:
		return nil, "the list of repositories is empty: name at least one"
	}
	if r.Repositories != nil {
		q.names = make([]string, len(r.Repositories))
		for i, name := range r.Repositories {
			q.names[i] = glob.Lower(name)
		}
	}
	return q, ""
}

func (q *query) checkAWS() (problem string) {
	if q.Write != (q.Tool == writeTool) {
		return "the tool and what is asked of it do not fit"
	}
	if (q.Profile == "") == (q.RoleARN == "") {
		return "name either a profile or a role_arn"
	}
	if q.Profile == "" {
		return ""
	}
	var ok bool
	if q.profile, ok = q.policy.profiles[q.Profile]; !ok {
		return "there is no such profile: list-access shows those that you may have"
	}
	q.role = q.profile.RoleARN
	if q.Write && q.profile.Level != Write {
		return "the profile " + q.Profile + " gives no more than level " + string(q.profile.Level) + ": use " + readTool
	}
	return ""
}

// denied returns the first deny that matches, and what it says.
func (q *query) denied() (r *compiled, refusal string) {
	for _, r := range q.policy.denies[q.Kind] {
		if q.touches(r) && r.takes(q.Tool) && r.who.denies(q) {
			return r, "rule " + r.id + " denies " + q.touched(r) + " to you"
		}
	}
	return nil, ""
}

// touches reports whether a rule speaks of any part of the request.
func (q *query) touches(r *compiled) bool {
	switch {
	case r.everything || q.Kind == SSH:
		return true
	case q.Kind == GitHub:
		_, _, ok := q.repository(r)
		return ok
	case q.Profile != "":
		return contains(r.profiles, q.Profile) || r.roles.Match(q.role)
	}
	return r.roles.Match(q.role) || q.isProfile(r)
}

// touched names the first part that it speaks of.
func (q *query) touched(r *compiled) string {
	switch {
	case r.everything:
		return "everything"
	case q.Kind == SSH:
		return "SSH certificates"
	case q.Kind == AWS:
		return q.awsName()
	}
	entry, name, _ := q.repository(r)
	if q.names == nil {
		return r.repositories[entry].text + " and so a token for all of " + q.Owner
	}
	return q.Owner + "/" + q.Repositories[name]
}

// isProfile reports whether the rule names a profile on the role asked for: a
// role denied by one name is not to be had by the other.
func (q *query) isProfile(r *compiled) bool {
	for _, name := range r.profiles {
		if q.policy.profiles[name].RoleARN == q.role {
			return true
		}
	}
	return false
}

// repository finds the first repository of the request that a glob of the rule
// matches. Any of the owner's is in a request for the whole installation.
func (q *query) repository(r *compiled) (entry, name int, ok bool) {
	for i := range r.repositories {
		if !r.repositories[i].owner.Match(q.owner) {
			continue
		}
		if q.names == nil {
			return i, 0, true
		}
		for n, name := range q.names {
			if r.repositories[i].name.Match(name) {
				return i, n, true
			}
		}
	}
	return 0, 0, false
}

// covering returns the first allow that covers the whole request.
func (q *query) covering() *compiled {
	for _, r := range q.policy.allows[q.Kind] {
		if q.covers(r) && r.takes(q.Tool) && r.who.allows(q) {
			return r
		}
	}
	return nil
}

func (q *query) covers(r *compiled) bool {
	switch q.Kind {
	case AWS:
		if q.Profile != "" {
			return contains(r.profiles, q.Profile)
		}
		return (!q.Write || r.level == Write) && r.roles.Match(q.role)
	case GitHub:
		return q.coversRepositories(r)
	}
	return r.ssh
}

func (q *query) coversRepositories(r *compiled) bool {
	if q.names == nil {
		for i := range r.repositories {
			if r.repositories[i].all && r.repositories[i].owner.Match(q.owner) {
				return true
			}
		}
		return false
	}
	for _, name := range q.names {
		if !q.coversRepository(r, name) {
			return false
		}
	}
	return true
}

func (q *query) coversRepository(r *compiled, name string) bool {
	for i := range r.repositories {
		if r.repositories[i].name.Match(name) && r.repositories[i].owner.Match(q.owner) {
			return true
		}
	}
	return false
}

// guard returns an allow of this caller's that wants an approval or a seal for
// any part of the request, by whatever tool.
func (q *query) guard() *compiled {
	for _, r := range q.policy.allows[q.Kind] {
		if (r.approve != ApproveNone || r.sealed) && (q.touches(r) || q.Kind == AWS && q.isProfile(r)) && r.who.allows(q) {
			return r
		}
	}
	return nil
}

// missing says why no allow covers the request.
func (q *query) missing() string {
	hint := ": list-access shows what you may have"
	if q.email == "" {
		hint += ", and an e-mail that the issuer has not verified counts for none"
	}
	switch {
	case q.Kind == SSH:
		return "no rule allows SSH certificates to you" + hint
	case q.Kind == AWS:
		if q.Write {
			read := *q
			read.Write, read.Tool = false, readTool
			if r := read.covering(); r != nil {
				return "rule " + r.id + " allows " + q.awsName() + " to you for reading only: use " + readTool
			}
		}
		return "no rule allows " + q.awsName() + " to you" + hint
	case q.names == nil:
		return "no rule allows you a token for all of " + q.Owner + ": name repositories; list-access shows which you may have"
	}
	single := *q
	for i := range q.names {
		if single.names = q.names[i : i+1]; single.covering() == nil {
			return "no rule allows " + q.Owner + "/" + q.Repositories[i] + " to you" + hint
		}
	}
	return "no single rule allows all of these repositories to you: ask for fewer in one call"
}

func (q *query) awsName() string {
	if q.Profile != "" {
		return "the profile " + q.Profile
	}
	return "the role " + q.role
}

// allows reports whether an allow is for this caller. What is not known of them
// matches nothing.
func (m *match) allows(q *query) bool {
	return (len(m.emails) == 0 || q.email != "" && m.emails.Match(q.email)) &&
		(len(m.subs) == 0 || q.caller.Subject != "" && m.subs.Match(q.caller.Subject)) &&
		(len(m.clients) == 0 || m.client(q.caller.Clients))
}

// denies reports whether a deny is for this caller. What is not known of them
// matches everything: a deny is not to be got round by leaving something out.
func (m *match) denies(q *query) bool {
	return (len(m.emails) == 0 || q.email == "" || m.emails.Match(q.email)) &&
		(len(m.subs) == 0 || q.caller.Subject == "" || m.subs.Match(q.caller.Subject)) &&
		(len(m.clients) == 0 || len(q.caller.Clients) == 0 || m.client(q.caller.Clients))
}

func (m *match) client(names []string) bool {
	for _, name := range names {
		if name != "" && m.clients.Match(name) {
			return true
		}
	}
	return false
}
