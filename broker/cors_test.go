package broker

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestMayCall: an origin may call as a browser spells it, once.
func TestMayCall(t *testing.T) {
	const own = "https://broker.example"
	for _, tt := range []struct {
		name    string
		allowed []string
		origins []string
		want    bool
	}{
		{"no browser", nil, nil, true},
		{"own", nil, []string{own}, true},
		{"listed", []string{"https://app.example"}, []string{"https://app.example"}, true},
		{"any https", []string{"*"}, []string{"https://anything.example"}, true},
		{"loopback", nil, []string{"http://127.0.0.1:6274"}, true},
		{"foreign", nil, []string{"https://evil.example"}, false},
		{"any does not mean http", []string{"*"}, []string{"http://anything.example"}, false},
		{"own and foreign", nil, []string{own, "https://evil.example"}, false},
		{"own twice", nil, []string{own, own}, false},
		{"path", []string{"*"}, []string{"https://app.example/x"}, false},
		{"slash", []string{"*"}, []string{"https://app.example/"}, false},
		{"user", []string{"*"}, []string{"https://user@app.example"}, false},
		{"query", []string{"*"}, []string{"https://app.example?x"}, false},
		{"scheme in capitals", []string{"*"}, []string{"HTTPS://app.example"}, false},
		{"loopback with a path", nil, []string{"http://127.0.0.1/x"}, false},
		{"null", []string{"*"}, []string{"null"}, false},
		{"empty", []string{"*"}, []string{""}, false},
		{"an extension that is listed", []string{"chrome-extension://abcdefghijklmnop"}, []string{"chrome-extension://abcdefghijklmnop"}, true},
		{"an app that is listed", []string{"vscode-webview://1kd0-a.b_c"}, []string{"vscode-webview://1kd0-a.b_c"}, true},
		{"an extension that is not", []string{"*"}, []string{"chrome-extension://abcdefghijklmnop"}, false},
		{"another extension", []string{"chrome-extension://abcdefghijklmnop"}, []string{"chrome-extension://abcdefghijklmnoq"}, false},
		{"an app called localhost", nil, []string{"evil://localhost"}, false},
		{"file", []string{"*"}, []string{"file://"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &Broker{}
			b.config.AllowedOrigins = tt.allowed
			if got := b.mayCall(http.Header{"Origin": tt.origins}, own); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

// TestOriginsThatCanBeListed: each origin that a browser may send can be listed, a
// wrong entry is named by its number, and the others count.
func TestOriginsThatCanBeListed(t *testing.T) {
	for entry, good := range map[string]bool{
		"*":                           true,
		"https://claude.ai":           true,
		"https://app.example:8443":    true,
		"http://intranet.example":     true,
		"chrome-extension://abcdef":   true,
		"moz-extension://0a1b-2c3d":   true,
		"vscode-webview://1a2b":       true,
		"tauri://localhost":           true,
		"https://claude.ai/":          false,
		"https://claude.ai/app":       false,
		"https://Claude.ai":           false,
		"https://claude.ai:443":       false,
		"claude.ai":                   false,
		"https://":                    false,
		"null":                        false,
		"file://":                     false,
		"https://user@claude.ai":      false,
		"https://*.claude.ai":         false,
		"Chrome-Extension://abcdef":   false,
		"://abcdef":                   false,
		"chrome-extension://a/b.html": false,
	} {
		vars := map[string]string{"VOUCH_ISSUER": "https://vouch.example", "ALLOWED_ORIGINS": "https://first.example, " + entry + " https://last.example"}
		c, err := ParseConfig(func(name string) string { return vars[name] })
		if err != nil {
			t.Errorf("%s: the broker stops: %v", entry, err)
		}
		if got := slices.Contains(c.AllowedOrigins, entry); got != good {
			t.Errorf("%s: taken %v", entry, got)
		}
		if !slices.Contains(c.AllowedOrigins, "https://first.example") || !slices.Contains(c.AllowedOrigins, "https://last.example") {
			t.Errorf("%s: the others are lost: %v", entry, c.AllowedOrigins)
		}
		if named := strings.Contains(c.Warning, "entry 2 "); named == good {
			t.Errorf("%s: the warning is %q", entry, c.Warning)
		}
	}
}

// TestOriginAdvice: what the refusal of a page advises works, and is not given where
// it would not.
func TestOriginAdvice(t *testing.T) {
	for _, origin := range []string{"https://app.example", "chrome-extension://abcdef", "null", "https://app.example/x"} {
		b := &Broker{}
		in := http.Header{"Origin": {origin}}
		advised := strings.Contains(b.originAdvice(in), "can add "+origin+" to ALLOWED_ORIGINS")
		b.config.AllowedOrigins, _ = origins([]string{origin})
		if works := b.mayCall(in, "https://broker.example"); works != advised {
			t.Errorf("%s: advised %v, works %v", origin, advised, works)
		}
	}
}

// TestRequestHeaders: what is echoed are names of headers, and few.
func TestRequestHeaders(t *testing.T) {
	for asked, echoed := range map[string]bool{
		"authorization, mcp-param-x": true,
		"X_1":                        true,
		strings.Repeat("a", 1024):    true,
		"":                           false,
		strings.Repeat("a", 1025):    false,
		"a\r\nSet-Cookie: b=c":       false,
		"*":                          false,
		"authorization; q=1":         false,
		"<script>":                   false,
		"authoriz\u00e4tion":         false,
	} {
		got := requestHeaders(&http.Request{Header: http.Header{"Access-Control-Request-Headers": {asked}}})
		if (got == asked) != echoed || !echoed && got != defaultRequestHeaders {
			t.Errorf("%.40q is echoed as %.40q", asked, got)
		}
	}
}

// TestRequestIDOf: what goes into log lines and pages is an id, whatever stands in
// the header.
func TestRequestIDOf(t *testing.T) {
	for ray, taken := range map[string]bool{
		"8f00ba5eba11ba5e-FRA":          true,
		"8f00ba5eba11ba5e":              true,
		"":                              false,
		"short":                         false,
		strings.Repeat("a", 33):         false,
		"8f00ba5e\"}{\"a\":\"b":         false,
		"<script>alert(1)":              false,
		"8f00ba5eba11ba5e FRA":          false,
		"8f00ba5eba11ba5e-\u00e4\u00f6": false,
	} {
		got := requestIDOf(&http.Request{Header: http.Header{"Cf-Ray": {ray}}})
		if (got == ray) != taken || got == "" {
			t.Errorf("%q gives the id %q", ray, got)
		}
	}
}
