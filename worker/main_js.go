//go:build js && wasm

// Command worker is the broker's host: in this build a Cloudflare Worker in
// WebAssembly, natively a plain HTTP server for local work. It binds Go to
// JavaScript and does nothing else.
package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall/js"
	"time"

	"github.com/syumai/workers"
	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker"
)

// main runs until the isolate ends. All that happens before Ready happens in
// one turn, inside the first request.
func main() {
	bridge := newBridge()
	registerES256(bridge.call)
	handler, err := broker.New(broker.Environment{
		Getenv:  cloudflare.Getenv,
		Fetcher: fetcher{bridge.call},
		Limiter: newLimiter(bridge.call),
		Now:     time.Now,
		Log:     logLine,
	})
	if err != nil {
		panic(err) // the tools' definitions are wrong: a test finds this
	}
	bridge.serve = withFaults(handler.ServeHTTP)
	bridge.export()
	workers.Ready()
	select {}
}

// logLine writes one line to the Worker's log. os.Stdout would do the same by
// way of a callback and a channel for each write.
func logLine(line string) { js.Global().Get("console").Call("log", line) }

// logPanic logs a recovered panic. Only the runtime's own panics are shown
// whole: another value could hold what a client sent.
func logPanic(value any) {
	what := fmt.Sprintf("%T", value)
	if err, ok := value.(runtime.Error); ok {
		what = err.Error()
	}
	logLine("panic: " + what + "\n" + string(debug.Stack()))
}
