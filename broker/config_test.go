package broker

import (
	"net/url"
	"strings"
	"testing"

	"mcp-credential-broker/broker/p256/p256test"
)

// goodKey is a key of nobody's.
var goodKey = p256test.Text()

func getenv(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestParseConfigFaults(t *testing.T) {
	tests := []struct {
		name  string
		vars  map[string]string
		fault string // the variable that must be named; "" for none
	}{
		{"nothing set", nil, ""},
		{"all set", map[string]string{
			"VOUCH_ISSUER": "https://eu.vouch.sh", "VOUCH_AUDIENCE": "https://broker.example/mcp", "BROKER_MODE": "relay",
			"ALLOWED_CLIENT_IDS": "a, b", "ALLOWED_ORIGINS": "https://claude.ai,https://x.example:8443", "AWS_REGION": "eu-central-1",
			"AWS_ENDPOINT_URL_STS": "https://sts.example/",
		}, ""},
		{"any origin", map[string]string{"ALLOWED_ORIGINS": "*"}, ""},
		{"loopback issuer", map[string]string{"VOUCH_ISSUER": "http://127.0.0.1:8080"}, ""},
		{"issuer with trailing slash", map[string]string{"VOUCH_ISSUER": "https://us.vouch.sh/"}, "VOUCH_ISSUER"},
		{"issuer over plain http", map[string]string{"VOUCH_ISSUER": "http://us.vouch.sh"}, "VOUCH_ISSUER"},
		{"issuer with userinfo", map[string]string{"VOUCH_ISSUER": "https://u:p@us.vouch.sh"}, "VOUCH_ISSUER"},
		{"issuer with query", map[string]string{"VOUCH_ISSUER": "https://us.vouch.sh?x"}, "VOUCH_ISSUER"},
		{"audience with another path", map[string]string{"VOUCH_AUDIENCE": "https://broker.example/"}, "VOUCH_AUDIENCE"},
		{"audience with trailing slash", map[string]string{"VOUCH_AUDIENCE": "https://broker.example/mcp/"}, "VOUCH_AUDIENCE"},
		{"audience in capitals", map[string]string{"VOUCH_AUDIENCE": "https://Broker.example/mcp"}, "VOUCH_AUDIENCE"},
		{"audience with default port", map[string]string{"VOUCH_AUDIENCE": "https://broker.example:443/mcp"}, "VOUCH_AUDIENCE"},
		{"audience over plain http", map[string]string{"VOUCH_AUDIENCE": "http://broker.example/mcp"}, "VOUCH_AUDIENCE"},
		{"audience with fragment", map[string]string{"VOUCH_AUDIENCE": "https://broker.example/mcp#x"}, "VOUCH_AUDIENCE"},
		{"unknown mode", map[string]string{"BROKER_MODE": "Relay"}, "BROKER_MODE"},
		{"sign-in mode without a key", map[string]string{"BROKER_MODE": "sign-in", "VOUCH_CLIENT_ID": "abc"}, "BROKER_KEY"},
		{"sign-in mode without a client id", map[string]string{"BROKER_MODE": "sign-in", "BROKER_KEY": goodKey}, "VOUCH_CLIENT_ID"},
		{"half a sign-in configuration: key", map[string]string{"BROKER_KEY": goodKey}, "VOUCH_CLIENT_ID"},
		{"half a sign-in configuration: client id", map[string]string{"VOUCH_CLIENT_ID": "abc"}, "BROKER_KEY"},
		{"key that is none", map[string]string{"BROKER_KEY": "s3cret", "VOUCH_CLIENT_ID": "abc"}, "BROKER_KEY"},
		{"previous key that is none", map[string]string{"BROKER_KEY": goodKey, "BROKER_KEY_PREVIOUS": "s3cret", "VOUCH_CLIENT_ID": "abc"}, "BROKER_KEY_PREVIOUS"},
		{"whole sign-in configuration", map[string]string{"BROKER_KEY": goodKey, "VOUCH_CLIENT_ID": "abc"}, ""},
		{"redirect URI that runs a script", map[string]string{"ALLOWED_REDIRECT_URIS": "javascript:alert(1)"}, "ALLOWED_REDIRECT_URIS"},
		{"redirect hosts", map[string]string{"ALLOWED_REDIRECT_HOSTS": "claude.ai, *.example.com x.example:8443"}, ""},
		{"any redirect host", map[string]string{"ALLOWED_REDIRECT_HOSTS": "*"}, ""},
		{"redirect host as URL", map[string]string{"ALLOWED_REDIRECT_HOSTS": "https://claude.ai"}, "ALLOWED_REDIRECT_HOSTS"},
		{"redirect host with path", map[string]string{"ALLOWED_REDIRECT_HOSTS": "claude.ai,x.example/cb"}, "ALLOWED_REDIRECT_HOSTS"},
		{"e-mails", map[string]string{"ALLOWED_EMAILS": "*@example.com, Ada@other.example"}, ""},
		{"e-mail without @", map[string]string{"ALLOWED_EMAILS": "staff.invalid"}, "ALLOWED_EMAILS"},
		{"e-mails that are none", map[string]string{"ALLOWED_EMAILS": " , "}, "ALLOWED_EMAILS"},
		{"no region", map[string]string{"AWS_REGION": "frankfurt"}, "AWS_REGION"},
		{"policy", map[string]string{"POLICY": `{"version": 1, "mode": "audit", "rules": [{"id": "a", "allow": {"ssh": true}}]}`}, ""},
		{"no policy", map[string]string{"POLICY": "none"}, ""},
		{"invalid policy", map[string]string{"POLICY": `{"version": 1, "mode": "audit", "rules": 7}`}, "POLICY is invalid: 1:"},
		{"STS over plain http", map[string]string{"AWS_ENDPOINT_URL_STS": "http://sts.example"}, "AWS_ENDPOINT_URL_STS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseConfig(getenv(tt.vars))
			if tt.fault == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.fault) {
				t.Fatalf("error %v, want one that names %s", err, tt.fault)
			}
			for name, value := range tt.vars {
				if len(value) > 5 && strings.Contains(err.Error(), value) && value != modeSignIn {
					t.Errorf("error quotes the value of %s: %v", name, err)
				}
			}
		})
	}
}

func TestParseConfigReportsEveryFault(t *testing.T) {
	_, err := ParseConfig(getenv(map[string]string{
		"VOUCH_ISSUER": "x", "VOUCH_AUDIENCE": "x", "BROKER_MODE": "x", "ALLOWED_EMAILS": "x", "AWS_REGION": "x", "AWS_ENDPOINT_URL_STS": "x",
	}))
	for _, name := range []string{"VOUCH_ISSUER", "VOUCH_AUDIENCE", "BROKER_MODE", "ALLOWED_EMAILS", "AWS_REGION", "AWS_ENDPOINT_URL_STS"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in %v", name, err)
		}
	}
}

func TestConfigResource(t *testing.T) {
	const audience = "https://broker.example/mcp"
	tests := []struct {
		name   string
		config Config
		url    string
		want   string // "" for a fault
	}{
		{"configured", Config{Audience: audience, Mode: modeRelay}, "https://broker.example/mcp", audience},
		{"configured, another host asks", Config{Audience: audience, Mode: modeRelay}, "https://attacker.example/mcp", audience},
		{"unset on loopback name", Config{}, "http://localhost:3000/mcp", "http://localhost:3000/mcp"},
		{"unset on loopback address", Config{}, "http://127.0.0.1:8787/healthz", "http://127.0.0.1:8787/mcp"},
		{"unset on IPv6 loopback", Config{}, "http://[::1]:8787/", "http://[::1]:8787/mcp"},
		{"unset on a public host", Config{}, "https://broker.example/mcp", ""},
		{"mode unset on a public host", Config{Audience: audience}, "https://broker.example/mcp", ""},
		{"audience unset on a public host", Config{Mode: modeRelay}, "https://broker.example/mcp", ""},
		{"host that looks like loopback", Config{}, "https://localhost.attacker.example/mcp", ""},
		{"host that begins like loopback", Config{}, "https://127.0.0.1.attacker.example/mcp", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tt.config.resource(u)
			if (err != nil) != (tt.want == "") || err == nil && got != tt.want {
				t.Errorf("resource = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// TestDefaultRedirects: what is allowed unless the operator says otherwise is the
// clients that are known, and this list is never open.
func TestDefaultRedirects(t *testing.T) {
	c, err := ParseConfig(getenv(nil))
	if err != nil || c.AllowedEmails != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]bool{"claude.ai": true, "CLAUDE.COM": true, "chatgpt.com": true, "insiders.vscode.dev": true, "www.cursor.com": true, "evil.example": false, "": false, "x.claude.ai": false} {
		if c.AllowedRedirectHosts.Match(host) != want {
			t.Errorf("%q is allowed: %t", host, !want)
		}
	}
	if len(c.AllowedRedirectURIs) != 4 {
		t.Errorf("redirect URIs %q", c.AllowedRedirectURIs)
	}
}

// TestAgentName: what CloudTrail shows for an agent says that the name is a
// client's own word, and fits STS's alphabet.
func TestAgentName(t *testing.T) {
	for name, want := range map[string]string{
		"Claude Code": "mcp/Claude Code", "Größe ✓ (x)": "mcp/Gre  x", "": "mcp/unnamed", "日本": "mcp/unnamed",
		strings.Repeat("x", 200): "mcp/" + strings.Repeat("x", 124),
	} {
		if got := agentName(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}
