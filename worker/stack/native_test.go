package stack

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcp-credential-broker/broker/mcptest"
)

// TestNative: a client signs in at the broker in this process and sees its tools.
func TestNative(t *testing.T) {
	n, err := StartNative(0, `{"version": 1, "mode": "enforce", "rules": [{"id": "keys", "allow": {"ssh": true}}]}`, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	session, err := mcptest.Connect(t.Context(), n.MCP, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) == 0 {
		t.Errorf("%v, error %v", tools, err)
	}
	listed, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "list-access"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(listed.StructuredContent)
	if err != nil || !strings.Contains(string(text), `"rule":"keys"`) || strings.Contains(string(text), "github-token") {
		t.Errorf("the policy does not hold: %s, %v", text, err)
	}
}
