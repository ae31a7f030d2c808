//go:build js && wasm

package main

import (
	"context"
	"errors"
	"fmt"

	"mcp-credential-broker/broker/upstream"
)

// fetcher is the upstream.Fetcher on the Fetch API. It fetches through the
// exchange that ctx belongs to, since workerd ties I/O to a request. A ctx that
// cannot be cancelled makes a fetch that the client's hanging up does not end.
type fetcher struct{}

// Fetch implements upstream.Fetcher.
func (fetcher) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	x, ok := program.exchangeOf(ctx)
	if !ok {
		return nil, errors.New("fetch outside of a request")
	}
	cancellable := ctx.Done() != nil
	o := program.call(func(call int32) {
		program.head = appendHead(appendLine(appendLine(program.head[:0], r.Method), r.URL), r.Header)
		hostFetch(x.id, call, cancellable, int32(r.Timeout.Milliseconds()), int32(r.MaxBytes), view(program.head), view(r.Body))
	})
	switch o.failure {
	case succeeded:
		if len(o.body) > r.MaxBytes {
			return nil, upstream.ErrTooLarge
		}
		return &upstream.Response{Status: o.status, Header: parseHead(o.head), Body: o.body}, nil
	case timedOut:
		return nil, upstream.ErrTimeout
	case canceled:
		return nil, context.Canceled
	default:
		return nil, fmt.Errorf("%w: %s", upstream.ErrUnreachable, o.head)
	}
}
