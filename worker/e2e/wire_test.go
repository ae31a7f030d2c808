package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

const (
	jsonType  = "Content-Type: application/json"
	modern    = "MCP-Protocol-Version: 2026-07-28"
	envelope  = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	metadata  = "/.well-known/oauth-protected-resource"
	ping      = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	legacyAll = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
)

func modernBody(method, params string) string {
	if params != "" {
		params += ","
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + envelope + `}}`
}

// TestAuthentication: who gets which challenge (RFC 6750 section 3, RFC 9728 section 5.1).
func TestAuthentication(t *testing.T) {
	s := shared
	good := "Authorization: Bearer " + s.Token()
	bearer := func(o vouchtest.TokenOptions) string { return "Authorization: Bearer " + mint(t, s.Stack, o) }
	resourceMetadata := `resource_metadata="` + s.Worker.URL + metadata + `/mcp"`
	const invalid, malformed = `error="invalid_token"`, `error="invalid_request"`
	tests := []struct {
		name      string
		method    string
		headers   []string
		status    int
		challenge string // must be in WWW-Authenticate; "" for none
	}{
		{"POST without a token", "POST", nil, 401, "Bearer " + resourceMetadata},
		{"GET without a token", "GET", nil, 401, "Bearer " + resourceMetadata},
		{"DELETE without a token", "DELETE", nil, 401, "Bearer " + resourceMetadata},
		{"HEAD without a token", "HEAD", nil, 401, "Bearer " + resourceMetadata},
		{"another scheme", "POST", []string{"Authorization: Basic YTpi"}, 401, resourceMetadata},
		{"garbage", "POST", []string{"Authorization: Bearer abc"}, 401, invalid},
		{"two tokens", "POST", []string{good, good}, 400, malformed},
		{"signed by another key", "POST", []string{bearer(vouchtest.TokenOptions{Flaws: vouchtest.Flaws{ForeignKey: true}})}, 401, invalid},
		{"expired", "POST", []string{bearer(vouchtest.TokenOptions{Lifetime: -2 * time.Minute})}, 401, invalid},
		{"for another server", "POST", []string{bearer(vouchtest.TokenOptions{Audience: "https://other.example/mcp"})}, 401, invalid},
		{"bound to a key", "POST", []string{bearer(vouchtest.TokenOptions{Confirmation: map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})}, 401, invalid},
		{"GET with a token", "GET", []string{good}, 405, ""},
		{"DELETE with a token", "DELETE", []string{good}, 405, ""},
		{"lower-case scheme", "POST", []string{strings.Replace(good, "Bearer", "bearer", 1), jsonType}, 200, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := ""
			if tt.method == "POST" {
				body = ping
			}
			a := send(t, tt.method, s.MCP, body, tt.headers...)
			challenge := a.header.Get("WWW-Authenticate")
			if a.status != tt.status || !strings.Contains(challenge, tt.challenge) || tt.challenge == "" && challenge != "" {
				t.Errorf("status %d, challenge %q; want %d, %q", a.status, challenge, tt.status, tt.challenge)
			}
			if tt.status == 405 && a.header.Get("Allow") != "POST, OPTIONS" {
				t.Errorf("Allow: %q", a.header.Get("Allow"))
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers of an MCP answer are missing: %v", a.header)
			}
		})
	}
	a := send(t, "POST", s.MCP+"?access_token=abc", ping, jsonType)
	if a.status != 400 || !strings.Contains(a.header.Get("WWW-Authenticate"), malformed) {
		t.Errorf("token in the query: status %d, %v", a.status, a.header)
	}
}

// TestFailureTables walks the statuses and errors of both eras through the whole Worker.
func TestFailureTables(t *testing.T) {
	s := shared
	token := "Authorization: Bearer " + s.Token()
	list := "Mcp-Method: tools/list"
	call := "Mcp-Method: tools/call"
	tests := []struct {
		name    string
		body    string
		headers []string
		status  int
		code    int // of the JSON-RPC error; 0 for none
	}{
		{"not JSON type", ping, []string{"Content-Type: text/plain"}, 415, -32600},
		{"type with charset", ping, []string{"Content-Type: application/json; charset=utf-8"}, 200, 0},
		{"too large", `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", 256<<10) + `"}`, []string{jsonType}, 413, -32600},
		{"not JSON", `{"jsonrpc":`, []string{jsonType}, 400, -32700},
		{"not an object", `7`, []string{jsonType}, 400, -32600},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, []string{jsonType}, 400, -32600},
		{"no jsonrpc", `{"id":1,"method":"ping"}`, []string{jsonType}, 400, -32600},
		{"empty batch", `[]`, []string{jsonType}, 400, -32600},
		{"batch in 2025-06-18", `[` + ping + `]`, []string{jsonType, "MCP-Protocol-Version: 2025-06-18"}, 400, -32600},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, []string{jsonType}, 202, 0},
		{"legacy unknown method", `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`, []string{jsonType}, 200, -32601},
		{"legacy unknown tool", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"}}`, []string{jsonType}, 200, -32602},
		{"legacy cursor", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":""}}`, []string{jsonType}, 200, -32602},
		{"unknown version header", ping, []string{jsonType, "MCP-Protocol-Version: 2030-01-01"}, 400, -32022},
		{"modern header, no claim", legacyAll, []string{jsonType, modern, list}, 400, -32602},
		{"claim, no header", modernBody("tools/list", ""), []string{jsonType, list}, 400, -32020},
		{"modern", modernBody("tools/list", ""), []string{jsonType, modern, list}, 200, 0},
		{"no Mcp-Method", modernBody("tools/list", ""), []string{jsonType, modern}, 400, -32020},
		{"wrong Mcp-Method", modernBody("tools/list", ""), []string{jsonType, modern, call}, 400, -32020},
		{"duplicated Mcp-Method", modernBody("tools/list", ""), []string{jsonType, modern, list, list}, 400, -32020},
		{"modern unknown method", modernBody("ping", ""), []string{jsonType, modern, "Mcp-Method: ping"}, 404, -32601},
		{"modern unknown tool", modernBody("tools/call", `"name":"x"`), []string{jsonType, modern, call, "Mcp-Name: x"}, 200, -32602},
		{"no Mcp-Name", modernBody("tools/call", `"name":"get-github-token"`), []string{jsonType, modern, call}, 400, -32020},
		{"unsolicited requestState", modernBody("tools/call", `"name":"get-github-token","requestState":"x"`), []string{jsonType, modern, call, "Mcp-Name: get-github-token"}, 200, -32602},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := send(t, "POST", s.MCP, tt.body, append(tt.headers, token)...)
			if a.status != tt.status {
				t.Fatalf("status %d, want %d: %s", a.status, tt.status, a.body)
			}
			if tt.status == 202 {
				if a.body != "" {
					t.Errorf("body %q", a.body)
				}
				return
			}
			r := a.rpc(t)
			if code := errorCode(r); code != tt.code {
				t.Errorf("code %d, want %d: %s", code, tt.code, a.body)
			}
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
}

func errorCode(r rpc) int {
	if r.Error == nil {
		return 0
	}
	return r.Error.Code
}

// TestIdIsEchoedRaw: a client must get its id back as it wrote it.
func TestIdIsEchoedRaw(t *testing.T) {
	for _, id := range []string{`1`, `"a\u0020b"`, `9007199254740993`, `-5`, `""`} {
		a := send(t, "POST", shared.MCP, `{"jsonrpc":"2.0","id":`+id+`,"method":"ping","extra":{"x":1}}`, jsonType, "Authorization: Bearer "+shared.Token())
		if r := a.rpc(t); string(r.ID) != id {
			t.Errorf("id %s came back as %s", id, r.ID)
		}
	}
}

// TestOriginAndHost: a web page of a stranger's gets nothing, and every answer
// to an allowed one can be read by it.
func TestOriginAndHost(t *testing.T) {
	token := "Authorization: Bearer " + shared.Token()
	tests := []struct {
		name    string
		headers []string
		allowed bool
	}{
		{"claude.ai", []string{"Origin: https://claude.ai"}, true},
		{"own", []string{"Origin: " + shared.Worker.URL}, true},
		{"loopback on another port", []string{"Origin: http://localhost:6274"}, true},
		{"stranger", []string{"Origin: https://attacker.example"}, false},
		{"null", []string{"Origin: null"}, false},
		{"look-alike", []string{"Origin: https://claude.ai.attacker.example"}, false},
		{"userinfo", []string{"Origin: https://claude.ai@attacker.example"}, false},
		{"plain http", []string{"Origin: http://claude.ai"}, false},
		{"file", []string{"Origin: file://"}, false},
		{"two", []string{"Origin: https://claude.ai", "Origin: https://attacker.example"}, false},
		{"foreign Host", []string{"Host: attacker.example"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := send(t, "POST", shared.MCP, ping, append(tt.headers, token, jsonType)...)
			if (a.status == 403) == tt.allowed {
				t.Errorf("status %d", a.status)
			}
			if origin := a.header.Get("Access-Control-Allow-Origin"); origin != "*" {
				t.Errorf("Access-Control-Allow-Origin %q: its page cannot read why", origin)
			}
		})
	}
	a := send(t, "POST", shared.MCP, ping, "Origin: https://claude.ai")
	if a.status != 401 || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "WWW-Authenticate") {
		t.Errorf("a browser cannot read the challenge: %d %v", a.status, a.header)
	}
	a = send(t, "OPTIONS", shared.MCP, "", "Origin: https://claude.ai", "Access-Control-Request-Headers: authorization, mcp-param-x")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Headers") != "authorization, mcp-param-x" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
}

// TestPlainRoutes: what is served beside /mcp.
func TestPlainRoutes(t *testing.T) {
	url := shared.Worker.URL
	for _, path := range []string{metadata, metadata + "/mcp", "/mcp" + metadata} {
		a := send(t, "GET", url+path, "")
		var document struct {
			Resource             string   `json:"resource"`
			AuthorizationServers []string `json:"authorization_servers"`
		}
		if err := json.Unmarshal([]byte(a.body), &document); err != nil || document.Resource != shared.MCP ||
			len(document.AuthorizationServers) != 1 || document.AuthorizationServers[0] != shared.VouchURL {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.header.Get("Cache-Control"), "max-age") {
			t.Errorf("%s: headers %v", path, a.header)
		}
	}
	tests := []struct {
		method, path string
		status       int
		has          string
	}{
		{"GET", "/healthz", 200, `"ok"`},
		{"GET", "/", 200, shared.MCP},
		{"HEAD", "/", 200, ""},
		{"POST", "/", 405, "error"},
		{"GET", "/.well-known/oauth-authorization-server", 404, "error"},
		{"GET", "/.well-known/openid-configuration", 404, "error"},
		{"GET", "/nothing", 404, "error"},
		{"POST", "/mcp/", 401, "unauthorized"},
	}
	for _, tt := range tests {
		a := send(t, tt.method, url+tt.path, "")
		if a.status != tt.status || !strings.Contains(a.body, tt.has) {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, a.status, a.body)
		}
		if tt.status == 404 && a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s is answered with %s", tt.path, a.header.Get("Content-Type"))
		}
	}
	if a := send(t, http.MethodGet, url+"/", ""); !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page has no policy: %v", a.header)
	}
}
