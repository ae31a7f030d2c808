package grant

import (
	"context"

	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/policy"
)

// What a call came to, as the audit and explain-access say it.
const (
	allow          = "allow"
	deny           = "deny"
	wouldDeny      = "would-deny" // in the audit alone: a policy that only watches let it through
	approvalWanted = "approval_wanted"
)

// frozen is the rule of a broker that hands out nothing.
const frozen = "FREEZE"

// decide says whether a caller gets what a call asks for.
func (d *Desk) decide(who Caller, r policy.Request) policy.Decision {
	switch {
	case d.config.Freeze != "":
		return policy.Decision{Rule: frozen, Reason: d.config.Freeze}
	case d.config.Policy != nil:
		return d.config.Policy.Decide(who.known(), r)
	}
	granted := policy.Decision{Allow: true, Reason: "this broker has no policy, and you allowed this kind of credential when you signed in", RoleARN: r.RoleARN, Seconds: r.Seconds, Approve: policy.ApproveNone}
	if d.config.Guide {
		granted.Reason = "this broker has no policy: Vouch and the owner of what you ask for decide"
	}
	if r.Kind == policy.AWS {
		granted.Level = policy.Read
		if r.Write || d.config.Guide {
			granted.Level = policy.Write
		}
	}
	return granted
}

// known is what a policy may know of a caller. An e-mail that nobody verified is
// none: a person could claim another's.
func (who Caller) known() policy.Caller {
	known := policy.Caller{Subject: who.Subject, Clients: who.Clients}
	if who.EmailVerified {
		known.Email = who.Email
	}
	return known
}

// withinLimit keeps one person from using up for everybody what Vouch allows this
// broker (docs/operate.md). The key names a person as tokens do, by issuer and
// sub; neither tools nor issuers have spaces, so no two persons share one.
func (c *call) withinLimit(ctx context.Context, t *tool) bool {
	limiter := c.desk.config.Limiter
	return limiter == nil || limiter.Allow(ctx, limit.Tool, t.name+" "+c.desk.config.Vouch.Issuer+" "+c.caller.Subject)
}
