//go:build !js

package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// An upstream stands in front of the local Vouch or STS. It repeats what they
// answered to the same question before: a machine that makes RSA signatures for
// one side of a comparison has less time left for the other.
type upstream struct {
	url    string
	next   atomic.Pointer[http.Handler]
	delay  atomic.Int64 // nanoseconds, before each answer
	server *http.Server

	mu   sync.Mutex
	kept map[string]*answer
}

// newUpstream listens on loopback, and answers 503 until next is set.
func newUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{url: "http://" + l.Addr().String(), kept: map[string]*answer{}}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = u.server.Serve(l) }() // ends with http.ErrServerClosed
	return u, nil
}

// answerWith sets who answers what was not asked before.
func (u *upstream) answerWith(next http.Handler) { u.next.Store(&next) }

// ServeHTTP implements http.Handler.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next := u.next.Load()
	if next == nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err != nil {
		return
	}
	time.Sleep(time.Duration(u.delay.Load()))
	question := r.Method + " " + r.RequestURI + "\n" + string(body)
	u.mu.Lock()
	a := u.kept[question]
	u.mu.Unlock()
	if a == nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		a = &answer{header: http.Header{}, status: http.StatusOK}
		(*next).ServeHTTP(a, r)
		if a.status == http.StatusOK {
			u.mu.Lock()
			u.kept[question] = a
			u.mu.Unlock()
		}
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}

// An answer is an http.ResponseWriter that keeps what it is given.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }
