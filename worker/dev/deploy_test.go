package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-credential-broker/worker/settings"
)

const relaying = `name = "b"
workers_dev = false
[vars]
VOUCH_AUDIENCE = "https://broker.example/mcp"
BROKER_MODE = "relay"
`

const routed = `[[routes]]
pattern = "broker.example"
custom_domain = true
`

func TestCheckDeployment(t *testing.T) {
	signIn := strings.Replace(relaying+routed, `"relay"`, "\"sign-in\"\nVOUCH_CLIENT_ID = \"x\"", 1)
	staging := relaying + routed + "[env.staging]\nroutes = [{pattern = \"staging.example\", custom_domain = true}]\n[env.staging.vars]\n"
	ready := "VOUCH_AUDIENCE = \"https://staging.example/mcp\"\nBROKER_MODE = \"relay\"\n"
	tests := []struct {
		name, text, env string
		want            string // in the error; empty: none
	}{
		{"relay", relaying + routed, "", ""},
		{"sign-in", signIn, "", ""},
		{"sign-in without client id", strings.Replace(signIn, `VOUCH_CLIENT_ID = "x"`, "", 1), "", "VOUCH_CLIENT_ID"},
		{"no audience", strings.Replace(relaying, "https://broker.example/mcp", "", 1) + routed, "", "VOUCH_AUDIENCE must be set"},
		{"no mode", strings.Replace(relaying, "relay", "", 1) + routed, "", "BROKER_MODE must be set"},
		{"audience on loopback", strings.Replace(relaying, "https://broker.example", "http://127.0.0.1:3000", 1) + routed, "", "VOUCH_AUDIENCE"},
		{"audience at an address", strings.Replace(relaying, "broker.example", "192.0.2.1", 1) + routed, "", "public host name"},
		{"audience on a private name", strings.Replace(relaying, "broker.example", "broker.internal", 1) + routed, "", "public host name"},
		{"issuer on loopback", relaying + "VOUCH_ISSUER = \"http://127.0.0.1:9000\"\n" + routed, "", "VOUCH_ISSUER must be on a public host"},
		{"issuer without a dot", relaying + "VOUCH_ISSUER = \"https://vouch\"\n" + routed, "", "VOUCH_ISSUER must be on a public host"},
		{"no route", relaying, "", "no route leads broker.example"},
		{"route to another host", relaying + strings.Replace(routed, "broker", "other", 1), "", "no route"},
		{"route to a part of the host", `routes = ["broker.example/mcp*"]` + "\n" + relaying, "", "no route"},
		{"route with a pattern", `routes = ["broker.example/*"]` + "\n" + relaying, "", ""},
		{"one route", `route = {pattern = "*.example/*", zone_name = "example"}` + "\n" + relaying, "", ""},
		{"wildcard of another zone", `route = "*.example.com/*"` + "\n" + relaying, "", "no route"},
		{"workers.dev", strings.NewReplacer("broker.example", "b.acme.workers.dev", "workers_dev = false", "workers_dev = true").Replace(relaying), "", ""},
		{"workers.dev, switched off", strings.Replace(relaying, "broker.example", "b.acme.workers.dev", 1), "", "no route"},
		{"a secret in the file", relaying + "BROKER_KEY = \"{}\"\n" + routed, "", "BROKER_KEY is a secret"},
		{"environment", staging + ready, "staging", ""},
		{"environment inherits no variables", staging, "staging", "VOUCH_AUDIENCE must be set"},
		{"environment of another host", staging + strings.Replace(ready, "staging.example", "broker.example", 1), "staging", "no route"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "wrangler.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := settings.Read(path, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			err = deployer{Settings: s}.check()
			if tt.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}
