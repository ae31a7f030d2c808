package httpsig

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Most are examples of RFC 9421 section 2.1.
func TestFieldValue(t *testing.T) {
	header := http.Header{
		"Host":          {"www.example.com"},
		"X-Ows-Header":  {"   Leading and trailing whitespace.   "},
		"Cache-Control": {"max-age=60", "    must-revalidate"},
		"Example-Dict":  {"  a=1,    b=2;x=1;y=2,   c=(a   b   c)"},
		"X-Empty":       {""},
		"X-Empty-Lines": {"", "a", " \t"},
		"X-Tab":         {"\ta\tb\t"},
	}
	tests := []struct{ name, want string }{
		{"host", "www.example.com"},
		{"x-ows-header", "Leading and trailing whitespace."},
		{"cache-control", "max-age=60, must-revalidate"},
		{"example-dict", "a=1,    b=2;x=1;y=2,   c=(a   b   c)"},
		{"x-empty", ""},
		{"x-empty-lines", ", a, "},
		{"x-tab", "a\tb"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := fieldValue(header, tt.name); got != tt.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestParseTarget(t *testing.T) {
	tests := []struct {
		name, url string
		want      target
	}{
		{"host only", "https://us.vouch.sh", target{"us.vouch.sh", "/", "?"}},
		{"root", "https://us.vouch.sh/", target{"us.vouch.sh", "/", "?"}},
		{"host in capitals", "https://US.Vouch.sh/V1", target{"us.vouch.sh", "/V1", "?"}},
		{"default port", "https://us.vouch.sh:443/", target{"us.vouch.sh", "/", "?"}},
		{"default port of http", "http://localhost:80/", target{"localhost", "/", "?"}},
		{"the other scheme's port", "https://us.vouch.sh:80/", target{"us.vouch.sh:80", "/", "?"}},
		{"another port", "http://127.0.0.1:3000/a", target{"127.0.0.1:3000", "/a", "?"}},
		{"IPv6", "http://[::1]/a", target{"[::1]", "/a", "?"}},
		{"IPv6 in capitals with a port", "http://[2001:DB8::1]:8080/a", target{"[2001:db8::1]:8080", "/a", "?"}},
		{"query", "https://h/a?b=c&d=%2F", target{"h", "/a", "?b=c&d=%2F"}},
		{"empty query", "https://h/a?", target{"h", "/a", "?"}},
		{"query without a path", "https://h?a", target{"h", "/", "?a"}},
		{"question mark in the query", "https://h/a?b?c", target{"h", "/a", "?b?c"}},
		{"escapes stay as they are", "https://h/a%2fb%2Fc%20?d%2f", target{"h", "/a%2fb%2Fc%20", "?d%2f"}},
		{"slashes stay as they are", "https://h//a//b/", target{"h", "//a//b/", "?"}},
		{"dots that are no segments", "https://h/.a/b./...", target{"h", "/.a/b./...", "?"}},
		{"apostrophe in the path", "https://h/it's", target{"h", "/it's", "?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := parseTarget(tt.url); got != tt.want || err != nil {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

// What is refused is sent by a WHATWG fetch in another spelling, or not at all.
func TestParseTargetRefuses(t *testing.T) {
	tests := []struct{ name, url string }{
		{"nothing", ""},
		{"relative", "/a"},
		{"no scheme", "//h/a"},
		{"another scheme", "ftp://h/a"},
		{"scheme in capitals", "HTTPS://h/a"},
		{"one slash", "https:/h/a"},
		{"no host", "https:///a"},
		{"port only", "https://:443/a"},
		{"userinfo", "https://hunter2@h/a"},
		{"userinfo with a password", "https://a:hunter2@h/a"},
		{"empty port", "https://h:/a"},
		{"port with a sign", "https://h:+443/a"},
		{"port with a zero in front", "https://h:0443/a"},
		{"port too large", "https://h:65536/a"},
		{"port is a name", "https://h:https/a"},
		{"host with an escape", "https://h%41/a"},
		{"host with a blank", "https://h /a"},
		{"host not ASCII", "https://hé/a"},
		{"host with a backslash", `https://h\.evil.example/a`},
		{"IPv6 without its end", "https://[::1/a"},
		{"IPv6 with more behind", "https://[::1]a/a"},
		{"empty brackets", "https://[]/a"},
		{"fragment", "https://h/a#b"},
		{"fragment without a path", "https://h#b"},
		{"fragment after a query", "https://h/a?b#c"},
		{"dot segment", "https://h/a/./b"},
		{"two dots", "https://h/a/../b"},
		{"two dots at the end", "https://h/a/.."},
		{"escaped dots", "https://h/a/%2e%2E/b"},
		{"half-escaped dots", "https://h/a/.%2e/b"},
		{"backslash", `https://h/a\b`},
		{"blank in the path", "https://h/a b"},
		{"quotation mark in the path", `https://h/a"b`},
		{"tab, which a WHATWG parser drops", "https://h/a\tb"},
		{"line break", "https://h/a\nb"},
		{"not ASCII", "https://h/é"},
		{"apostrophe in the query", "https://h/a?it's"},
		{"angle bracket in the query", "https://h/a?<"},
		{"blank in the query", "https://h/a?b c"},
		{"line break in the query", "https://h/a?b\n\"@method\": GET"},
		{"blank in front", " https://h/a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTarget(tt.url)
			if !errors.Is(err, ErrURL) {
				t.Fatalf("got %+v, %v; want ErrURL", got, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes the URL: %v", err)
			}
		})
	}
}

// What parseTarget takes, net/url reads the same way.
func FuzzParseTarget(f *testing.F) {
	for _, seed := range []string{
		"https://us.vouch.sh/v1?a=b", "http://[::1]:80", "https://h?a", "https://H:0443//", "https://h/%2e%2e/", "https://a@b/", "https://[::1", "https://h:/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseTarget(text)
		if err != nil {
			if !errors.Is(err, ErrURL) {
				t.Fatal(err)
			}
			return
		}
		u, err := url.Parse(text)
		if err != nil {
			t.Skip("net/url is stricter with addresses and escapes")
		}
		path := u.EscapedPath()
		if path == "" {
			path = "/"
		}
		if u.User != nil || u.Fragment != "" || path != got.path || "?"+u.RawQuery != got.query ||
			!strings.HasPrefix(strings.ToLower(u.Host), got.authority) {
			t.Fatalf("%q: %+v, net/url reads %#v", text, got, u)
		}
	})
}
