package oauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestChallenge(t *testing.T) {
	const metadata = "https://broker.example/.well-known/oauth-protected-resource/mcp"
	tests := []struct {
		name      string
		challenge Challenge
		want      string
	}{
		{"no token", Challenge{ResourceMetadata: metadata, Scopes: []string{"mcp"}},
			`Bearer resource_metadata="` + metadata + `", scope="mcp"`},
		{"no token, no scopes", Challenge{ResourceMetadata: metadata},
			`Bearer resource_metadata="` + metadata + `"`},
		{"bad token", Challenge{Error: "invalid_token", Description: "The access token is invalid or expired", ResourceMetadata: metadata, Scopes: []string{"mcp"}},
			`Bearer error="invalid_token", error_description="The access token is invalid or expired", resource_metadata="` + metadata + `", scope="mcp"`},
		{"scope missing", Challenge{Error: "insufficient_scope", Description: "ask", ResourceMetadata: metadata, Scopes: []string{"mcp", "mcp:ssh"}},
			`Bearer error="insufficient_scope", scope="mcp mcp:ssh", resource_metadata="` + metadata + `", error_description="ask"`},
		{"malformed", Challenge{Error: "invalid_request", Description: "send one token", ResourceMetadata: metadata},
			`Bearer error="invalid_request", error_description="send one token", resource_metadata="` + metadata + `"`},
		{"empty", Challenge{}, `Bearer`},
		{"quote that would add a parameter", Challenge{Error: `x", scope="admin`},
			`Bearer error="x   scope  admin"`},
		{"text that looks like a scope", Challenge{Description: "needs scope=a, b"},
			`Bearer error_description="needs scope a  b"`},
		{"line break that would add a header", Challenge{Description: "a\r\nSet-Cookie: b"},
			`Bearer error_description="a  Set-Cookie: b"`},
		{"backslash that would escape the quote", Challenge{Description: `a\`, Scopes: []string{"b"}},
			`Bearer error_description="a ", scope="b"`},
		{"not ASCII", Challenge{Description: "für"}, `Bearer error_description="f r"`},
		{"metadata keeps its query", Challenge{ResourceMetadata: "https://b.example/?a=b,c"},
			`Bearer resource_metadata="https://b.example/?a=b,c"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.challenge.String(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// FuzzChallenge reads what String wrote with the grammar of RFC 9110 section
// 11.6.1, after a passage through a real HTTP exchange.
func FuzzChallenge(f *testing.F) {
	f.Add("invalid_token", "The access token is invalid or expired", "https://b.example/x", "mcp")
	f.Add("insufficient_scope", `a"b\c=d,e`, "https://b.example/?a=b,c", "a b")
	f.Add("", "\r\n\x00\x7fé", `"`, "")
	f.Fuzz(func(t *testing.T, code, description, metadata, scope string) {
		c := Challenge{Error: code, Description: description, ResourceMetadata: metadata, Scopes: []string{scope}}
		w := httptest.NewRecorder()
		w.Header().Set("WWW-Authenticate", c.String())
		w.WriteHeader(http.StatusUnauthorized)
		values := w.Result().Header.Values("WWW-Authenticate")
		if len(values) != 1 {
			t.Fatalf("%d headers", len(values))
		}
		got, ok := parseChallenge(values[0])
		if !ok {
			t.Fatalf("not a challenge: %q", values[0])
		}
		for name, want := range map[string]string{
			"error": clean(code, "=,"), "error_description": clean(description, "=,"),
			"resource_metadata": clean(metadata, ""), "scope": clean(scope, "=,"),
		} {
			if got[name] != want {
				t.Errorf("%s is %q, want %q", name, got[name], want)
			}
			delete(got, name)
		}
		if len(got) != 0 {
			t.Errorf("further parameters: %q", got)
		}
	})
}

func parseChallenge(s string) (map[string]string, bool) {
	parameters := map[string]string{}
	rest, ok := strings.CutPrefix(s, "Bearer")
	for separator := " "; ok && rest != ""; separator = ", " {
		var name, value string
		if rest, ok = strings.CutPrefix(rest, separator); !ok {
			return nil, false
		}
		if name, rest, ok = strings.Cut(rest, `="`); !ok || strings.Trim(name, "_abcdefghijklmnopqrstuvwxyz") != "" {
			return nil, false
		}
		if value, rest, ok = strings.Cut(rest, `"`); !ok || strings.Contains(value, `\`) {
			return nil, false
		}
		for _, r := range value {
			ok = ok && r >= ' ' && r <= '~'
		}
		if _, twice := parameters[name]; twice {
			return nil, false
		}
		parameters[name] = value
	}
	return parameters, ok
}
