package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// NetHTTP is the Fetcher on net/http, for tests and for running natively. The
// zero value uses a transport without proxies.
type NetHTTP struct{}

var netClient = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 16},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// Fetch implements Fetcher.
func (NetHTTP) Fetch(ctx context.Context, r Request) (*Response, error) {
	hop, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(hop, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	resp, err := netClient.Do(req)
	if err != nil {
		return nil, netError(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, int64(r.MaxBytes)+1))
	if err != nil {
		return nil, netError(ctx, err)
	}
	if len(body) > r.MaxBytes {
		return nil, ErrTooLarge
	}
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

func netError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return ErrTimeout
	default:
		return fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
}
