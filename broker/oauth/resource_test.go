package oauth

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestNormalizeResource(t *testing.T) {
	tests := []struct{ name, in, want string }{ // want "" is an error
		{"plain", "https://broker.example/mcp", "https://broker.example/mcp"},
		{"upper case", "HTTPS://Broker.EXAMPLE/Mcp", "https://broker.example/Mcp"},
		{"default port of https", "https://broker.example:443/mcp", "https://broker.example/mcp"},
		{"default port of http", "http://localhost:80/mcp", "http://localhost/mcp"},
		{"default port with a zero in front", "https://broker.example:0443/mcp", "https://broker.example/mcp"},
		{"port of the other scheme", "https://broker.example:80/mcp", "https://broker.example:80/mcp"},
		{"other port", "http://localhost:3000/mcp", "http://localhost:3000/mcp"},
		{"empty port", "https://broker.example:/mcp", "https://broker.example/mcp"},
		{"empty path", "http://localhost:3000", "http://localhost:3000/"},
		{"root", "https://broker.example/", "https://broker.example/"},
		{"trailing slash stays", "https://broker.example/mcp/", "https://broker.example/mcp/"},
		{"double slash stays", "https://broker.example//mcp", "https://broker.example//mcp"},
		{"escape stays", "https://broker.example/%6dcp", "https://broker.example/%6dcp"},
		{"dots within a segment", "https://broker.example/.mcp/v1..2", "https://broker.example/.mcp/v1..2"},
		{"IPv4", "http://127.0.0.1:3000/mcp", "http://127.0.0.1:3000/mcp"},
		{"IPv6", "http://[::1]:3000/mcp", "http://[::1]:3000/mcp"},
		{"IPv6 in upper case, default port", "http://[FE80::A]:80", "http://[fe80::a]/"},

		{"empty", "", ""},
		{"relative", "/mcp", ""},
		{"without scheme", "//broker.example/mcp", ""},
		{"host and port only", "broker.example:443", ""},
		{"opaque", "https:broker.example/mcp", ""},
		{"one slash", "https:/broker.example/mcp", ""},
		{"no host", "https:///mcp", ""},
		{"port without host", "https://:443/mcp", ""},
		{"other scheme", "ftp://broker.example/mcp", ""},
		{"urn", "urn:broker", ""},
		{"query", "https://broker.example/mcp?a", ""},
		{"empty query", "https://broker.example/mcp?", ""},
		{"fragment", "https://broker.example/mcp#a", ""},
		{"empty fragment", "https://broker.example/mcp#", ""},
		{"userinfo", "https://a@broker.example/mcp", ""},
		{"empty userinfo", "https://@broker.example/mcp", ""},
		{"backslash, a slash to browsers", `https://broker.example\mcp`, ""},
		{"tab, nothing to browsers", "https://broker.example/m\tcp", ""},
		{"blank in front", " https://broker.example/mcp", ""},
		{"blank in the path", "https://broker.example/m cp", ""},
		{"line end", "https://broker.example/mcp\n", ""},
		{"dot segment", "https://broker.example/a/../mcp", ""},
		{"dot segment at the end", "https://broker.example/mcp/.", ""},
		{"escaped dot segment", "https://broker.example/a/%2E%2e/mcp", ""},
		{"half-escaped dot segment", "https://broker.example/a/.%2e/mcp", ""},
		{"escape in the host", "https://broker%2eexample/mcp", ""},
		{"letter that lower-cases to ASCII", "https://bro\u212Aer.example/mcp", ""},
		{"IPv6 zone", "http://[fe80::1%25eth0]/mcp", ""},
		{"bracket in a name", "https://a]/mcp", ""},
		{"port out of range", "https://broker.example:65536/mcp", ""},
		{"port that is no number", "https://broker.example:x/mcp", ""},
		{"signed port", "https://broker.example:+443/mcp", ""},
		{"bad escape", "https://broker.example/%zz", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := NormalizeResource(test.in)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func FuzzNormalizeResource(f *testing.F) {
	for _, seed := range []string{"https://broker.example/mcp", "HTTP://A:80", "http://[::1]:3000/", "https://a/%2e/b", "https://a:/b//"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := NormalizeResource(s)
		if err != nil {
			return
		}
		if again, err := NormalizeResource(got); err != nil || again != got {
			t.Errorf("%q becomes %q, then %q, %v", s, got, again, err)
		}
		before, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		after, err := url.Parse(got)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.EqualFold(before.Hostname(), after.Hostname()) || strings.TrimPrefix(before.Path, "/") != strings.TrimPrefix(after.Path, "/") {
			t.Errorf("%q and %q are two places", s, got)
		}
	})
}

func TestProtectedResourceJSON(t *testing.T) {
	got, err := json.Marshal(ProtectedResource{
		Resource:               "https://broker.example/mcp",
		AuthorizationServers:   []string{"https://vouch.example"},
		BearerMethodsSupported: []string{"header"},
		ResourceName:           "Broker",
	})
	const want = `{"resource":"https://broker.example/mcp","authorization_servers":["https://vouch.example"],` +
		`"bearer_methods_supported":["header"],"resource_name":"Broker"}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

// TestIsAt: a request is at our host by each spelling of it, and at no other.
func TestIsAt(t *testing.T) {
	const origin = "https://broker.example"
	for host, want := range map[string]bool{
		"broker.example": true, "BROKER.example": true, "broker.example:443": true,
		"broker.example:80": false, "broker.example.": false, "elsewhere.example": false, "": false,
	} {
		if IsAt(host, origin) != want {
			t.Errorf("IsAt(%q, %q) is not %v", host, origin, want)
		}
	}
	if IsAt("", "") || IsAt("", "https://") {
		t.Error("no host is at an origin without one")
	}
}
