package authserver

import (
	"net/url"
	"strings"
	"testing"

	"mcp-credential-broker/broker/glob"
)

const cursorURI = "cursor://anysphere.cursor-mcp/oauth/callback"

func TestMatchRedirectURI(t *testing.T) {
	tests := []struct {
		name, registered, asked string
		want                    bool
	}{
		{"same", "https://app.example/cb", "https://app.example/cb", true},
		{"private scheme", cursorURI, cursorURI, true},
		{"loopback without port, asked with one", "http://127.0.0.1/cb", "http://127.0.0.1:1234/cb", true},
		{"loopback with a port, asked with another", "http://localhost:33418/cb", "http://localhost:1/cb", true},
		{"loopback with a port, asked without", "http://localhost:33418/cb", "http://localhost/cb", true},
		{"IPv6 loopback", "http://[::1]/cb?x=1", "http://[::1]:65535/cb?x=1", true},
		{"loopback without path", "http://127.0.0.1", "http://127.0.0.1:1", true},

		{"https on another port", "https://app.example/cb", "https://app.example:8443/cb", false},
		{"https on the default port", "https://app.example/cb", "https://app.example:443/cb", false},
		{"user info", "https://app.example/cb", "https://app.example@evil.example/cb", false},
		{"subdomain", "https://app.example/cb", "https://x.app.example/cb", false},
		{"longer name", "https://app.example/cb", "https://app.example.evil.example/cb", false},
		{"percent-encoding", "https://app.example/cb", "https://app.example/%63b", false},
		{"capitals", "https://app.example/cb", "https://app.example/CB", false},
		{"dot segment", "https://app.example/cb", "https://app.example/x/../cb", false},
		{"slash behind", "https://app.example/cb", "https://app.example/cb/", false},
		{"query behind", "https://app.example/cb", "https://app.example/cb?x", false},
		{"fragment behind", "https://app.example/cb", "https://app.example/cb#x", false},

		{"loopback by another word", "http://localhost/cb", "http://127.0.0.1:1/cb", false},
		{"loopback by another address", "http://127.0.0.1/cb", "http://127.0.0.2/cb", false},
		{"IPv6 loopback written out", "http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]/cb", false},
		{"IPv6 loopback for IPv4", "http://127.0.0.1/cb", "http://[::ffff:127.0.0.1]/cb", false},
		{"loopback, other path", "http://localhost/cb", "http://localhost:1/cb2", false},
		{"loopback, path encoded", "http://localhost/cb", "http://localhost:1/%63b", false},
		{"loopback, other query", "http://localhost/cb?x=1", "http://localhost:1/cb?x=2", false},
		{"loopback, with a slash", "http://127.0.0.1", "http://127.0.0.1:1/", false},
		{"loopback, https", "http://localhost/cb", "https://localhost:1/cb", false},
		{"loopback, capitals", "http://localhost/cb", "http://LOCALHOST:1/cb", false},
		{"loopback, longer name", "http://localhost/cb", "http://localhost.evil.example/cb", false},
		{"loopback as user", "http://localhost/cb", "http://localhost@evil.example/cb", false},
		{"loopback and port as user", "http://localhost/cb", "http://localhost:1@evil.example/cb", false},
		{"backslash", "http://localhost/cb", `http://localhost:1\@evil.example/cb`, false},
		{"backslash for a slash", "http://localhost/cb", `http://localhost:1\cb`, false},
		{"port zero", "http://localhost/cb", "http://localhost:0/cb", false},
		{"port too large", "http://localhost/cb", "http://localhost:65536/cb", false},
		{"port with a zero in front", "http://localhost/cb", "http://localhost:080/cb", false},
		{"port with a sign", "http://localhost/cb", "http://localhost:+80/cb", false},
		{"port empty", "http://localhost/cb", "http://localhost:/cb", false},
		{"two ports", "http://localhost/cb", "http://localhost:1:2/cb", false},
		{"nothing", "", "http://localhost/cb", false},
	}
	for _, tt := range tests {
		if got := matchRedirectURI(tt.registered, tt.asked); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

const retrievalURI = "cursor://anysphere.cursor-retrieval/oauth/user-*/callback"

// TestAllowedHosts: where access may go is what the operator says, whole hosts
// and ports, and this machine.
func TestAllowedHosts(t *testing.T) {
	const loopback, other = "http://127.0.0.1:7/cb", "https://claude-login.evil.example/cb"
	tests := []struct {
		patterns  string
		good, bad []string
	}{
		{"", []string{loopback}, []string{other, "https://claude.ai/cb"}},
		{"claude.ai", []string{loopback, "https://claude.ai/cb", "https://CLAUDE.ai/cb", "https://claude.ai:443/cb"},
			[]string{other, "https://claude.ai.evil.example/cb", "https://x.claude.ai/cb", "https://notclaude.ai/cb", "https://claude.ai:8443/cb", "https://claude.a/cb"}},
		{"Claude.AI:8443", []string{"https://claude.ai:8443/cb"}, []string{"https://claude.ai/cb"}},
		{"*.example.com", []string{"https://a.example.com/cb", "https://a.b.example.com/cb"}, []string{"https://example.com/cb", "https://example.com.evil.example/cb", "https://aexample.com/cb"}},
		{"*", []string{loopback, other}, []string{"evil://cb", "http://evil.example/cb"}},
	}
	for _, tt := range tests {
		var c Config
		if tt.patterns != "" {
			c.AllowedRedirectHosts = glob.List{glob.Fold(tt.patterns)}
		}
		for _, uri := range tt.good {
			if !c.usableRedirectURI(uri) {
				t.Errorf("%q: %s is refused", tt.patterns, uri)
			}
		}
		for _, uri := range tt.bad {
			if c.usableRedirectURI(uri) {
				t.Errorf("%q: %s is taken", tt.patterns, uri)
			}
		}
	}
}

// TestRedirectFaults: what is said about a redirect URI is so.
func TestRedirectFaults(t *testing.T) {
	for uri, says := range map[string]string{
		"https://localhost:8443/cb": "needs a public host name", "https://127.0.0.1/cb": "uses http on localhost",
		"http://app.example/cb": "elsewhere it must be https", "https://app.example/cb#x": "without a fragment",
		"javascript:alert(1)": "never taken", "HTTPS://app.example/cb": "public host name",
	} {
		if fault := redirectFault(uri); !strings.Contains(fault, says) || strings.ContainsAny(fault, `"\`) {
			t.Errorf("%s: %q, want %q", uri, fault, says)
		}
	}
}

func TestUsableRedirectURI(t *testing.T) {
	c := Config{
		AllowedRedirectURIs:  []string{cursorURI, "javascript:alert(1)", "http://evil.example/cb", "https://10.0.0.1/cb", retrievalURI, "app.example://sign-in/*/done"},
		AllowedRedirectHosts: glob.List{glob.Fold("*")},
	}
	good := []string{
		"https://app.example/cb", "https://app.example", "https://app.example:8443/cb?x=1&y=%20", "https://xn--bcher-kva.example/cb",
		"http://localhost/cb", "http://127.0.0.1:80", "http://[::1]:1/cb?x", cursorURI, strings.Replace(retrievalURI, "*", "My%20vouch-1", 1), "app.example://sign-in/v1.2/done", "https://app.example/" + strings.Repeat("x", 492),
	}
	for _, uri := range good {
		if !c.usableRedirectURI(uri) {
			t.Errorf("%s is refused", uri)
		}
	}
	bad := []string{
		"", "/cb", "//app.example/cb", "app.example/cb", "https:", "https:///cb", "https://", "https:app.example/cb",
		"https://app.example/cb#", "https://app.example/cb#x", "https://x@app.example/cb", "https://@app.example/cb", "https://app.example\\@evil.example/cb",
		"https://app.example/c b", "https://app.example/cb\n", "https://app.example/\r\nSet-Cookie:x", "https://app.example/<", "https://app.example/é", "https://app.example/%zz",
		"https://localhost/cb", "https://intranet/cb", "https://127.0.0.1/cb", "https://[::1]/cb", "https://0x7f.1/cb", "https://app..example/cb", "https://app.example./cb",
		"https://app.example:0/cb", "https://app.example:/cb", "https://app.example:99999/cb", "https://app.ex%61mple/cb", "HTTPS://app.example/cb",
		"http://app.example/cb", "http://localhost.evil.example/cb", "http://127.0.0.2/cb", "http://[::2]/cb", "http://evil.example/cb",
		"javascript:alert(1)", "data:text/html,x", "vbscript:x", "file:///etc/passwd", "blob:https://app.example/x",
		strings.Replace(retrievalURI, "*", "", 1), strings.Replace(retrievalURI, "*", "a/b", 1), strings.Replace(retrievalURI, "*", "a?b", 1), strings.Replace(retrievalURI, "*", "a", 1) + "/x", "x" + retrievalURI,
		strings.Replace(retrievalURI, "*", "a%2F..%2f..%2fx", 1), strings.Replace(retrievalURI, "*", "a%5cb", 1),
		"app.example://sign-in/../done", "app.example://sign-in/%2E%2e/done", "app.example://sign-in/./done",
		strings.Replace(retrievalURI, "user-*", "user", 1), strings.Replace(retrievalURI, "*", "*", 1),
		"evil://cb", cursorURI + "?x", strings.ToUpper(cursorURI), "https://10.0.0.1/cb",
		"https://app.example/cb?code=x", "https://app.example/cb?state=x", "https://app.example/cb?iss=x", "https://app.example/cb?x=1&error=x", "https://app.example/cb?%63ode=x", "https://app.example/cb?a;b",
		"https://app.example/" + strings.Repeat("x", 493),
	}
	for _, uri := range bad {
		if c.usableRedirectURI(uri) {
			t.Errorf("%q is taken", uri)
		}
	}
	for uri, want := range map[string]bool{cursorURI: true, "com.example.app:/cb": true, "https://app.example/cb": false, "http://x/": false, "javascript:x": false, "JavaScript:x": false, "x": false, "": false} {
		if ValidRedirectURI(uri) != want {
			t.Errorf("ValidRedirectURI(%q) is %v", uri, !want)
		}
	}
}

func TestCheckDocumentURL(t *testing.T) {
	c := Config{Issuer: "https://broker.example"}
	good := map[string]string{
		"https://app.example/client.json":       "app.example",
		"https://APP.example/client.json":       "app.example",
		"https://app.example:443/c?x=1":         "app.example",
		"https://xn--bcher-kva.example/c":       "xn--bcher-kva.example",
		"https://local.example/.well-known/x..": "local.example",
		"https://10.0.0.1.example/c":            "10.0.0.1.example",

		"https://" + strings.Repeat("x.", 123) + "example/c": strings.Repeat("x.", 123) + "example",
	}
	for id, want := range good {
		if host, err := c.checkDocumentURL(id); err != nil || host != want {
			t.Errorf("%s: %q, %v", id, host, err)
		}
	}
	bad := []string{
		"", "https://", "https:///c", "https://app.example", "https://app.example/", "https://app.example?c", "app.example/c", "ftp://app.example/c",
		"http://app.example/c", "http://localhost/c", "http://127.0.0.1:8080/c", "https://x@app.example/c", "https://x:y@app.example/c", "https://@app.example/c",
		"https://app.example/c#x", "https://app.example/c#", "https://app.example/./c", "https://app.example/x/../c", "https://app.example/%2e%2e/c", "https://app.example/x%2f..%2fc", "https://app.example/..",
		"https://app.example:8443/c", "https://app.example:80/c", "https://app.example:/c", "https://app.example:443:443/c",
		"https://127.0.0.1/c", "https://10.0.0.1/c", "https://169.254.169.254/c", "https://8.8.8.8/c", "https://8.8.8.8:443/c",
		"https://2130706433/c", "https://0x7f000001/c", "https://0x7f.0.0.1/c", "https://0177.0.0.1/c", "https://127.1/c", "https://127.0.0.0x1/c", "https://1.0x7f/c",
		"https://[::1]/c", "https://[::ffff:10.0.0.1]/c", "https://[fe80::1%25eth0]/c", "https://[2606:4700::1]/c", "https://[::1]:443/c",
		"https://localhost/c", "https://LOCALHOST/c", "https://localhost./c", "https://x.localhost/c", "https://intranet/c", "https://printer.local/c", "https://x.internal/c", "https://router.home.arpa/c", "https://1.0.0.127.in-addr.arpa/c", "https://x.onion/c",
		"https://app.example./c", "https://.app.example/c", "https://app..example/c", "https://app.ex%61mple/c", "https://app.example%2eevil/c", "https://app\\.example/c", "https://app.example\\c", "https://bücher.example/c", "https://app.example/c d", "https://app.example/\nc",
		"https://broker.example/c", "https://BROKER.example/c", "https://broker.example:443/c",
		"https://app.example/" + strings.Repeat("x", 1536), "https://" + strings.Repeat("x.", 124) + "example/c",
	}
	for _, id := range bad {
		if host, err := c.checkDocumentURL(id); err == nil {
			t.Errorf("%q would be fetched from %q", id, host)
		}
	}

	c = Config{Issuer: "http://127.0.0.1:3000", Loopback: true}
	for id, want := range map[string]bool{
		"http://127.0.0.1:4000/c": true, "http://localhost:4000/c": true, "http://[::1]:4000/c": true, "https://app.example/c": true,
		"http://127.0.0.1:3000/c": false, "http://app.example/c": false, "http://10.0.0.1/c": false, "http://localhost:4000/": false, "https://127.0.0.1/c": false, "http://x@localhost:4000/c": false,
	} {
		if _, err := c.checkDocumentURL(id); (err == nil) != want {
			t.Errorf("on loopback, %s: %v", id, err)
		}
	}
}

// FuzzMatchRedirectURI: a match leads where the registered URI leads, as
// net/url reads them: only the port may differ, and only on this machine.
func FuzzMatchRedirectURI(f *testing.F) {
	f.Add("https://app.example/cb", "https://app.example@evil.example/cb")
	f.Add("http://localhost/cb", "http://localhost:1@evil.example/cb")
	f.Add("http://127.0.0.1/cb?x=1", "http://127.0.0.1:65535/cb?x=1")
	f.Add("http://[::1]/", "http://[::1]:80/")
	f.Add(cursorURI, cursorURI)
	f.Fuzz(func(t *testing.T, registered, asked string) {
		c := Config{AllowedRedirectURIs: []string{cursorURI}, AllowedRedirectHosts: glob.List{glob.Fold("*")}}
		if !c.usableRedirectURI(registered) || !matchRedirectURI(registered, asked) || !c.usableRedirectURI(asked) {
			return
		}
		a, errA := url.Parse(registered)
		b, errB := url.Parse(asked)
		if errA != nil || errB != nil {
			t.Fatalf("%q matches %q", asked, registered)
		}
		if a.Scheme != b.Scheme || a.Hostname() != b.Hostname() || a.EscapedPath() != b.EscapedPath() || a.RawQuery != b.RawQuery || b.User != nil || b.Fragment != "" {
			t.Errorf("%q matches %q", asked, registered)
		}
		if a.Port() != b.Port() && a.Hostname() != "localhost" && a.Hostname() != "127.0.0.1" && a.Hostname() != "::1" {
			t.Errorf("%q matches %q on another port", asked, registered)
		}
	})
}

// FuzzCheckDocumentURL: what would be fetched is https on a public name.
func FuzzCheckDocumentURL(f *testing.F) {
	f.Add("https://app.example/client.json")
	f.Add("https://0x7f.1/c")
	f.Add("https://[::1]/c")
	f.Add("https://app.example:443/a/%2e%2e/c?x")
	f.Fuzz(func(t *testing.T, id string) {
		host, err := (Config{Issuer: "https://broker.example"}).checkDocumentURL(id)
		if err != nil {
			return
		}
		u, err := url.Parse(id)
		if err != nil || u.Scheme != "https" || !strings.EqualFold(u.Hostname(), host) || u.Port() != "" && u.Port() != "443" || u.User != nil || u.Fragment != "" || !strings.Contains(host, ".") {
			t.Errorf("%q would be fetched from %q", id, host)
		}
	})
}
