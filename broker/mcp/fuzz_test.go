package mcp_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// FuzzServeHTTP sends anything. Whatever comes, the answer is one of the known
// ones, and a tool runs only for what encoding/json, which keeps the last of
// two equal members where the server's parser keeps the first, reads as a call
// of that tool with the same arguments.
func FuzzServeHTTP(f *testing.F) {
	f.Add(ping, "", "", "")
	f.Add(modernBody("server/discover", ""), "2026-07-28", "server/discover", "")
	f.Add(modernBody("tools/list", ""), "2026-07-28", "tools/list", "")
	f.Add(modernBody("tools/call", `"name":"echo","arguments":{"text":"hi"}`), "2026-07-28", "tools/call", "=?base64?ZWNobw==?=")
	f.Add(modernBody("tools/call", `"name":"fail","inputResponses":{"a":{}}`), "2026-07-28", "tools/call", "fail")
	f.Add(legacyBody("tools/call", `"name":"echo","n\u0061me":"fail","arguments":{"a":{},"a":[]}`), "2025-11-25", "", "")
	f.Add(legacyBody("initialize", `"protocolVersion":"2025-06-18"`), "", "", "")
	f.Add(`[`+ping+`,{"jsonrpc":"2.0","method":"x"},`+legacyBody("tools/call", `"name":"plain","arguments":null`)+`]`, "2025-03-26", "", "")
	f.Add(`{"jsonrpc":"2.0","id":"\ud800\"\\","method":"p\u0069ng","METHOD":"tools/call"}`, "", "", "")
	f.Add(`{"jsonrpc":"2.0","id":1e3,"result":{}}`, "2026-07-28", "", "")
	f.Add("\ufeff"+strings.Repeat("[", 70), "x", "y", "=?base64??=")
	statuses := []int{200, 202, 400, 404, 413}

	f.Fuzz(func(t *testing.T, body, version, method, name string) {
		s := newFixture(t)
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for header, value := range map[string]string{"MCP-Protocol-Version": version, "Mcp-Method": method, "Mcp-Name": name} {
			if value != "" {
				r.Header.Set(header, value)
			}
		}
		a := serve(t, s, r)
		if !slices.Contains(statuses, a.status) || (a.status == 202) != (a.body == "") {
			t.Fatalf("status %d with body %q", a.status, a.body)
		}
		messages := readAgain(body)
		var ran int
		for _, m := range messages {
			ran += m.countIn(s)
		}
		if ran != len(s.calls) {
			t.Errorf("%d calls ran, and the body asks for %d of them", len(s.calls), ran)
		}
		if len(messages) == 1 && a.ID != nil && string(a.ID) != string(messages[0]["id"]) {
			t.Errorf("id %s came back as %s", messages[0]["id"], a.ID)
		}
		if a.Result != nil && (a.ID == nil || a.status != 200) {
			t.Errorf("a result without its id, or with status %d: %s", a.status, a.body)
		}
	})
}

type members map[string]json.RawMessage

// readAgain reads a body with encoding/json: one message, or those of an array
// that are objects.
func readAgain(body string) []members {
	body = strings.TrimPrefix(body, "\ufeff")
	var one members
	if json.Unmarshal([]byte(body), &one) == nil {
		return []members{one}
	}
	var items []json.RawMessage
	if json.Unmarshal([]byte(body), &items) != nil {
		return nil
	}
	var all []members
	for _, item := range items {
		var m members
		if json.Unmarshal(item, &m) == nil {
			all = append(all, m)
		}
	}
	return all
}

// countIn returns 1 if m is a call that ran in s.
func (m members) countIn(s *fixture) int {
	var method, name string
	var params members
	if json.Unmarshal(m["method"], &method) != nil || method != "tools/call" || m["id"] == nil || json.Unmarshal(m["params"], &params) != nil {
		return 0
	}
	if json.Unmarshal(params["name"], &name) != nil {
		return 0
	}
	arguments := params["arguments"]
	if arguments == nil || string(arguments) == "null" {
		arguments = json.RawMessage("{}")
	}
	for i, c := range s.calls {
		if s.names[i] == name && bytes.Equal(c.RequestID, m["id"]) && bytes.Equal(c.Arguments, arguments) {
			return 1
		}
	}
	return 0
}
