//go:build js && wasm

// Command worker is the broker's host: in this build a Cloudflare Worker in
// WebAssembly, natively a plain HTTP server for local work. It binds Go to
// JavaScript and does nothing else.
package main

import (
	"github.com/syumai/workers"
	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker"
)

// main runs until the isolate ends. All that happens before Ready happens in
// one turn, inside the first request.
func main() {
	handler, err := broker.New(broker.Environment{
		Getenv:      cloudflare.Getenv,
		Fetcher:     fetcher{},
		Limiter:     newLimiter(),
		ToolLimiter: newToolLimiter(),
		ES256:       &webCryptoES256{keys: map[any]hostKey{}},
		Now:         program.clock,
		Log:         hostLog,
	})
	if err != nil {
		panic(err) // the tools' definitions are wrong: a test finds this
	}
	program.serve, program.logPanic = withFaults(handler.ServeHTTP), handler.LogPanic
	program.start()
	workers.Ready()
	select {}
}
