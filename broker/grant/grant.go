// Package grant is the life of a grant: what tools there are, how a call of one
// becomes a credential, what is written down of it, and what is said when it
// does not.
//
// It promises one path for every tool, in this order: the scope, the arguments,
// what they ask for, the policy, the approval, the credential, the record.
// Nothing is minted before all that comes before it was passed, no tool can leave
// a part of it out, and explaining goes the same way and stops before the
// credential. It knows neither HTTP requests nor routes, and decides by nothing
// but the caller, the call and its configuration.
package grant

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/vouch"
)

// Config is what a Desk needs.
type Config struct {
	Vouch vouch.Client
	STS   sts.Client
	// AWSRegion is the STS region when a call names none. Empty: the partition's.
	AWSRegion string
	// Policy says who gets what. It may be nil: then everybody gets what the person
	// ticked, and AWS at most to look without the scope to write.
	Policy *policy.Policy
	// Guide says that there is no Policy and that callers' tokens are Vouch's own:
	// then the published guide holds, which narrows nothing.
	Guide bool
	// Freeze refuses every credential with this text, if it is not empty.
	Freeze string
	// Limiter bounds the credentials of a person and a tool. It may be nil: no limits.
	Limiter limit.Limiter
	Now     func() time.Time
	// Log takes one line of the audit, a value for encoding/json. It may be called
	// concurrently.
	Log func(line any)
}

// A Desk is where credentials are asked for. It does not change and may be used
// concurrently.
type Desk struct {
	config Config
	tools  []tool
}

// A Caller is who asks, how to act for that person at Vouch, and what the
// person's client may ask for.
type Caller struct {
	RequestID string // that the log lines of one HTTP request share
	Subject   string
	Email     string // "" when Vouch does not vouch for one
	// EmailVerified says that Vouch calls Email verified. Only then does a policy
	// know it.
	EmailVerified bool
	Expires       time.Time // of the caller's token
	// AuthTime is when the person used the hardware key; zero if unknown.
	AuthTime time.Time
	SignIn   string // id of the sign-in, the same on its own log line; may be ""
	ClientID string
	// ClientName is how the client called itself when its person signed in, and
	// ClientHost where its metadata document lies. Both may be "".
	ClientName, ClientHost string
	// Clients is what a policy compares who.client with.
	Clients []string
	Auth    vouch.Authorization
	// Approvals makes and checks approvals; nil where the broker has no key.
	// ClientIDHash is the SHA-256 of the client's id, to which they are bound.
	Approvals    *approval.Notary
	ClientIDHash [sha256.Size]byte
	// Asked are the scopes that the client asked for, and Granted those of them
	// that the person agreed to.
	Asked, Granted authserver.Scopes
}

var (
	// ErrSignInEnded says that Vouch no longer knows the caller's sign-in. The
	// Result beside it tells the same to a client that cannot sign in again.
	ErrSignInEnded = errors.New("the sign-in at Vouch has ended")
	// ErrTool says that a tool could be called by anybody.
	ErrTool = errors.New("tool cannot be offered")

	errMissingScope = errors.New("scope was not asked for")
)

// New returns a Desk. Its error wraps ErrTool.
func New(c Config) (*Desk, error) { return newDesk(c, tools(c)) }

func newDesk(c Config, tools []tool) (*Desk, error) {
	for i := range tools {
		t := &tools[i]
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrTool, t.name, err)
		}
		t.known = t.schema("input.properties")
	}
	return &Desk{config: c, tools: tools}, nil
}

// Tools are the tools as clients see them.
func (d *Desk) Tools() []mcp.Tool {
	listed := make([]mcp.Tool, len(d.tools))
	for i := range d.tools {
		listed[i] = d.tools[i].listed()
	}
	return listed
}

func (d *Desk) tool(name string) *tool {
	for i := range d.tools {
		if d.tools[i].name == name {
			return &d.tools[i]
		}
	}
	return nil
}

// Missing returns the scopes that a client did not ask for and needs for these
// calls. If there are any, none of the calls may run, and each is recorded as
// refused: a batch of which a part is out of reach does nothing at all. A scope
// that the person unticked is not missing; the tool says so.
func (d *Desk) Missing(who Caller, calls []*mcp.Call) authserver.Scopes {
	var needed authserver.Scopes
	for _, c := range calls {
		if t := d.tool(c.Tool); t != nil {
			needed |= t.scope
		}
	}
	missing := needed &^ who.Asked
	if missing == 0 {
		return 0
	}
	for _, c := range calls {
		r := newRecord(d.config.Now(), who, &mcp.Call{Tool: c.Tool})
		r.Decision = deny
		r.fail(failure{Message: "the token lacks the scope of this tool", Status: http.StatusForbidden, outcome: "refused"}, errMissingScope)
		d.config.Log(r)
	}
	return missing
}
