package grant

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/vouch"
)

// A call is one tool call on its way.
type call struct {
	desk     *Desk
	caller   Caller
	options  options
	decision policy.Decision
	record   *record
}

// Run makes one call on behalf of who, and records it. With ErrSignInEnded there
// is a Result all the same. A panic is recorded and not recovered here.
func (d *Desk) Run(ctx context.Context, who Caller, in *mcp.Call) (mcp.Result, error) {
	c := &call{desk: d, caller: who, record: newRecord(d.config.Now(), who, in)}
	defer func() { d.config.Log(c.record) }() // even when the call panics
	result, err := c.run(ctx, d.tool(in.Tool), in)
	if err == nil {
		return result, nil
	}
	if errors.Is(err, errAsked) {
		c.record.Outcome, c.record.Status = "asked", http.StatusOK
		return result, nil
	}
	f := c.explain(err)
	c.record.fail(f, err)
	switch {
	case signInEnded(err) && !c.relays():
		return mcp.Result{Structured: f, IsError: true}, ErrSignInEnded
	case errors.Is(err, errState):
		return mcp.Result{Rejected: f.Message}, nil
	}
	return mcp.Result{Structured: f, IsError: true}, nil
}

// relays reports whether the caller's token is Vouch's own. Its client is told in
// the result that Vouch takes it no more, as the published guide has it.
func (c *call) relays() bool {
	_, relays := c.caller.Auth.(vouch.Bearer)
	return relays
}

// run is the path of every call.
func (c *call) run(ctx context.Context, t *tool, in *mcp.Call) (mcp.Result, error) {
	if t.tell != nil {
		return c.answer(t, in)
	}
	wanted, arguments, err := c.settle(t, in.Arguments)
	if err != nil {
		return mcp.Result{}, err
	}
	if ask, err := c.approve(t, arguments, wanted, in); err != nil {
		return mcp.Result{Ask: ask}, err
	}
	if !c.withinLimit(ctx, t) {
		return mcp.Result{}, errTooOften
	}
	credential, err := wanted.mint(ctx, c)
	if err != nil {
		return mcp.Result{}, err
	}
	result, err := c.render(credential)
	if err != nil {
		return mcp.Result{}, err
	}
	c.record.Outcome, c.record.Status = "issued", http.StatusOK
	return result, nil
}

// settle is all that comes before an approval and the credential, in this order:
// the scope, the arguments, what they ask for, the policy. It does no I/O:
// explain-access goes the same way.
func (c *call) settle(t *tool, object json.RawMessage) (credential, arguments, error) {
	if !c.caller.Granted.Has(t.scope) {
		c.record.Decision = deny
		return credential{}, nil, errDeclined
	}
	in, err := parseArguments(object, t.known)
	if err != nil {
		return credential{}, nil, err
	}
	if c.options, err = readOptions(in, t.formats); err != nil {
		return credential{}, nil, err
	}
	c.record.Purpose, c.record.SealedTo = c.options.purpose, c.options.sealTo.String()
	wanted, err := t.prepare(c.desk, in)
	c.record.Target = wanted.target
	if err != nil {
		return credential{}, nil, err
	}
	wanted.request.Tool, wanted.request.SealTo = t.name, c.options.sealTo.String()
	c.decision = c.desk.decide(c.caller, wanted.request)
	c.record.decided(c.decision)
	if !c.decision.Allow {
		return credential{}, nil, deniedError(c.decision.Reason)
	}
	if wanted.fits != nil {
		if err := wanted.fits(c.decision); err != nil {
			return credential{}, nil, err
		}
	}
	return wanted, in, nil
}

// answer is the path of a tool that tells.
func (c *call) answer(t *tool, in *mcp.Call) (mcp.Result, error) {
	arguments, err := parseArguments(in.Arguments, t.known)
	if err != nil {
		return mcp.Result{}, err
	}
	told, err := t.tell(c, arguments)
	if err != nil {
		return mcp.Result{}, err
	}
	c.record.Outcome, c.record.Status = "answered", http.StatusOK
	return mcp.Result{Structured: told}, nil
}

// hop makes one upstream call, named and timed for the audit. A hop that mints
// is not cancelled when the client hangs up: what was issued is to be audited.
func (c *call) hop(ctx context.Context, to hopName, mints bool, do func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return hopError{to, err}
	}
	if mints {
		ctx = context.WithoutCancel(ctx)
	}
	start := c.desk.config.Now()
	err := do(ctx)
	c.record.Hops = append(c.record.Hops, hopRecord{to, c.desk.config.Now().Sub(start).Milliseconds()})
	if err != nil {
		return hopError{to, err}
	}
	return nil
}
