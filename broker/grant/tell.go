package grant

import (
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
)

// whoami is the result of the tool of that name.
type whoami struct {
	Subject  string   `json:"sub"`
	Email    string   `json:"email,omitempty"`
	Verified bool     `json:"email_verified"`
	Client   string   `json:"client,omitempty"`
	Host     string   `json:"client_host,omitempty"`
	Expires  string   `json:"expires,omitempty"`
	SignedIn string   `json:"signed_in_with_key,omitempty"`
	Scopes   []string `json:"scopes"`
}

func whoamiTool() tool {
	return tool{
		name: "whoami", title: "Who am I",
		description: "Tell in whose name this connection acts, by which client, until when, with which scopes, and when the person last used the hardware key. Asks nobody and hands out nothing.",
		annotations: tellsOnly,
		tell: func(c *call, _ arguments) (any, error) {
			return whoami{
				Subject: c.caller.Subject, Email: c.caller.Email, Verified: c.caller.EmailVerified,
				Client: c.record.ClientName, Host: c.caller.ClientHost,
				Expires: rfc3339(c.caller.Expires), SignedIn: rfc3339(c.caller.AuthTime), Scopes: c.caller.Granted.Names(),
			}, nil
		},
	}
}

func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// access is the result of list-access.
type access struct {
	Access []accessEntry `json:"access"`
	// NotGranted are scopes that the person did not tick, or the client not ask for:
	// what needs them is left out of Access.
	NotGranted []string `json:"not_granted,omitempty"`
	Note       string   `json:"note,omitempty"`
}

// An accessEntry is one thing that the caller may have, and on what terms.
type accessEntry struct {
	Tool         string   `json:"tool"`
	Rule         string   `json:"rule,omitempty"`
	Profile      string   `json:"profile,omitempty"`
	About        string   `json:"about,omitempty"`
	RoleARN      string   `json:"role_arn,omitempty"`
	Roles        string   `json:"roles,omitempty"`        // glob
	Repositories string   `json:"repositories,omitempty"` // glob owner/repository
	Installation bool     `json:"installation,omitempty"`
	Except       []string `json:"except,omitempty"`
	Level        string   `json:"level,omitempty"`
	MaxSeconds   int      `json:"max_seconds,omitempty"`
	Approval     string   `json:"approval"`
	Approvers    []string `json:"approvers,omitempty"`
	Delivery     string   `json:"delivery"`
	Recipients   []string `json:"recipients,omitempty"`
}

func listTool() tool {
	return tool{
		name: "list-access", title: "What may I have",
		description: "List what this person may have by this client: AWS profiles and roles, GitHub repositories, SSH, each with level, longest life, and whether it needs an approval or a seal. Asks nobody and hands out nothing.",
		annotations: tellsOnly,
		tell:        listAccess,
	}
}

func listAccess(c *call, _ arguments) (any, error) {
	told := access{Access: []accessEntry{}}
	told.NotGranted = append(told.NotGranted, (authserver.AllScopes &^ c.caller.Granted).Names()...)
	switch {
	case c.desk.config.Freeze != "":
		told.Note = c.desk.config.Freeze
		return told, nil
	case c.desk.config.Policy == nil:
		told.Note = "this broker has no policy: Vouch, AWS and the owner of what you ask for decide"
		for i := range c.desk.tools {
			if t := &c.desk.tools[i]; t.prepare != nil && c.caller.Granted.Has(t.scope) {
				told.Access = append(told.Access, accessEntry{Tool: t.name, Level: t.level(c.desk.config.Guide), Approval: string(policy.ApproveNone), Delivery: deliveryOf(false)})
			}
		}
		return told, nil
	}
	for _, e := range c.desk.config.Policy.Access(c.caller.known()) {
		t := c.desk.tool(e.Tool)
		if t == nil || !c.caller.Granted.Has(t.scope) {
			continue
		}
		told.Access = append(told.Access, accessEntry{
			Tool: e.Tool, Rule: e.Rule, Profile: e.Profile, About: e.About, RoleARN: e.RoleARN, Roles: e.Roles,
			Repositories: e.Repositories, Installation: e.Installation, Except: e.Except, Level: string(e.Level), MaxSeconds: e.Seconds,
			Approval: string(e.Approve), Approvers: e.Approvers, Delivery: deliveryOf(e.Sealed), Recipients: e.Recipients,
		})
	}
	if c.desk.config.Policy.Mode() == policy.Audit {
		told.Note = "the policy only watches: more is let through, and written down"
	}
	return told, nil
}

// level is what a tool gives of AWS without a policy.
func (t *tool) level(guide bool) string {
	switch {
	case t.scope == authserver.ScopeAWSWrite, t.scope == authserver.ScopeAWS && guide:
		return string(policy.Write)
	case t.scope == authserver.ScopeAWS:
		return string(policy.Read)
	}
	return ""
}

func deliveryOf(sealed bool) string {
	if sealed {
		return "sealed"
	}
	return "any"
}

// An explanation is the result of explain-access.
type explanation struct {
	Decision string `json:"decision"` // allow, deny or approval_wanted
	Rule     string `json:"rule,omitempty"`
	Reason   string `json:"reason"`
}

func explainTool() tool {
	return tool{
		name: "explain-access", title: "Why may I, or why not",
		description: "Tell whether a call would be allowed, by which rule and why, and what would be needed. Takes the name of a tool and the arguments of the call. Asks nobody and hands out nothing.",
		annotations: tellsOnly,
		tell:        explainAccess,
	}
}

// explainAccess goes the way of the real call as far as the credential, so that the
// two cannot disagree.
func explainAccess(c *call, in arguments) (any, error) {
	name, err := in.text("tool")
	if err != nil {
		return nil, err
	}
	t := c.desk.tool(name)
	if t == nil || t.prepare == nil {
		return nil, invalid("tool must be the name of a tool that hands out a credential")
	}
	object, given := in["arguments"]
	if given && !object.IsObject() {
		return nil, invalid("arguments must be an object, as the tool takes it")
	}
	if !given {
		object.Raw = "{}"
	}
	probe := &call{desk: c.desk, caller: c.caller, record: newRecord(c.desk.config.Now(), c.caller, &mcp.Call{Tool: name})}
	wanted, arguments, err := probe.settle(t, []byte(object.Raw))
	if err == nil {
		_, err = probe.approve(t, arguments, wanted, &mcp.Call{})
	}
	told := explanation{Decision: allow, Rule: probe.decision.Rule, Reason: probe.decision.Reason}
	if err != nil {
		told.Decision, told.Reason = deny, probe.explain(err).Message
		if probe.record.Decision == approvalWanted {
			told.Decision, told.Reason = approvalWanted, probe.decision.Reason
		}
	}
	return told, nil
}
