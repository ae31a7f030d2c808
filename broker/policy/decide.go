package policy

import (
	"strconv"

	"mcp-credential-broker/broker/glob"
)

// A Decision is what the rules make of one request.
type Decision struct {
	// Allow says that the request is granted, once Approve has happened. Whoever
	// has seen the approval goes on with what Approved returns.
	Allow bool
	// WouldDeny says that mode audit lets through what enforce would refuse.
	WouldDeny bool
	// Rule is the id of the rule that decided, or empty when none matched.
	Rule string
	// Reason says in one sentence why, and what would be needed.
	Reason string

	// RoleARN, Profile, Level and Seconds are what is granted of AWS.
	RoleARN string
	Profile string
	Level   Level
	Seconds int

	// Approve is what must happen first. Approvers names who must do it, each by a
	// verified e-mail in small letters or a sub; none is the caller. See MayApprove.
	Approve   Approve
	Approvers []string
	// Sealed says that the answer must be sealed, to one of Recipients if there
	// are any.
	Sealed     bool
	Recipients []string

	allow     string // id of the allow that set the terms
	requester Caller
	sealTo    string
	refusal   string // in mode audit: what enforce would say
}

// Decide decides. In mode enforce every deny that matches wins; else the first
// allow that covers the whole request, with its terms; else it is refused.
func (p *Policy) Decide(c Caller, r Request) Decision {
	q, problem := p.query(c, r)
	if problem != "" {
		return Decision{Reason: problem} // no rule is asked, so mode audit has nothing to let through
	}
	denied, refusal := q.denied()
	allow := q.covering()
	switch {
	case denied == nil && allow != nil:
		return q.terms(allow, nil, "")
	case denied == nil:
		refusal = q.missing()
	}
	if p.mode != Audit {
		d := Decision{Reason: refusal}
		if denied != nil {
			d.Rule = denied.id
		}
		return d
	}
	// Mode audit lets it through, but on the terms of the allow that covers it, or
	// would cover it at the level where things stay that no rule knows.
	if allow == nil && q.Write {
		q.Write, q.Tool = false, readTool
		allow = q.covering()
	}
	if allow == nil {
		// Else a request could be widened beyond a rule to get past what it asks.
		if guard := q.guard(); guard != nil {
			return Decision{Rule: guard.id, Reason: "rule " + guard.id + " asks for an approval or a seal for a part of this: ask for what that rule allows, and nothing else"}
		}
		allow = &compiled{level: Read, seconds: mostSeconds, approve: ApproveNone}
		q.Write = false
	}
	return q.terms(allow, denied, refusal)
}

// terms is the decision for a request that may be granted as the allow says.
// A refusal is what mode audit only tells, and denied the deny it comes from.
func (q *query) terms(allow, denied *compiled, refusal string) Decision {
	d := Decision{
		Approve: allow.approve, Approvers: allow.approvers, Sealed: allow.sealed, Recipients: allow.recipients,
		allow: allow.id, requester: q.caller, sealTo: q.SealTo, refusal: refusal,
	}
	d.Rule = d.allow
	if denied != nil || refusal != "" {
		d.Rule = ""
	}
	if denied != nil {
		d.Rule = denied.id
	}
	if q.Kind != AWS {
		return d.settle()
	}
	level, most := allow.level, allow.seconds
	if q.Profile != "" {
		level, most = q.profile.Level, q.profile.MaxSeconds
	}
	if level == Write && !q.Write {
		level = Read
	}
	d.Profile, d.RoleARN, d.Level, d.Seconds = q.Profile, q.role, level, min(defaultSeconds, most)
	if q.Seconds > most {
		number := strconv.Itoa(most)
		refusal = "at most " + number + " seconds are allowed here: ask for " + number + " or less"
		if q.policy.mode != Audit {
			return Decision{Rule: allow.id, Reason: refusal}
		}
		d.refusal = refusal
	}
	if q.Seconds > 0 {
		d.Seconds = q.Seconds
	}
	return d.settle()
}

// Approved returns the decision for a request whose approval has been seen. It
// may still be a refusal, for want of a seal.
func (d Decision) Approved() Decision {
	if !d.Allow {
		return d
	}
	d.Approve = ApproveNone
	return d.settle()
}

// settle says yes, unless the answer may not leave as it was asked for. A missing
// seal waits for an outstanding approval; a wrong one need not be approved first.
func (d Decision) settle() Decision {
	missing := d.Sealed && d.sealTo == ""
	wrong := d.Sealed && d.sealTo != "" && len(d.Recipients) > 0 && !contains(d.Recipients, d.sealTo)
	switch {
	case wrong:
		return Decision{Rule: d.allow, Reason: "rule " + d.allow + " gives this only sealed to a recipient that it pins: " + d.HowToSeal(), Sealed: true, Recipients: d.Recipients}
	case missing && d.Approve == ApproveNone:
		return Decision{Rule: d.allow, Reason: "rule " + d.allow + " gives this only sealed: " + d.HowToSeal(), Sealed: true, Recipients: d.Recipients}
	}
	d.Allow, d.WouldDeny = true, d.refusal != ""
	switch {
	case d.WouldDeny:
		d.Reason = "mode audit lets this through; enforce would refuse it: " + d.refusal
	case d.Approve == ApproveNone:
		d.Reason = "rule " + d.allow + " allows this"
	case d.Approve == ApproveAsk:
		d.Reason = "rule " + d.allow + " allows this after a yes of the person"
	case len(d.Approvers) > 0:
		d.Reason = "rule " + d.allow + " allows this after a touch of the key by an approver"
	default:
		d.Reason = "rule " + d.allow + " allows this after a touch of the person's key"
	}
	if missing {
		d.Reason += ", and only sealed: " + d.HowToSeal()
	}
	return d
}

// HowToSeal says how a call gets what is handed out sealed only.
func (d Decision) HowToSeal() string {
	if len(d.Recipients) > 0 {
		return "name one that the rule pins in seal_to; list-access shows them"
	}
	return "name an age recipient of the person's in seal_to (age-keygen -o key.txt makes a key, age-keygen -y key.txt prints its recipient)"
}

// MayApprove reports whether this person can give the approval that the decision
// waits for, and by which name the rule knows them; see the function.
func (d Decision) MayApprove(c Caller) (name string, ok bool) {
	if d.Approve == ApproveNone || d.Approve == "" {
		return "", false
	}
	return MayApprove(d.Approvers, d.requester, c)
}

// MayApprove reports whether a person can approve what the requester asks for, and
// by which name: an entry of the rule's approvers, or without any the requester's
// own sub. Where there are approvers the requester is none, whatever the rule says.
func MayApprove(approvers []string, requester, c Caller) (name string, ok bool) {
	email := knownEmail(c.Email)
	same := c.Subject == requester.Subject || email != "" && email == knownEmail(requester.Email)
	switch {
	case c.Subject == "":
		return "", false
	case len(approvers) == 0:
		return c.Subject, c.Subject == requester.Subject
	case same:
		return "", false
	}
	for _, name := range approvers {
		if name == c.Subject || name == email {
			return name, true
		}
	}
	return "", false
}

// knownEmail returns an e-mail as rules compare it, or "" for one that counts as
// unknown.
func knownEmail(s string) string {
	if !isEmail(s) {
		return ""
	}
	return glob.Lower(s)
}

func contains(all []string, s string) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}
