//go:build js && wasm

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"

	"mcp-credential-broker/broker/upstream"
)

// fetcher is the upstream.Fetcher on the Fetch API. It fetches through the
// exchange that ctx belongs to, since workerd ties I/O to a request. A ctx that
// cannot be cancelled makes a fetch that the client's hanging up does not end.
type fetcher struct{ call caller }

// Fetch implements upstream.Fetcher.
func (f fetcher) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	exchange, ok := ctx.Value(exchangeKey{}).(js.Value)
	if !ok {
		return nil, errors.New("fetch outside of a request")
	}
	body := js.Null()
	if len(r.Body) > 0 {
		body = bytesToJS(r.Body)
	}
	cancellable := ctx.Done() != nil
	o := f.call(func(id int) {
		exchange.Call("fetch", id, cancellable, r.Timeout.Milliseconds(), r.MaxBytes, r.Method, r.URL, formatHead(r.Header), body)
	})
	switch o.failure {
	case "":
		if len(o.body) > r.MaxBytes {
			return nil, upstream.ErrTooLarge
		}
		return &upstream.Response{Status: o.status, Header: parseHead(o.head), Body: o.body}, nil
	case "timeout":
		return nil, upstream.ErrTimeout
	case "canceled":
		return nil, context.Canceled
	default:
		return nil, fmt.Errorf("%w: %s", upstream.ErrUnreachable, o.head)
	}
}
