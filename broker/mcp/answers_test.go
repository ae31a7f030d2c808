package mcp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"mcp-credential-broker/broker/mcp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden compares whole answers, which clients cache and models read, with
// files that show every change of them in review.
func TestGolden(t *testing.T) {
	initialize := func(version string) string {
		return legacyBody("initialize", `"protocolVersion":"`+version+`","capabilities":{},"clientInfo":{"name":"x","version":"1"}`)
	}
	tests := []struct {
		file    string
		body    string
		headers []string
	}{
		{"discover", modernBody("server/discover", ""), []string{modern, "Mcp-Method: server/discover"}},
		{"list", modernBody("tools/list", ""), []string{modern, methodList}},
		{"list-legacy", legacyBody("tools/list", ""), nil},
		{"initialize-2025-11-25", initialize("2025-11-25"), nil},
		{"initialize-2025-06-18", initialize("2025-06-18"), nil},
		{"initialize-2025-03-26", initialize("2025-03-26"), nil},
		{"initialize-2024-11-05", initialize("2024-11-05"), nil},
		{"call", modernBody("tools/call", `"name":"echo","arguments":{"text":"<hi> & é\u0000"}`), []string{modern, methodCall, nameEcho}},
		{"call-legacy", legacyBody("tools/call", `"name":"echo","arguments":{"text":"hi"}`), nil},
		{"call-error", modernBody("tools/call", `"name":"fail"`), []string{modern, methodCall, "Mcp-Name: fail"}},
		{"call-error-legacy", legacyBody("tools/call", `"name":"fail"`), nil},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			a := post(t, newFixture(t), tt.body, tt.headers...)
			var got bytes.Buffer
			if err := json.Indent(&got, []byte(a.body), "", "  "); err != nil || a.status != 200 {
				t.Fatalf("%v: %d %s", err, a.status, a.body)
			}
			got.WriteByte('\n')
			file := filepath.Join("testdata", tt.file+".json")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the answer differs from %s (go test -update writes it anew):\n%s", file, &got)
			}
		})
	}
}

func TestNegotiation(t *testing.T) {
	tests := []struct {
		name, requested, header, want string
	}{
		{"2025-11-25", "2025-11-25", "", "2025-11-25"},
		{"2025-06-18", "2025-06-18", "", "2025-06-18"},
		{"2025-03-26", "2025-03-26", "", "2025-03-26"},
		{"2024-11-05", "2024-11-05", "", "2024-11-05"},
		{"header of another revision", "2025-06-18", "2025-11-25", "2025-06-18"},
		{"unknown", "2030-01-01", "", "2025-11-25"},
		{"older than all", "2024-10-07", "", "2025-11-25"},
		{"modern is never agreed on", "2026-07-28", "", "2025-11-25"},
		{"empty", "", "", "2025-11-25"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var headers []string
			if tt.header != "" {
				headers = append(headers, "MCP-Protocol-Version: "+tt.header)
			}
			a := post(t, newFixture(t), legacyBody("initialize", `"protocolVersion":"`+tt.requested+`"`), headers...)
			var result struct{ ProtocolVersion string }
			if err := json.Unmarshal(a.Result, &result); err != nil || result.ProtocolVersion != tt.want {
				t.Errorf("agreed on %q, want %q: %s", result.ProtocolVersion, tt.want, a.body)
			}
		})
	}
}

// TestAccepted is the other side of the failure tables: imperfect requests of
// real clients that must succeed.
func TestAccepted(t *testing.T) {
	call := []string{modern, methodCall, nameEcho}
	echo := func(more string) string { return modernBody("tools/call", `"name":"echo"`+more) }
	pingOf := func(version string) []string { return []string{"MCP-Protocol-Version: " + version} }
	tests := []struct {
		name    string
		body    string
		headers []string
		calls   int
	}{
		{"charset", ping, []string{"Content-Type: application/json; charset=utf-8"}, 0},
		{"type in capitals", ping, []string{"Content-Type: Application/JSON"}, 0},
		{"no Accept", ping, nil, 0},
		{"Accept of streams alone", ping, []string{"Accept: text/event-stream"}, 0},
		{"byte order mark", "\ufeff" + ping, nil, 0},
		{"white space around", "\r\n " + ping + "\n", nil, 0},
		{"deepest", deepBody(63), nil, 0},
		{"many side by side", `{"jsonrpc":"2.0","id":1,"method":"ping","x":[` + strings.Repeat("[{}],", 100) + `0]}`, nil, 0},
		{"brackets in a string", `{"jsonrpc":"2.0","id":1,"method":"ping","x":"\"` + strings.Repeat("[", 100) + `"}`, nil, 0},
		{"unknown members", `{"jsonrpc":"2.0","id":1,"method":"ping","x":1,"x":2,"params":{"y":[{}],"":0}}`, nil, 0},
		{"null params", `{"jsonrpc":"2.0","id":1,"method":"ping","params":null}`, nil, 0},
		{"null cursor", legacyBody("tools/list", `"cursor":null`), nil, 0},
		{"list without initialize", legacyBody("tools/list", ""), nil, 0},
		{"header 2025-11-25", ping, pingOf("2025-11-25"), 0},
		{"header 2025-06-18", ping, pingOf("2025-06-18"), 0},
		{"header 2025-03-26", ping, pingOf("2025-03-26"), 0},
		{"header 2024-11-05", ping, pingOf("2024-11-05"), 0},
		{"empty header", ping, pingOf(""), 0},
		{"legacy with modern headers", legacyBody("tools/list", ""), []string{"Mcp-Method: x", "Mcp-Name: y"}, 0},
		{"legacy with a foreign session", ping, []string{"Mcp-Session-Id: x", "Last-Event-ID: 1"}, 0},
		{"legacy with foreign _meta", legacyBody("tools/call", `"name":"echo","_meta":{"progressToken":1}`), nil, 1},
		{"legacy _meta no object", legacyBody("tools/list", `"_meta":"x"`), nil, 0},
		{"legacy with members of modern", legacyBody("tools/call", `"name":"echo","requestState":"x","inputResponses":1`), nil, 1},
		{"method written with escapes", strings.Replace(ping, "ping", `p\u0069ng`, 1), nil, 0},
		{"modern", echo(""), call, 1},
		{"modern without white space in headers", echo(""), []string{"mcp-protocol-version:2026-07-28", "MCP-METHOD:tools/call", "mcp-name:echo"}, 1},
		{"modern with white space around values", echo(""), []string{"MCP-Protocol-Version: \t2026-07-28 ", "Mcp-Method:  tools/call\t", "Mcp-Name: \techo "}, 1},
		{"modern name in base64", echo(""), []string{modern, methodCall, "Mcp-Name: =?base64?ZWNobw==?="}, 1},
		{"modern null arguments", echo(`,"arguments":null`), call, 1},
		{"modern answers that nobody asked for", echo(`,"inputResponses":{"a":{"action":"accept"}}`), call, 1},
		{"modern without clientInfo", modernBody("tools/list", ""), []string{modern, methodList}, 0},
		{"modern with odd clientInfo", legacyBody("tools/call", `"name":"echo","_meta":{`+claimKey+`:"2026-07-28",`+capabilities+`,"io.modelcontextprotocol/clientInfo":[1]}`), call, 1},
		{"modern log level", legacyBody("tools/list", `"_meta":{`+claimKey+`:"2026-07-28",`+capabilities+`,"io.modelcontextprotocol/logLevel":"debug"}`), []string{modern, methodList}, 0},
		{"modern Mcp-Name on another method", modernBody("tools/list", ""), []string{modern, methodList, "Mcp-Name: x"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a := post(t, f, tt.body, tt.headers...)
			if a.status != 200 || a.Result == nil || len(f.calls) != tt.calls {
				t.Errorf("status %d, %d calls: %s", a.status, len(f.calls), a.body)
			}
		})
	}
}

func TestIDIsEchoedRaw(t *testing.T) {
	for _, id := range []string{
		`1`, `0`, `-5`, `-0`, `9007199254740993`, `123456789012345678901234567890`, `""`, `"a\u0020b"`, `"\ud800"`, `"<é>"`, `"1"`, `"1.5"`, `"null"`,
	} {
		body := strings.Replace(legacyBody("tools/call", `"name":"echo"`), `"id":1`, `"id": `+id, 1)
		f := newFixture(t)
		a := post(t, f, body)
		if !strings.HasPrefix(a.body, `{"jsonrpc":"2.0","id":`+id+`,"result":`) || len(f.calls) != 1 || string(f.calls[0].RequestID) != id {
			t.Errorf("id %s: %s", id, a.body)
		}
	}
}

// TestCall: what a tool gets to see.
func TestCall(t *testing.T) {
	info := `"io.modelcontextprotocol/clientInfo":{"name":"Inspector","version":"7.1"}`
	withInfo := func(params string) string {
		return legacyBody("tools/call", params+`,"_meta":{`+claimKey+`:"2026-07-28",`+capabilities+`,`+info+`}`)
	}
	call := []string{modern, methodCall, nameEcho}
	tests := []struct {
		name      string
		body      string
		headers   []string
		arguments string
		client    string
	}{
		{"arguments as sent", withInfo(`"name":"echo","arguments":{ "a":1.50,"a":9007199254740993 }`), call, `{ "a":1.50,"a":9007199254740993 }`, "Inspector 7.1"},
		{"no arguments", withInfo(`"name":"echo"`), call, `{}`, "Inspector 7.1"},
		{"arguments as a text", withInfo(`"name":"echo","arguments":"{ \"text\":\"a\\\"b\", \"n\":1.50 }"`), call, `{ "text":"a\"b", "n":1.50 }`, "Inspector 7.1"},
		{"arguments as a text, empty", legacyBody("tools/call", `"name":"echo","arguments":" {} "`), nil, ` {} `, " "},
		{"null arguments", legacyBody("tools/call", `"name":"echo","arguments":null`), nil, `{}`, " "},
		{"legacy", legacyBody("tools/call", `"arguments":{"name":"fail"},"name":"echo"`), nil, `{"name":"fail"}`, " "},
		{"client names no strings", strings.Replace(strings.Replace(withInfo(`"name":"echo"`), `"Inspector"`, `{}`, 1), `"7.1"`, `7.1`, 1), call, `{}`, " "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a := post(t, f, tt.body, tt.headers...)
			if len(f.calls) != 1 {
				t.Fatalf("%d calls: %s", len(f.calls), a.body)
			}
			c := f.calls[0]
			if string(c.Arguments) != tt.arguments || c.ClientName+" "+c.ClientVersion != tt.client || string(c.RequestID) != "1" {
				t.Errorf("%s %s of %s %s", c.RequestID, c.Arguments, c.ClientName, c.ClientVersion)
			}
		})
	}
}

// TestBothMembersSayTheSame: some clients show only the text, some only the
// structured content.
func TestBothMembersSayTheSame(t *testing.T) {
	a := post(t, newFixture(t), legacyBody("tools/call", `"name":"echo","arguments":{"text":"<hi>\u2028\\","n":18446744073709551615}`))
	var result struct {
		Content           []struct{ Type, Text string }
		StructuredContent json.RawMessage
	}
	if err := json.Unmarshal(a.Result, &result); err != nil || len(result.Content) != 1 || result.Content[0].Type != "text" {
		t.Fatalf("%v: %s", err, a.body)
	}
	var fromText, structured any
	if json.Unmarshal([]byte(result.Content[0].Text), &fromText) != nil || json.Unmarshal(result.StructuredContent, &structured) != nil || !reflect.DeepEqual(fromText, structured) {
		t.Errorf("%s\nand %s differ", result.Content[0].Text, result.StructuredContent)
	}
	if !strings.Contains(string(result.StructuredContent), "18446744073709551615") || !strings.Contains(result.Content[0].Text, "18446744073709551615") {
		t.Errorf("a large number was changed: %s", a.body)
	}
}

// TestBrokenTool: a tool that returns no JSON object is our fault, and nothing
// of what it returned goes out.
func TestBrokenTool(t *testing.T) {
	for _, structured := range []string{``, ` `, `null`, `[1]`, `"hunter2"`, `{"a":"hunter2"`, `{"a":1} {"a":"hunter2"}`, `hunter2`} {
		for _, isError := range []bool{false, true} {
			result := mcp.Result{Structured: json.RawMessage(structured), IsError: isError}
			a := post(t, always(newFixture(t).Server, result), legacyBody("tools/call", `"name":"plain"`))
			if a.status != 200 || a.Error.Code != -32603 || strings.Contains(a.body, "hunter2") {
				t.Errorf("%q: %d %s", structured, a.status, a.body)
			}
		}
	}
}

// TestCancellation: a client that hangs up cancels its call in the modern era
// and does not in the legacy one.
func TestCancellation(t *testing.T) {
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	tests := []struct {
		name    string
		body    string
		headers []string
		want    error
	}{
		{"modern", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, nameEcho}, context.Canceled},
		{"legacy", legacyBody("tools/call", `"name":"echo"`), nil, nil},
		{"batch", `[` + legacyBody("tools/call", `"name":"echo"`) + `]`, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(tt.body)).WithContext(gone)
			for _, h := range append(tt.headers, jsonType) {
				name, value, _ := strings.Cut(h, ": ")
				r.Header.Set(name, value)
			}
			f := newFixture(t)
			serve(t, f, r)
			if len(f.ctxErrs) != 1 || f.ctxErrs[0] != tt.want {
				t.Errorf("the call's context said %v, want %v", f.ctxErrs, tt.want)
			}
		})
	}
}

// BenchmarkToolsList is the request that clients send most.
func BenchmarkToolsList(b *testing.B) {
	f := newFixture(b)
	for _, era := range []struct {
		name string
		body string
		head http.Header
	}{
		{"modern", modernBody("tools/list", ""), http.Header{"Content-Type": {"application/json"}, "Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/list"}}},
		{"legacy", legacyBody("tools/list", ""), http.Header{"Content-Type": {"application/json"}}},
	} {
		b.Run(era.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(era.body))
				r.Header = era.head
				w := httptest.NewRecorder()
				f.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}
