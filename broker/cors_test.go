package broker

import (
	"net/http"
	"strings"
	"testing"
)

// TestAllowOrigin: an origin is let in as a browser spells it, once.
func TestAllowOrigin(t *testing.T) {
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &Broker{}
			b.config.AllowedOrigins = tt.allowed
			out, in := http.Header{}, http.Header{"Origin": tt.origins}
			if got := b.allowOrigin(out, in, own); got != tt.want {
				t.Errorf("got %v", got)
			}
			if told := out.Get("Access-Control-Allow-Origin"); (told != "") != (tt.want && tt.origins != nil) {
				t.Errorf("the browser is told %q", told)
			}
		})
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
