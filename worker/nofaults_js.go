//go:build js && wasm && !faults

package main

import "net/http"

// withFaults adds nothing: only the test build has faults on demand.
func withFaults(handler http.Handler) http.Handler { return handler }
