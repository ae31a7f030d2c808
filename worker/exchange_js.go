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
		b.head = appendHead(b.head[:0], w.header)
		hostAnswer(x.id, int32(w.status), view(b.head), view(w.body))
		b.keep(w.body)
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
	most := strings.Count(head, "\n")/2 + 1
	header, values := make(http.Header, most), make([]string, most)
	for head != "" {
		var name string
		name, head, _ = strings.Cut(head, "\n")
		values[0], head, _ = strings.Cut(head, "\n")
		name = program.canonical(name)
		if header[name] != nil {
			header[name] = append(header[name], values[0])
			continue
		}
		header[name], values = values[:1:1], values[1:]
	}
	return header
}

// canonical returns a header's name as http.Header has it. It remembers those that
// come first: usually they are those of every request, and if not, nothing is lost.
func (b *bridge) canonical(name string) string {
	known, ok := b.names[name]
	if !ok {
		known = http.CanonicalHeaderKey(name)
		if len(b.names) < maxNames && len(name) <= maxNameBytes {
			b.names[strings.Clone(name)] = strings.Clone(known) // and not all of the head
		}
	}
	return known
}

// appendHead appends a head's lines.
func appendHead(b []byte, header http.Header) []byte {
	for name, values := range header {
		for _, value := range values {
			b = appendLine(appendLine(b, name), value)
		}
	}
	return b
}

// appendLine appends a line, with what is not printable as spaces: that keeps a value
// from starting a header of its own, here or in the eyes of whoever else splits lines.
func appendLine(b []byte, text string) []byte {
	at := len(b)
	b = append(b, text...)
	for i, c := range b[at:] {
		if c < ' ' || c > '~' {
			b[at+i] = ' '
		}
	}
	return append(b, '\n')
}

// maxKeptBody is more than the list of tools takes.
const maxKeptBody = 64 << 10

// response is an http.ResponseWriter that keeps the answer whole.
type response struct {
	header http.Header
	status int
	body   []byte
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
	if w.body == nil {
		w.body, program.body = program.body, nil
	}
	w.body = append(w.body, p...)
	return len(p), nil
}

// keep keeps a body that JavaScript has copied for the next answer, which need not find
// room then.
func (b *bridge) keep(body []byte) {
	if cap(body) > cap(b.body) && cap(body) <= maxKeptBody {
		b.body = body[:0]
	}
}
