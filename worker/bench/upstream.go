//go:build !js

package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"time"
)

// An upstream stands in front of the local Vouch or STS. It repeats what they
// answered to the same question before: a machine that makes RSA signatures for
// one side of a comparison has less time left for the other. For the same reason it
// is no http.Server.
type upstream struct {
	url      string
	listener net.Listener
	next     atomic.Pointer[http.Handler]
	delay    atomic.Int64 // nanoseconds, before each answer

	mu   sync.Mutex
	kept map[string][]byte // answers as they go over the wire, by question
}

// newUpstream listens on loopback, and answers 503 until next is set.
func newUpstream() (*upstream, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{url: "http://" + l.Addr().String(), listener: l, kept: map[string][]byte{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			go u.serve(conn)
		}
	}()
	return u, nil
}

// answerWith sets who answers what was not asked before.
func (u *upstream) answerWith(next http.Handler) { u.next.Store(&next) }

// serve answers one connection's requests until there is none.
func (u *upstream) serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		r, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
		if err != nil {
			return
		}
		time.Sleep(time.Duration(u.delay.Load()))
		if _, err := conn.Write(u.answer(r, body)); err != nil {
			return
		}
	}
}

// answer returns what is kept for the question, or what next answers.
func (u *upstream) answer(r *http.Request, body []byte) []byte {
	question := r.Method + " " + r.RequestURI + "\n" + string(body)
	u.mu.Lock()
	kept := u.kept[question]
	u.mu.Unlock()
	if kept != nil {
		return kept
	}
	w := httptest.NewRecorder()
	if next := u.next.Load(); next != nil {
		r.Body = io.NopCloser(bytes.NewReader(body))
		(*next).ServeHTTP(w, r)
	} else {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	answer := w.Result()
	answer.ContentLength = int64(w.Body.Len())
	var message bytes.Buffer
	_ = answer.Write(&message) // a buffer takes all
	if answer.StatusCode == http.StatusOK {
		u.mu.Lock()
		u.kept[question] = message.Bytes()
		u.mu.Unlock()
	}
	return message.Bytes()
}
