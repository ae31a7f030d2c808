//go:build js && wasm && faults

package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"syscall/js"
	"time"

	"mcp-credential-broker/broker/upstream"
)

var kept [][]byte // what /faults/grow holds on to

// withFaults puts routes before serve that do to the program what a defect
// would do. Only the test build has them.
func withFaults(serve http.HandlerFunc) http.HandlerFunc {
	mux := http.NewServeMux()
	mux.Handle("/", serve)
	mux.HandleFunc("/faults/panic", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Request-Id", "of-the-panic") // as the broker does first of all
		var none []int
		_ = none[len(os.Args)+1]
	})
	mux.HandleFunc("/faults/exit", func(http.ResponseWriter, *http.Request) { os.Exit(3) })
	mux.HandleFunc("/faults/abandon", func(http.ResponseWriter, *http.Request) {
		// As if the platform had stopped here: what JavaScript does at the end of the entry comes to nothing.
		p := hostProgram(0)
		js.Global().Get("Object").Call("defineProperty", p, "current", map[string]any{"value": p.Get("current"), "writable": false})
	})
	mux.HandleFunc("/faults/strand", func(http.ResponseWriter, *http.Request) { // as if a request had been given up
		hostProgram(0).Set("inFlight", hostProgram(0).Get("inFlight").Int()+1)
	})
	mux.HandleFunc("/faults/age", func(http.ResponseWriter, *http.Request) {
		hostProgram(1).Set("retired", hostProgram(1).Get("retired").Float()-60_001)
	})
	mux.HandleFunc("/faults/collect", func(w http.ResponseWriter, _ *http.Request) {
		runtime.KeepAlive(make([]byte, 8<<20)) // so much that the runtime wants to give it back, bit by bit
		runtime.GC()                           // frees it
		runtime.GC()                           // sees that the heap is small again, and wakes who gives it back
		fmt.Fprintln(w, "collected")
	})
	mux.HandleFunc("/faults/grow", func(w http.ResponseWriter, r *http.Request) {
		mib, _ := strconv.Atoi(r.URL.Query().Get("mib"))
		b := make([]byte, mib<<20)
		for i := range b {
			b[i] = byte(i)
		}
		kept = append(kept, b)
		fmt.Fprintln(w, len(kept))
	})
	mux.HandleFunc("/faults/wait", func(w http.ResponseWriter, r *http.Request) {
		most, _ := strconv.Atoi(r.URL.Query().Get("most"))
		answer, err := fetcher{}.Fetch(r.Context(), upstream.Request{Method: http.MethodGet, URL: r.URL.Query().Get("url"), Timeout: time.Minute, MaxBytes: most})
		if err != nil {
			fmt.Fprintln(w, err)
			return
		}
		_, _ = w.Write(answer.Body)
	})
	mux.HandleFunc("/faults/header", func(w http.ResponseWriter, r *http.Request) {
		w.Header()[r.URL.Query().Get("name")] = []string{r.URL.Query().Get("value")}
		fmt.Fprintln(w, "answered")
	})
	mux.HandleFunc("/faults/memory", func(w http.ResponseWriter, _ *http.Request) {
		var bytes [2]int
		for i := range bytes {
			if memory := hostProgram(i).Get("memory"); memory.Truthy() {
				bytes[i] = memory.Get("buffer").Get("byteLength").Int()
			}
		}
		fmt.Fprintf(w, "[%d, %d]", bytes[0], bytes[1])
	})
	mux.HandleFunc("/faults/held", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, js.Global().Get("context").Call("inspect").Get("heldBytes").Int())
	})
	mux.HandleFunc("/faults/timers", func(w http.ResponseWriter, _ *http.Request) {
		// How many timers wasm_exec.js has armed for the Go runtime, by its next id.
		fmt.Fprintln(w, hostProgram(0).Get("go").Get("_nextCallbackTimeoutID").Int()-1)
	})
	mux.HandleFunc("/faults/goroutines", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, runtime.NumGoroutine()-program.idling) // those wait for no answer
	})
	return mux.ServeHTTP
}

// hostProgram returns the program that takes new requests (0) or the one that is
// retiring (1), as worker.mjs knows it; an empty object for none.
func hostProgram(i int) js.Value {
	if p := js.Global().Get("context").Call("inspect").Get("programs").Index(i); p.Truthy() {
		return p
	}
	return js.ValueOf(map[string]any{})
}
