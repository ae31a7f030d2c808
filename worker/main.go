//go:build !js

// Command worker is the broker's host: in the js/wasm build a Cloudflare
// Worker, here a plain HTTP server for local work, with a debugger or a
// profiler. It reads the same variables from the environment, and PORT, and
// policy.json from the folder that it is started in.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/worker/policyfile"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	document, err := policyfile.Read(".", os.Getenv("POLICY"))
	if err != nil {
		return err
	}
	handler, err := broker.New(broker.Environment{
		Getenv: func(name string) string {
			if name == "POLICY" {
				return document
			}
			return os.Getenv(name)
		},
		Fetcher: upstream.NetHTTP{},
		Now:     time.Now,
		Log:     func(line string) { fmt.Println(line) },
	})
	if err != nil {
		return err
	}
	port := os.Getenv("PORT")
	if port == "" {
		port = "3000"
	}
	address := net.JoinHostPort("127.0.0.1", port)
	fmt.Fprintln(os.Stderr, "MCP endpoint: http://"+address+"/mcp")
	server := http.Server{Addr: address, Handler: recovering(handler), ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute}
	return server.ListenAndServe()
}

// recovering keeps the server up when a request panics, and logs that as the Worker
// does.
func recovering(b *broker.Broker) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				b.LogPanic(w.Header().Get("X-Request-Id"), p, debug.Stack())
				http.Error(w, "the broker failed on this request", http.StatusInternalServerError)
			}
		}()
		b.ServeHTTP(w, r)
	}
}
