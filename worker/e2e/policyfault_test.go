package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/worker/stack"
)

// TestInvalidPolicyInTheWorker: the Worker says what is wrong to whoever has signed in,
// and its log has the place.
func TestInvalidPolicyInTheWorker(t *testing.T) {
	printed := &output{}
	s := start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Output: printed, Vars: map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [{"id": "a", "allow": {"shh": true}}]}`}}})
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	if a := send(t, "POST", s.MCP, list, jsonType); a.status != 401 || a.header.Get("WWW-Authenticate") == "" || strings.Contains(a.body, "shh") {
		t.Errorf("a stranger: %d %s", a.status, a.body)
	}
	token, err := mcptest.SignIn(t.Context(), s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	a := send(t, "POST", s.MCP, list, jsonType, "Authorization: Bearer "+token)
	var told toolError
	if err := json.Unmarshal([]byte(a.body), &told); err != nil || a.status != 503 || told.Status != 503 || !strings.Contains(told.Error, "1:67: ") || !strings.Contains(told.Error, "shh") {
		t.Errorf("the signed-in: %d %s", a.status, a.body)
	}
	if health := send(t, "GET", s.Worker.URL+"/healthz", ""); health.status != 503 || !strings.Contains(health.body, "1:67: ") {
		t.Errorf("/healthz: %d %s", health.status, health.body)
	}
	if line := printed.lines(t, "policy_invalid", 1)[0]; line["request_id"] != a.header.Get("X-Request-Id") || !strings.Contains(line["reason"].(string), "1:67: ") {
		t.Errorf("logged %v", line)
	}
}
