//go:build js && wasm

// Command stock is the same broker under workers.Serve, as its template would
// have it, to be measured against.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"fmt"
	"net/http"
	"strings"
	"syscall/js"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/syumai/workers"
	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/upstream"
)

// goES256 verifies in Go: the stock template brings no WebCrypto.
type goES256 struct{ p256.Native }

// VerifyES256 implements p256.ES256.
func (goES256) VerifyES256(message string, signature []byte, key *p256.PublicKey) error {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Point())
	if err != nil {
		return err
	}
	return jwt.SigningMethodES256.Verify(message, signature, public)
}

func main() {
	handler, err := broker.New(broker.Environment{
		Getenv:  cloudflare.Getenv,
		Fetcher: fetcher{},
		ES256:   goES256{},
		Now:     time.Now,
		Log:     func(line string) { js.Global().Get("console").Call("log", line) },
	})
	if err != nil {
		panic(err)
	}
	workers.Serve(handler)
}

// fetcher is the least that the broker can do with: the package's own fetch
// fails on the global object ("Illegal invocation").
type fetcher struct{}

// Fetch implements upstream.Fetcher, without its bounds.
func (fetcher) Fetch(_ context.Context, r upstream.Request) (*upstream.Response, error) {
	headers := js.Global().Get("Headers").New()
	for name, values := range r.Header {
		headers.Call("set", name, strings.Join(values, ", "))
	}
	init := map[string]any{"method": r.Method, "headers": headers, "redirect": "manual"}
	if len(r.Body) > 0 {
		init["body"] = string(r.Body)
	}
	response, err := await(js.Global().Get("fetch").Invoke(r.URL, init))
	if err != nil {
		return nil, err
	}
	text, err := await(response.Call("text"))
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, name := range []string{"Content-Type", "Cache-Control", "Retry-After"} {
		if v := response.Get("headers").Call("get", name); !v.IsNull() {
			header.Set(name, v.String())
		}
	}
	return &upstream.Response{Status: response.Get("status").Int(), Header: header, Body: []byte(text.String())}, nil
}

func await(promise js.Value) (js.Value, error) {
	done := make(chan func() (js.Value, error), 1)
	then := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- func() (js.Value, error) { return args[0], nil }
		return nil
	})
	defer then.Release()
	failed := js.FuncOf(func(_ js.Value, args []js.Value) any {
		done <- func() (js.Value, error) {
			return js.Value{}, fmt.Errorf("%w: %s", upstream.ErrUnreachable, args[0].Call("toString").String())
		}
		return nil
	})
	defer failed.Release()
	promise.Call("then", then, failed)
	return (<-done)()
}
