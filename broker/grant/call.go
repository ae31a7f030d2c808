package grant

import (
	"context"
	"errors"
	"net/http"

	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/vouch"
)

// A call is one tool call on its way.
type call struct {
	desk   *Desk
	caller Caller
	record *record
}

// Run makes one call on behalf of who, and records it. With ErrSignInEnded there
// is a Result all the same. A panic is recorded and not recovered here.
func (d *Desk) Run(ctx context.Context, who Caller, in *mcp.Call) (mcp.Result, error) {
	c := &call{d, who, newRecord(d.config.Now(), who, in)}
	defer func() { d.config.Log(c.record) }() // even when the call panics
	value, err := c.run(ctx, d.tool(in.Tool), in)
	if err == nil {
		c.record.Outcome, c.record.Status = "issued", http.StatusOK
		return mcp.Result{Structured: value}, nil
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

// run is the path of every call: scope, arguments, what they ask for, credential.
func (c *call) run(ctx context.Context, t *tool, in *mcp.Call) (any, error) {
	if in.RequestState != "" {
		return nil, errState
	}
	if !c.caller.Granted.Has(t.scope) {
		return nil, errDeclined
	}
	arguments, err := parseArguments(in.Arguments, t.schema("input.properties"))
	if err != nil {
		return nil, err
	}
	wanted, err := t.prepare(c.desk, arguments)
	c.record.Target = wanted.target
	if err != nil {
		return nil, err
	}
	return wanted.mint(ctx, c)
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
