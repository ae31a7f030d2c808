//go:build js && wasm && !faults

package main

import "net/http"

// withFaults adds nothing: only the test build has faults on demand.
func withFaults(serve http.HandlerFunc) http.HandlerFunc { return serve }
