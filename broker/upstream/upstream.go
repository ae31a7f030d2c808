// Package upstream makes the broker's outbound HTTP exchanges: one request
// out, one whole answer back, inside a deadline and a size.
//
// It promises that no hop outlives the deadline of the call that it serves,
// that no hop starts when too little time is left to be of use, that no
// redirect is followed, and that an answer is read whole or not at all. It
// arms no timer: deadlines are kept by the host (docs/architecture.md: one Go instance serves
// every request of an isolate, and a Go timer would fire in a stranger's one).
package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

var (
	// ErrTimeout says that the hop did not end in its time.
	ErrTimeout = errors.New("upstream did not answer in time")
	// ErrTooLarge says that the answer is longer than Request.MaxBytes.
	ErrTooLarge = errors.New("upstream answer is too large")
	// ErrUnreachable says that there was no whole answer: the name did not
	// resolve, the connection failed, or it broke off in the body.
	ErrUnreachable = errors.New("upstream could not be reached")
	// ErrRedirect says that the answer was a redirect. None is followed: it
	// would carry a credential to a host that nobody configured.
	ErrRedirect = errors.New("upstream answered with a redirect")
	// ErrNoTime says that the hop was not started, because less than
	// minHopTime of its call's time was left.
	ErrNoTime = errors.New("no time left for the upstream call")
)

// A Request is one HTTP request with the bounds of its answer.
type Request struct {
	Method string
	// URL is absolute, http or https.
	URL    string
	Header http.Header
	// Body may be nil. It is sent with a Content-Length, never chunked.
	Body []byte
	// Timeout bounds the hop from connect to the last byte of the body.
	Timeout time.Duration
	// MaxBytes bounds the answer's body, after any decompression.
	MaxBytes int
}

// A Response is a whole answer.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// A Fetcher is the host's way out.
//
// Fetch makes one exchange. It follows no redirect (a 3xx is an answer like any
// other), ends within r.Timeout, and gives up on a body above r.MaxBytes. Its
// errors wrap ErrTimeout, ErrTooLarge or ErrUnreachable, or are ctx.Err() when
// ctx was cancelled. It may be called concurrently.
type Fetcher interface {
	Fetch(ctx context.Context, r Request) (*Response, error)
}

// A Client makes hops on behalf of calls that have a deadline.
type Client struct {
	Fetcher Fetcher
	Now     func() time.Time
}

// Do makes one hop. Its time is the smaller of r.Timeout and what ctx's
// deadline leaves; see WithDeadline.
//
// Errors: those of Fetcher, ErrRedirect, ErrNoTime, and ctx.Err() when the
// caller has gone before the hop started.
func (c Client) Do(ctx context.Context, r Request) (*Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if at, ok := ctx.Value(deadlineKey{}).(time.Time); ok {
		left := at.Sub(c.Now())
		if left < minHopTime {
			return nil, ErrNoTime
		}
		r.Timeout = min(r.Timeout, left)
	}
	resp, err := c.Fetcher.Fetch(ctx, r)
	if err != nil {
		return nil, err
	}
	if resp.Status >= 300 && resp.Status < 400 && resp.Status != http.StatusNotModified {
		return nil, fmt.Errorf("%w (status %d)", ErrRedirect, resp.Status)
	}
	return resp, nil
}

// WithDeadline returns ctx with the deadline that Do divides among hops. Unlike
// context.WithDeadline it arms no timer and ends nothing by itself, and it
// survives context.WithoutCancel, so that a hop that must be finished although
// the client has gone is still bounded.
func WithDeadline(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, deadlineKey{}, at)
}

type deadlineKey struct{}
