//go:build js && wasm

package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
)

// An exchange is a request that is being answered.
type exchange struct {
	id     int32
	cancel context.CancelFunc // when its client hangs up
}

type exchangeKey struct{}

// exchangeOf returns the exchange that ctx belongs to. Once it is answered there
// is none: workerd would let it do nothing more.
func (b *bridge) exchangeOf(ctx context.Context) (*exchange, bool) {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	return x, ok && b.exchanges[x.id] == x
}

// handle answers one request. A panic ends the request and not the program,
// which has others in flight.
func (b *bridge) handle(a arrival) {
	head, body := b.received(a.head, a.body)
	x := &exchange{id: a.exchange}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), exchangeKey{}, x))
	x.cancel = cancel
	b.exchanges[x.id] = x
	w := &response{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			requestID := w.header.Get("X-Request-Id")
			b.logPanic(requestID, p, debug.Stack())
			w = &response{header: http.Header{}}
			w.header.Set("X-Request-Id", requestID)
			w.fail(http.StatusInternalServerError, "the broker failed on this request; try again, and tell its operator if that does not help")
		}
		delete(b.exchanges, x.id)
		cancel()
		hostAnswer(x.id, int32(w.status), formatHead("", "", w.header), view(w.body.Bytes()))
	}()
	r, err := parseRequest(ctx, head, body)
	if err != nil {
		w.fail(http.StatusBadRequest, "this is no URL that the broker could have")
		return
	}
	b.serve(w, r)
	w.WriteHeader(http.StatusOK)
}

// parseRequest reads a request's head.
func parseRequest(ctx context.Context, head string, body []byte) (*http.Request, error) {
	method, rest, _ := strings.Cut(head, "\n")
	url, fields, _ := strings.Cut(rest, "\n")
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = parseHead(fields)
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = r.Header.Get("CF-Connecting-IP")
	return r, nil
}

// parseHead reads lines of name and value in turn. Values are kept whole: only
// their reader knows whether a comma separates.
func parseHead(head string) http.Header {
	header := http.Header{}
	for head != "" {
		var name, value string
		name, head, _ = strings.Cut(head, "\n")
		value, head, _ = strings.Cut(head, "\n")
		header.Add(name, value)
	}
	return header
}

// formatHead writes a head; method and URL are "" in an answer's.
func formatHead(method, url string, header http.Header) string {
	var b strings.Builder
	if method != "" {
		b.WriteString(method + "\n" + url + "\n")
	}
	for name, values := range header {
		for _, value := range values {
			b.WriteString(strings.Map(printable, name) + "\n" + strings.Map(printable, value) + "\n")
		}
	}
	return b.String()
}

// printable keeps a value from starting a header of its own, here or in the eyes
// of whoever else splits lines.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return ' '
	}
	return r
}

// response is an http.ResponseWriter that keeps the answer whole.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// fail answers without the handler. What it says holds nothing of the request, so
// any page may read it.
func (w *response) fail(status int, sentence string) {
	w.header.Set("Access-Control-Allow-Origin", "*")
	w.header.Set("Cache-Control", "no-store")
	w.header.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":%q,"status":%d}`, sentence, status)
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}
