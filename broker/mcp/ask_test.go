package mcp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"mcp-credential-broker/broker/mcp"
)

// withCapabilities is a modern call whose client has these capabilities.
func withCapabilities(declared, params string) string {
	return legacyBody("tools/call", `"name":"echo",`+params+`"_meta":{`+claimKey+`:"2026-07-28","io.modelcontextprotocol/clientCapabilities":`+declared+`}`)
}

// TestAsksPeople: only a client that declares forms may be asked, and an empty
// declaration is one.
func TestAsksPeople(t *testing.T) {
	ask := mcp.Result{Ask: &mcp.Ask{Key: "agree", Message: "May <it>?", Schema: json.RawMessage(`{"type":"object","properties":{}}`), State: "sealed"}}
	tests := []struct {
		declared string
		asks     bool
	}{
		{`{"elicitation":{}}`, true},
		{`{"elicitation":{"form":{}}}`, true},
		{`{"elicitation":{"form":{},"url":{}}}`, true},
		{`{"elicitation":{"url":{}}}`, false},
		{`{"elicitation":{"form":true}}`, false},
		{`{"elicitation":true}`, false},
		{`{"elicitation":[]}`, false},
		{`{"elicitation":null}`, false},
		{`{"sampling":{}}`, false},
		{`{}`, false},
	}
	for _, tt := range tests {
		f := newFixture(t)
		post(t, f, withCapabilities(tt.declared, ""), modern, methodCall, nameEcho)
		if len(f.calls) != 1 || f.calls[0].AsksPeople != tt.asks {
			t.Errorf("%s: %+v", tt.declared, f.calls)
		}
		a := post(t, always(f.Server, ask), withCapabilities(tt.declared, ""), modern, methodCall, nameEcho)
		if !tt.asks {
			if a.Error.Code != -32603 {
				t.Errorf("%s: a client that cannot ask is asked: %s", tt.declared, a.body)
			}
			continue
		}
		const want = `{"resultType":"input_required","inputRequests":{"agree":{"method":"elicitation/create","params":{"mode":"form",` +
			`"message":"May <it>?","requestedSchema":{"type":"object","properties":{}}}}},"requestState":"sealed","_meta":{`
		if !strings.HasPrefix(string(a.Result), want) || !json.Valid(a.Result) {
			t.Errorf("%s: %s", tt.declared, a.Result)
		}
	}
	if a := post(t, always(newFixture(t).Server, ask), legacyBody("tools/call", `"name":"echo"`)); a.Error.Code != -32603 {
		t.Errorf("a legacy client is asked: %s", a.body)
	}
}

// TestAnswersOfPeople: what comes back reaches the tool as it was sent.
func TestAnswersOfPeople(t *testing.T) {
	var got mcp.Call
	server := newFixture(t).Server
	const answers = `{"agree":{"action":"accept","content":{"b":1,"a":2}}}`
	q := server.Read(request(withCapabilities(`{}`, `"requestState":"sealed","inputResponses":`+answers+`,`), modern, methodCall, nameEcho))
	for _, c := range q.Calls() {
		got = *c
	}
	if got.RequestState != "sealed" || string(got.InputResponses) != answers {
		t.Errorf("state %q, answers %s", got.RequestState, got.InputResponses)
	}
}

// TestTextOfItsOwn: a result may be read as another text than its object.
func TestTextOfItsOwn(t *testing.T) {
	a := post(t, always(newFixture(t).Server, mcp.Result{Structured: map[string]int{"n": 1}, Text: "export N='1'\n"}), legacyBody("tools/call", `"name":"echo"`))
	if string(a.Result) != `{"content":[{"type":"text","text":"export N='1'\n"}],"structuredContent":{"n":1}}` {
		t.Errorf("%s", a.Result)
	}
}

// TestCallThatNobodyRan: without a result there is no success.
func TestCallThatNobodyRan(t *testing.T) {
	if a := post(t, always(newFixture(t).Server, mcp.Result{}), legacyBody("tools/call", `"name":"echo"`)); a.Error.Code != -32603 {
		t.Errorf("%s", a.body)
	}
}
