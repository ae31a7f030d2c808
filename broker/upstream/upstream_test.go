package upstream_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/upstream"
)

// recorder is a Fetcher that answers at once and keeps what it was asked.
type recorder struct {
	asked  []upstream.Request
	ctx    context.Context
	answer upstream.Response
}

func (r *recorder) Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error) {
	r.ctx = ctx
	r.asked = append(r.asked, req)
	return &r.answer, nil
}

func TestClientDividesTheDeadline(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name string
		left time.Duration
		cap  time.Duration
		want time.Duration // 0: not started
	}{
		{"plenty left", 14 * time.Second, 8 * time.Second, 8 * time.Second},
		{"less left than the hop may take", 5 * time.Second, 8 * time.Second, 5 * time.Second},
		{"just enough left", 2 * time.Second, 8 * time.Second, 2 * time.Second},
		{"too little left", 2*time.Second - 1, 8 * time.Second, 0},
		{"nothing left", -time.Second, 8 * time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{answer: upstream.Response{Status: 200}}
			c := upstream.Client{Fetcher: r, Now: func() time.Time { return now }}
			ctx := upstream.WithDeadline(context.Background(), now.Add(tt.left))
			// A hop that is finished although its client has gone keeps its deadline.
			_, err := c.Do(context.WithoutCancel(ctx), upstream.Request{Timeout: tt.cap})
			if tt.want == 0 {
				if !errors.Is(err, upstream.ErrNoTime) || len(r.asked) != 0 {
					t.Fatalf("error %v, %d hops started", err, len(r.asked))
				}
				return
			}
			if err != nil || r.asked[0].Timeout != tt.want {
				t.Errorf("timeout %v, %v; want %v", r.asked[0].Timeout, err, tt.want)
			}
			if _, armed := r.ctx.Deadline(); armed {
				t.Error("the context has a deadline of its own, which a timer must keep")
			}
		})
	}
}

func TestClientStartsNothingForACallerWhoHasGone(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r := &recorder{}
	if _, err := (upstream.Client{Fetcher: r, Now: time.Now}).Do(ctx, upstream.Request{}); !errors.Is(err, context.Canceled) || len(r.asked) != 0 {
		t.Errorf("error %v, %d hops started", err, len(r.asked))
	}
}

func TestClientRefusesRedirects(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		r := &recorder{answer: upstream.Response{Status: status}}
		if _, err := (upstream.Client{Fetcher: r, Now: time.Now}).Do(t.Context(), upstream.Request{}); !errors.Is(err, upstream.ErrRedirect) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

func TestNetHTTP(t *testing.T) {
	trapped := false
	mux := http.NewServeMux()
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/trap", http.StatusFound) })
	mux.HandleFunc("/trap", func(http.ResponseWriter, *http.Request) { trapped = true })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a server notices that a client went only once it has read all of it
		<-r.Context().Done()
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 101)) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "x")
	})
	mux.HandleFunc("/length", func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 5 {
			w.WriteHeader(http.StatusLengthRequired)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	tests := []struct {
		path    string
		timeout time.Duration
		err     error
		status  int
	}{
		{"/redirect", time.Minute, nil, 302},
		{"/hang", 50 * time.Millisecond, upstream.ErrTimeout, 0},
		{"/long", time.Minute, upstream.ErrTooLarge, 0},
		{"/cut", time.Minute, upstream.ErrUnreachable, 0},
		{"/length", time.Minute, nil, 200},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			resp, err := upstream.NetHTTP{}.Fetch(t.Context(), upstream.Request{
				Method: http.MethodPost, URL: server.URL + tt.path, Body: []byte("hello"), Timeout: tt.timeout, MaxBytes: 100,
			})
			if !errors.Is(err, tt.err) || err == nil && resp.Status != tt.status {
				t.Errorf("%+v, %v", resp, err)
			}
		})
	}
	if trapped {
		t.Error("a redirect was followed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (upstream.NetHTTP{}).Fetch(ctx, upstream.Request{Method: "GET", URL: server.URL + "/hang", Timeout: time.Minute}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWholeSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		math.MinInt64: 1, -time.Second: 1, 0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, 2*time.Second - 1: 2, math.MaxInt64: 9223372037,
	} {
		if got := upstream.WholeSeconds(d); got != want {
			t.Errorf("%v: %d, want %d", d, got, want)
		}
	}
}
