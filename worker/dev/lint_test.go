package main

import "testing"

func TestForbidden(t *testing.T) {
	tests := []struct {
		name, edge string
		want       bool
	}{
		{"allowed timer of the standard library", "crypto/internal/sysrand.Read -> time.AfterFunc", false},
		{"timer of ours", "mcp-credential-broker/broker.(*Broker).ServeHTTP -> time.AfterFunc", true},
		{"sleep", "mcp-credential-broker/broker/oauth.(*Verifier).refresh -> time.Sleep", true},
		{"timer context", "mcp-credential-broker/broker/vouch.Client.do -> context.WithTimeout", true},
		{"timer context, marked by the linker", "mcp-credential-broker/broker.x -> context.WithDeadline <UsedInIface>", true},
		{"HTTP client", "net/http.(*Client).do -> net/http.send", true},
		{"TLS", "crypto/tls.(*Conn).Handshake -> crypto/tls.x", true},
		{"template", "html/template.New -> text/template.New", true},
		{"only a name shared with kept code", "mcp-credential-broker/broker.f -> net/http.(*Client).send.arginfo1", false},
		{"something else", "mcp-credential-broker/broker.f -> time.Now", false},
		{"no edge", "# mcp-credential-broker/worker", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := len(forbidden([]string{tt.edge})) > 0; got != tt.want {
				t.Errorf("forbidden(%q) = %v, want %v", tt.edge, got, tt.want)
			}
		})
	}
}

func TestPackageOf(t *testing.T) {
	for symbol, want := range map[string]string{
		"net/http.(*Request).Context":                              "net/http",
		"bytes.Clone":                                              "bytes",
		"github.com/tidwall/gjson.Parse":                           "github.com/tidwall/gjson",
		"slices.Contains[go.shape.[]net/http.x,y]":                 "slices",
		"mcp-credential-broker/broker/mcp.New.func1":               "mcp-credential-broker/broker/mcp",
		"golang%2eorg/x/crypto/chacha20poly1305.NewX":              "golang.org/x/crypto/chacha20poly1305",
		"sync/atomic.(*Pointer[internal/sync.node[a/b.c,d]]).Load": "sync/atomic",
		"_rt0_wasm_js":                                             "",
	} {
		if got := packageOf(symbol); got != want {
			t.Errorf("packageOf(%q) = %q, want %q", symbol, got, want)
		}
	}
}
