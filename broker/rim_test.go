package broker_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/vouchtest"
)

var everyPath = []string{
	"/", "/mcp", "/mcp/", "/healthz", "/nothing", "/approve", "/oauth/authorize", "/oauth/callback", "/oauth/token", "/oauth/token/", "/oauth/revoke", "/oauth/register", "/oauth/nothing",
	"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/mcp/.well-known/oauth-protected-resource",
	"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/mcp", "/.well-known/openid-configuration", "/favicon.ico",
}

// ask asks a broker of these settings directly, by an absolute URL as in a Worker.
func ask(t *testing.T, vars map[string]string, method, url string, headers map[string]string) *http.Response {
	t.Helper()
	b, err := broker.New(broker.Environment{Getenv: func(name string) string { return vars[name] }, Now: time.Now, Log: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, url, nil)
	for name, value := range headers {
		if r.Header.Set(name, value); name == "Host" {
			r.Host = value
		}
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w.Result()
}

var relaying = map[string]string{"BROKER_MODE": "relay", "VOUCH_ISSUER": "https://vouch.example", "VOUCH_AUDIENCE": "https://broker.example/mcp"}

// TestEveryAnswerCanBeRead: a client in a browser reads each answer of each path, and
// is let send what it asks to send. Nowhere are cookies taken along.
func TestEveryAnswerCanBeRead(t *testing.T) {
	relay := newBench(t, vouchtest.Options{}, nil)
	signIn := newSignInBench(t)
	broken := newBench(t, vouchtest.Options{}, map[string]string{"BROKER_MODE": "x"})
	for _, url := range []string{relay.url, signIn.url, broken.url} {
		for _, path := range everyPath {
			for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
				req, err := http.NewRequest(method, url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Origin", "https://evil.example")
				req.Header.Set("Access-Control-Request-Headers", "authorization, mcp-param-x")
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				h := resp.Header
				if got := h.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != "*" {
					t.Errorf("%s %s: %d, Access-Control-Allow-Origin %q", method, path, resp.StatusCode, got)
				}
				if exposed := h.Get("Access-Control-Expose-Headers"); !strings.Contains(exposed, "WWW-Authenticate") || !strings.Contains(exposed, "Retry-After") {
					t.Errorf("%s %s: Access-Control-Expose-Headers %q", method, path, exposed)
				}
				if h.Get("Access-Control-Allow-Credentials") != "" {
					t.Errorf("%s %s: cookies are taken along", method, path)
				}
				if method == "OPTIONS" && (resp.StatusCode != 204 || h.Get("Access-Control-Allow-Headers") != "authorization, mcp-param-x") {
					t.Errorf("preflight of %s: %d, Access-Control-Allow-Headers %q", path, resp.StatusCode, h.Get("Access-Control-Allow-Headers"))
				}
			}
		}
	}
}

// TestForeignPagesMayNotCall: what a page of another origin asks is refused before its
// token is looked at, and the refusal says what helps.
func TestForeignPagesMayNotCall(t *testing.T) {
	for origin, may := range map[string]bool{"https://evil.example": false, "null": false, "chrome-extension://abcdef": false, "https://claude.ai": true, "https://broker.example": true} {
		resp := ask(t, relaying, "POST", "https://broker.example/mcp", map[string]string{"Origin": origin, "Authorization": "Bearer x.y.z"})
		if status := map[bool]int{true: 401, false: 403}[may]; resp.StatusCode != status || !may && resp.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: status %d", origin, resp.StatusCode)
		}
	}
}

// TestPlainHTTP: a broker whose audience is https is not there by http, whatever is
// asked and with whatever token, and tells browsers so.
func TestPlainHTTP(t *testing.T) {
	for _, path := range everyPath {
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			resp := ask(t, relaying, method, "http://broker.example"+path, map[string]string{"Authorization": "Bearer x.y.z"})
			if resp.StatusCode != 403 || resp.Header.Get("WWW-Authenticate") != "" {
				t.Errorf("%s %s by http: %d", method, path, resp.StatusCode)
			}
		}
		resp := ask(t, relaying, "GET", "https://broker.example"+path, nil)
		if resp.StatusCode == 403 || resp.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
			t.Errorf("%s by https: %d, Strict-Transport-Security %q", path, resp.StatusCode, resp.Header.Get("Strict-Transport-Security"))
		}
		local := map[string]string{"VOUCH_ISSUER": "http://localhost:1", "VOUCH_AUDIENCE": "http://localhost:8787/mcp", "BROKER_MODE": "relay"}
		if resp := ask(t, local, "GET", "http://localhost:8787"+path, nil); resp.StatusCode == 403 || resp.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s on loopback: %d, Strict-Transport-Security %q", path, resp.StatusCode, resp.Header.Get("Strict-Transport-Security"))
		}
	}
}

// TestHostOfTheBroker: the Host header may have the default port, and names no other
// host.
func TestHostOfTheBroker(t *testing.T) {
	for host, at := range map[string]bool{
		"broker.example":          true,
		"broker.example:443":      true,
		"BROKER.example":          true,
		"broker.example:80":       false,
		"broker.example:8443":     false,
		"broker.example.":         false,
		"evil.example":            false,
		"broker.example@evil":     false,
		"evil@broker.example":     false,
		"broker.example/x":        false,
		"broker.example:443:443":  false,
		"broker.example, evil.x":  false,
		"broker.example:":         true,
		"xn--broker.example":      false,
		"sub.broker.example":      false,
		"broker.example?x":        false,
		"broker.example#x":        false,
		"broker.example%2eexampl": false,
	} {
		resp := ask(t, relaying, "POST", "https://broker.example/mcp", map[string]string{"Host": host})
		if got := resp.StatusCode == 401; got != at || !at && resp.StatusCode != 403 {
			t.Errorf("Host %q: status %d", host, resp.StatusCode)
		}
	}
}

// TestHeadIsGetWithoutBody: on every path HEAD has the status and the headers of GET.
func TestHeadIsGetWithoutBody(t *testing.T) {
	for _, path := range everyPath {
		for _, accept := range []string{"application/json", "text/html"} {
			headers := map[string]string{"Accept": accept, "Cf-Ray": "8f1e2d3c4b5a6978-FRA"}
			get, head := ask(t, relaying, "GET", "https://broker.example"+path, headers), ask(t, relaying, "HEAD", "https://broker.example"+path, headers)
			if get.StatusCode != head.StatusCode {
				t.Errorf("%s for %s: GET %d, HEAD %d", path, accept, get.StatusCode, head.StatusCode)
			}
			for _, name := range []string{"Content-Type", "Cache-Control", "WWW-Authenticate", "Allow"} {
				if a, b := get.Header.Get(name), head.Header.Get(name); a != b {
					t.Errorf("%s for %s: %s is %q for GET, %q for HEAD", path, accept, name, a, b)
				}
			}
		}
	}
}
