package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/worker/register"
)

// A client is a project whose broker is registered at a local Vouch.
type client struct {
	t     *testing.T
	root  string
	vouch *vouchtest.Stack
	env   map[string]string
}

// newClient has make register do it, for a broker at audience.
func newClient(t *testing.T, audience string) *client {
	t.Helper()
	s, err := vouchtest.Start(vouchtest.Options{Version: vouchtest.Latest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	c := &client{t, t.TempDir(), s, map[string]string{"VOUCH_ISSUER": s.VouchURL, "VOUCH_AUDIENCE": audience, "AWS_ENDPOINT_URL_STS": s.STSURL}}
	for name, text := range map[string]string{"go.mod": "module x\n", "wrangler.toml": "name = \"b\"\n[vars]\n"} {
		if err := os.WriteFile(filepath.Join(c.root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(c.root)
	for _, name := range []string{"CLOUDFLARE_ENV", "MAKEFLAGS", "MOVE", "RUN", "WRITE", "VOUCH_ISSUER", "VOUCH_AUDIENCE"} {
		t.Setenv(name, c.env[name])
	}
	if err := register.Run(t.Context(), upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now}, time.Now); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) getenv(name string) string { return c.env[name] }

// kept returns what the file holds.
func (c *client) kept() register.Registration {
	c.t.Helper()
	r, err := register.FileFor(c.root, c.env["VOUCH_ISSUER"], c.env["VOUCH_AUDIENCE"]).Load()
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

// secrets are what nobody may be told.
func (c *client) secrets() []string {
	c.t.Helper()
	r := c.kept()
	var jwk struct{ D string }
	if err := json.Unmarshal([]byte(r.Key.Reveal()), &jwk); err != nil || jwk.D == "" || r.Token.IsEmpty() {
		c.t.Fatalf("the registration has no key or no token: %v", err)
	}
	return []string{jwk.D, r.Token.Reveal()}
}

// rewrite sets a member of the file.
func (c *client) rewrite(member, value string) {
	c.t.Helper()
	path := filepath.Join(c.root, register.FileFor(c.root, c.env["VOUCH_ISSUER"], c.env["VOUCH_AUDIENCE"]).String())
	text, err := os.ReadFile(path)
	var members map[string]any
	if err != nil || json.Unmarshal(text, &members) != nil {
		c.t.Fatalf("%s: %v", path, err)
	}
	members[member] = value
	if text, err = json.Marshal(members); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}
