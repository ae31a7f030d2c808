//go:build js && wasm

// Command worker is the broker's host: in this build a Cloudflare Worker in
// WebAssembly, natively a plain HTTP server for local work. It binds Go to
// JavaScript and does nothing else.
package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/syumai/workers"
	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker"
)

// main runs until the isolate ends. All that happens before Ready happens in
// one turn, inside the first request.
func main() {
	registerES256()
	handler, err := broker.New(broker.Environment{
		Getenv:      cloudflare.Getenv,
		Fetcher:     fetcher{},
		Limiter:     newLimiter(),
		ToolLimiter: newToolLimiter(),
		Now:         time.Now,
		Log:         hostLog,
	})
	if err != nil {
		panic(err) // the tools' definitions are wrong: a test finds this
	}
	program.serve = withFaults(handler.ServeHTTP)
	workers.Ready()
	select {}
}

// logPanic logs a recovered panic. Only the runtime's own panics are shown
// whole: another value could hold what a client sent.
func logPanic(value any) {
	what := fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		what = err.Error()
	}
	hostLog("panic: " + what + "\n" + string(debug.Stack()))
}
