//go:build js && wasm

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall/js"
)

// The bridge to worker.mjs. It is our own instead of workers.Serve, which is
// made for one request to each start of the Go program: its response closes the
// program's only done channel, its promises and body streams keep some 20 KB a
// fetch in a program that lives on, and its header conversion splits at commas.
//
// JavaScript calls handle, hangUp and settle, three functions made once; a
// request makes no js.Func of its own, so there is none to release.
//
// What is converted to an interface in this package holds no bridge and no
// http.Handler: the linker keeps every type that could be reached from there by
// reflection, and from http.Request that is all of X.509.
type bridge struct {
	serve   http.HandlerFunc
	hangUps map[int]context.CancelFunc // by exchange
	calls   map[int]chan<- outcome     // waiting for settle
	lastID  int
}

// An outcome is what settle reports of a fetch or a signature check.
type outcome struct {
	failure string // "" when there is an answer
	status  int
	head    string
	body    []byte
}

func newBridge() *bridge {
	return &bridge{hangUps: map[int]context.CancelFunc{}, calls: map[int]chan<- outcome{}}
}

// host is the object that worker.mjs hands to this run of the program.
func host() js.Value { return js.Global().Get("context") }

// export makes the bridge's functions callable by worker.mjs.
func (b *bridge) export() {
	binding := host().Get("binding")
	for name, f := range map[string]func(args []js.Value){
		"handle": func(args []js.Value) {
			exchange, id, head, body := args[0], args[1].Int(), args[2].String(), copyBytes(args[3])
			go b.handle(exchange, id, head, body)
		},
		"hangUp": func(args []js.Value) {
			if cancel := b.hangUps[args[0].Int()]; cancel != nil {
				cancel()
			}
		},
		"settle": func(args []js.Value) {
			id := args[0].Int()
			done := b.calls[id]
			delete(b.calls, id)
			done <- outcome{args[1].String(), args[2].Int(), args[3].String(), copyBytes(args[4])}
		},
	} {
		binding.Set(name, js.FuncOf(func(_ js.Value, args []js.Value) any {
			f(args)
			return nil
		}))
	}
}

// A caller starts work on the JavaScript side and waits for settle. start gets
// the id to settle.
type caller func(start func(id int)) outcome

func (b *bridge) call(start func(id int)) outcome {
	done := make(chan outcome, 1)
	b.lastID++
	id := b.lastID
	b.calls[id] = done
	start(id)
	return <-done
}

type exchangeKey struct{}

// handle answers one request. A panic ends the request and not the program,
// which has others in flight.
func (b *bridge) handle(exchange js.Value, id int, head string, body []byte) {
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), exchangeKey{}, exchange))
	b.hangUps[id] = cancel
	w := &response{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			logPanic(p)
			w = &response{header: http.Header{}}
			w.fail(http.StatusInternalServerError, "the broker failed on this request; try again, and tell its operator if that does not help")
		}
		delete(b.hangUps, id)
		cancel()
		exchange.Call("answer", w.status, formatHead(w.header), bytesToJS(w.body.Bytes()))
	}()
	r, err := parseRequest(ctx, head, body)
	if err != nil {
		w.fail(http.StatusBadRequest, "this is no URL that the broker could have")
		return
	}
	b.serve(w, r)
	w.WriteHeader(http.StatusOK)
}

// parseRequest reads "METHOD URL" and the header lines that worker.mjs wrote.
func parseRequest(ctx context.Context, head string, body []byte) (*http.Request, error) {
	line, fields, _ := strings.Cut(head, "\n")
	method, url, _ := strings.Cut(line, " ")
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = parseHead(fields)
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = r.Header.Get("CF-Connecting-IP")
	return r, nil
}

// parseHead reads lines of "name: value". Values are kept whole: only their
// reader knows whether a comma separates.
func parseHead(head string) http.Header {
	header := http.Header{}
	for line := range strings.Lines(head) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); ok {
			header.Add(name, value)
		}
	}
	return header
}

func formatHead(header http.Header) string {
	var b strings.Builder
	for name, values := range header {
		for _, value := range values {
			b.WriteString(name + ": " + strings.Map(printable, value) + "\n")
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

var _ io.Writer = (*response)(nil)

func copyBytes(v js.Value) []byte {
	if v.IsNull() || v.IsUndefined() {
		return nil
	}
	b := make([]byte, v.Length())
	js.CopyBytesToGo(b, v)
	return b
}

func bytesToJS(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}
