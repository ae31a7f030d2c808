package broker_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-credential-broker/broker/vouchtest"
)

// open asks for a path as a browser or a client would.
func open(t *testing.T, b *bench, path, accept, token string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, b.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", accept)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return exchange(t, req)
}

// TestLanding: the page has each client's line with this broker's address, and no
// word that stands for it is left.
func TestLanding(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	resp, body := open(t, b, "/", "text/html", "")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	mcp := b.url + "/mcp"
	for _, want := range []string{
		"<pre>" + mcp + "</pre>", "claude mcp add --transport http vouch " + mcp, "codex mcp add vouch --url " + mcp,
		"gemini mcp add --transport http vouch " + mcp, "npx mcp-remote " + mcp, strings.TrimPrefix(b.VouchURL, "http://"),
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, left := range []string{"RESOURCE", "HOST", "ISSUER", "VSCODE", "CURSOR"} {
		if strings.Contains(body, left) {
			t.Errorf("%s was not filled in", left)
		}
	}
	for prefix, decode := range map[string]func(string) (string, error){
		"vscode:mcp/install?": func(s string) (string, error) { return s, nil },
		"cursor://anysphere.cursor-deeplink/mcp/install?name=vouch&amp;config=": func(s string) (string, error) {
			text, err := base64.StdEncoding.DecodeString(s)
			return string(text), err
		},
	} {
		_, rest, _ := strings.Cut(body, prefix)
		value, _, _ := strings.Cut(rest, `"`)
		text, err := url.QueryUnescape(value)
		if err != nil {
			t.Fatal(err)
		}
		text, err = decode(text)
		var config struct{ Type, URL string }
		if err != nil || json.Unmarshal([]byte(text), &config) != nil || config.Type != "http" || config.URL != mcp {
			t.Errorf("%s opens %q, %v", prefix, text, err)
		}
	}
}

// TestLandingUnconfigured: the operator finds what is missing, and the request in
// the log.
func TestLandingUnconfigured(t *testing.T) {
	// A fault of the policy quotes the rule's name, which must not become HTML.
	policy := `{"version":1,"rules":[{"id":"<script>","allow":{}}]}`
	b := newBench(t, vouchtest.Options{}, map[string]string{"BROKER_MODE": "<b>", "POLICY": policy})
	resp, body := open(t, b, "/", "text/html", "")
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "BROKER_MODE must be") || !strings.Contains(body, "name this request") {
		t.Errorf("status %d: %s", resp.StatusCode, body)
	}
	if strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Errorf("the rule's name is missing, or is HTML: %s", body)
	}
}

// TestVisit: a person who opens the MCP endpoint is told where to go; whatever may
// be a client gets the challenge, and JSON.
func TestVisit(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	for _, tt := range []struct {
		name, accept, token string
		page                bool
	}{
		{"browser", "text/html,application/xhtml+xml,*/*;q=0.8", "", true},
		{"client", "application/json, text/event-stream", "", false},
		{"anything", "*/*", "", false},
		{"browser with a bad token", "text/html", "x", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := open(t, b, "/mcp", tt.accept, tt.token)
			if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "resource_metadata=") {
				t.Errorf("status %d, challenge %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
			}
			if got := strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"); got != tt.page {
				t.Errorf("page %v, want %v", got, tt.page)
			}
			if tt.page && (!strings.Contains(body, `<a href="/">`) || !strings.Contains(body, resp.Header.Get("X-Request-Id"))) {
				t.Errorf("no way on, or no request id: %s", body)
			}
		})
	}
}

// TestNothing: a person with a mistyped address gets a page with a way on, and a
// program gets JSON.
func TestNothing(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	for accept, want := range map[string]string{
		"text/html,application/xhtml+xml": "<h1>There is nothing at this address</h1>",
		"application/json":                `"nothing is served here; the MCP endpoint is /mcp"`,
	} {
		resp, body := open(t, b, "/mpc", accept, "")
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", accept, resp.StatusCode)
		}
		if !strings.Contains(body, want) {
			t.Errorf("%s: the body lacks %q:\n%s", accept, want, body)
		}
		if resp.Header.Get("Vary") != "Accept" {
			t.Errorf("%s: Vary is %q", accept, resp.Header.Values("Vary"))
		}
		if strings.HasPrefix(accept, "text/html") && !strings.Contains(body, `<a href="/">`) {
			t.Errorf("no way on:\n%s", body)
		}
		if id := resp.Header.Get("X-Request-Id"); strings.HasPrefix(accept, "text/html") && (id == "" || !strings.Contains(body, id)) {
			t.Errorf("the page lacks the request's id %q:\n%s", id, body)
		}
	}
}
