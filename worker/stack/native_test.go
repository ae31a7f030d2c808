package stack

import (
	"testing"

	"mcp-credential-broker/broker/mcptest"
)

// TestNative: a client signs in at the broker in this process and sees its tools.
func TestNative(t *testing.T) {
	n, err := StartNative(0, func(string) {})
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
}
