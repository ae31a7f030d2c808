package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcp-credential-broker/worker/settings"
)

// TestAwaitPrintsNothingThatSteers: what answers at the host may be anybody's, and
// goes to a terminal.
func TestAwaitPrintsNothingThatSteers(t *testing.T) {
	for _, answer := range []string{
		`{"error":"bad \u001b]0;title\u0007 news","status":503}`,
		`{"status":"ok","version":"\u001b[2J","commit":"\u009b31m"}`,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, answer) }))
		t.Cleanup(server.Close)
		t.Setenv("BROKER", server.URL)
		var out strings.Builder
		d := deployer{
			Settings: settings.Settings{Vars: map[string]string{"VOUCH_AUDIENCE": "https://broker.example/mcp"}},
			commit:   "abc123", world: scriptedWorld(), out: &out,
		}
		err := d.await(t.Context())
		if err == nil || strings.ContainsFunc(err.Error()+out.String(), func(r rune) bool { return r < ' ' && r != '\n' || r > '~' }) {
			t.Errorf("error %q, told %q", err, &out)
		}
	}
}
