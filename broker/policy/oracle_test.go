package policy_test

import (
	"slices"
	"strings"

	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/policy/policytest"
)

// An oracle decides from the document as it is written, without compiling it.
type oracle struct {
	d policytest.Document
	c policy.Caller
	q policy.Request
}

// decide is what mode enforce says, and by which rule.
func (o oracle) decide() (outcome, rule string) {
	if o.q.Write && o.q.Profile != "" && o.d.AWS[o.q.Profile].Level != "write" {
		return "deny", ""
	}
	for _, r := range o.d.Rules {
		if r.Deny != nil && o.denies(*r.Deny) {
			return "deny", r.ID
		}
	}
	for _, r := range o.d.Rules {
		if r.Allow == nil || !o.allows(r) {
			continue
		}
		most := r.MaxSeconds
		if o.q.Profile != "" {
			most = o.d.AWS[o.q.Profile].MaxSeconds
		}
		sealed, pinned := r.Delivery == "sealed", r.Recipients == nil || slices.Contains(r.Recipients, o.q.SealTo)
		asks := r.Approve == "ask" || r.Approve == "touch"
		switch {
		case most > 0 && o.q.Seconds > most,
			sealed && o.q.SealTo != "" && !pinned,
			sealed && o.q.SealTo == "" && !asks:
			return "deny", r.ID
		case asks:
			return r.Approve, r.ID
		}
		return "allow", r.ID
	}
	return "deny", ""
}

func (o oracle) denies(g policytest.Grant) bool {
	if len(g.Tools) > 0 && !slices.Contains(g.Tools, o.q.Tool) || !o.is(g.Who, true) {
		return false
	}
	if g.AWS == nil && g.GitHub == nil && !g.SSH {
		return true
	}
	return o.touches(g)
}

// touches reports whether the grant speaks of a part of the request.
func (o oracle) touches(g policytest.Grant) bool {
	switch o.q.Kind {
	case policy.SSH:
		return g.SSH
	case policy.AWS:
		arn := o.q.RoleARN + o.d.AWS[o.q.Profile].RoleARN
		return slices.ContainsFunc(g.AWS, func(entry string) bool {
			if p, ok := o.d.AWS[entry]; ok {
				return entry == o.q.Profile || o.q.Profile == "" && p.RoleARN == arn
			}
			return policytest.Like(entry, arn)
		})
	}
	return slices.ContainsFunc(g.GitHub, func(entry string) bool {
		if o.q.Repositories == nil {
			return policytest.LikeFold(strings.Split(entry, "/")[0], o.q.Owner)
		}
		return slices.ContainsFunc(o.q.Repositories, func(name string) bool { return policytest.LikeRepository(entry, o.q.Owner+"/"+name) })
	})
}

func (o oracle) allows(r policytest.Rule) bool {
	g := *r.Allow
	if len(g.Tools) > 0 && !slices.Contains(g.Tools, o.q.Tool) || !o.is(g.Who, false) {
		return false
	}
	switch o.q.Kind {
	case policy.SSH:
		return g.SSH
	case policy.AWS:
		if o.q.Profile != "" {
			return slices.Contains(g.AWS, o.q.Profile)
		}
		return (!o.q.Write || r.Level == "write") && slices.ContainsFunc(g.AWS, func(entry string) bool {
			_, profile := o.d.AWS[entry]
			return !profile && policytest.Like(entry, o.q.RoleARN)
		})
	}
	if o.q.Repositories == nil {
		return slices.ContainsFunc(g.GitHub, func(entry string) bool {
			owner, name, _ := strings.Cut(entry, "/")
			return name == "*" && policytest.LikeFold(owner, o.q.Owner)
		})
	}
	for _, name := range o.q.Repositories {
		if !slices.ContainsFunc(g.GitHub, func(entry string) bool { return policytest.LikeRepository(entry, o.q.Owner+"/"+name) }) {
			return false
		}
	}
	return true
}

// is reports whether a rule is for the caller. What is not known matches every
// deny and no allow.
func (o oracle) is(w *policytest.Who, deny bool) bool {
	if w == nil {
		return true
	}
	email := slices.ContainsFunc(w.Email, func(entry string) bool { return policytest.LikeFold(entry, o.c.Email) })
	if o.c.Email == "" {
		email = deny
	}
	return (w.Email == nil || email) &&
		(w.Sub == nil || slices.ContainsFunc(w.Sub, func(entry string) bool { return policytest.Like(entry, o.c.Subject) })) &&
		(w.Client == nil || slices.ContainsFunc(w.Client, func(entry string) bool { return policytest.Like(entry, o.c.Clients[0]) }))
}

// guards are the rules for the caller that give a part of the request and ask for
// an approval or a seal.
func (o oracle) guards() (rules []string) {
	for _, r := range o.d.Rules {
		if r.Allow == nil || !o.is(r.Allow.Who, false) || r.Approve != "ask" && r.Approve != "touch" && r.Delivery != "sealed" {
			continue
		}
		if o.touches(*r.Allow) {
			rules = append(rules, r.ID)
		}
	}
	return rules
}

// covered reports whether an allow gives all of the request, or would to the tool
// that reads.
func (o oracle) covered() bool {
	read := o
	if o.q.Write {
		read.q.Write, read.q.Tool = false, "get-aws-credentials"
	}
	return slices.ContainsFunc(o.d.Rules, func(r policytest.Rule) bool {
		return r.Allow != nil && (o.allows(r) || read.allows(r))
	})
}
