package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestBatches(t *testing.T) {
	const (
		note     = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
		response = `{"jsonrpc":"2.0","id":1,"result":{}}`
		call     = `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"}}}`
	)
	pong := func(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"result":{}}` }
	repeat := func(item string, n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(item+",", n), ",") + "]"
	}
	tests := []struct {
		name    string
		body    string
		version string
		status  int
		want    string // the whole body; "400" for one invalid-request error
		calls   int
	}{
		{"one", `[` + ping + `]`, "", 200, `[` + pong("1") + `]`, 0},
		{"in 2025-03-26", `[` + ping + `]`, "2025-03-26", 200, `[` + pong("1") + `]`, 0},
		{"in 2024-11-05", `[` + ping + `]`, "2024-11-05", 200, `[` + pong("1") + `]`, 0},
		{"in 2025-06-18", `[` + call + `]`, "2025-06-18", 400, "400", 0},
		{"in 2025-11-25", `[` + call + `]`, "2025-11-25", 400, "400", 0},
		{"in an unknown version", `[` + call + `]`, "2030-01-01", 400, "400", 0},
		{"version twice in one header", `[` + call + `]`, "2025-03-26, 2025-03-26", 400, "400", 0},
		{"notifications leave no entry", `[` + note + `,` + ping + `,` + response + `]`, "", 200, `[` + pong("1") + `]`, 0},
		{"only notifications and responses", `[` + note + `,` + response + `]`, "", 202, "", 0},
		{"call without id", `[{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}]`, "", 202, "", 0},
		{"twenty", repeat(ping, 20), "", 200, repeat(pong("1"), 20), 0},
		{"twenty-one", repeat(call, 21), "", 400, "400", 0},
		{"many small ones", repeat("1", 100_000), "", 400, "400", 0},
		{"modern request inside", `[` + call + `,` + modernBody("tools/list", "") + `]`, "", 400, "400", 0},
		{"calls run in order", `[` + call + `,` + strings.Replace(call, `"c"`, `7`, 1) + `]`, "", 200, `[` + echoed(`"c"`) + `,` + echoed("7") + `]`, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			var headers []string
			if tt.version != "" {
				headers = append(headers, "MCP-Protocol-Version: "+tt.version)
			}
			a := post(t, f, tt.body, headers...)
			if a.status != tt.status || len(f.calls) != tt.calls {
				t.Errorf("status %d, %d calls; want %d, %d: %s", a.status, len(f.calls), tt.status, tt.calls, a.body)
			}
			if tt.want == "400" {
				if a.Error.Code != invalidRequest || a.ID != nil {
					t.Errorf("answer %s", a.body)
				}
			} else if a.body != tt.want {
				t.Errorf("answer %s\nwant   %s", a.body, tt.want)
			}
		})
	}
}

// echoed is the legacy answer of the echo tool to {"text":"hi"}.
func echoed(id string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"result":{"content":[{"type":"text","text":"{\n  \"said\": {\n    \"text\": \"hi\"\n  }\n}"}],"structuredContent":{"said":{"text":"hi"}}}}`
}

// TestBatchFaults: one bad message does not spoil the others.
func TestBatchFaults(t *testing.T) {
	a := post(t, newFixture(t), `[1,[],{"jsonrpc":"2.0","id":null,"method":"ping"},{"id":2,"method":"ping"},`+
		`{"jsonrpc":"2.0","id":3,"method":"initialize","params":{"protocolVersion":"2025-03-26"}},`+
		`{"jsonrpc":"2.0","id":4,"method":"x"},{"jsonrpc":"2.0","id":5,"method":"ping"}]`)
	want := []struct {
		id   string
		code int
	}{{"", invalidRequest}, {"", invalidRequest}, {"", invalidRequest}, {"2", invalidRequest}, {"3", invalidRequest}, {"4", methodNotFound}, {"5", 0}}
	var got []rpc
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 || len(got) != len(want) {
		t.Fatalf("%v: %d %s", err, a.status, a.body)
	}
	for i, w := range want {
		if string(got[i].ID) != w.id || got[i].Error.Code != w.code {
			t.Errorf("entry %d: id %s, code %d; want %s, %d", i, got[i].ID, got[i].Error.Code, w.id, w.code)
		}
	}
}
