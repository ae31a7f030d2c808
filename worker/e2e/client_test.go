package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/worker/stack"
)

// TestOfficialClient signs in, lists and calls with the Go SDK's client, in
// both eras.
func TestOfficialClient(t *testing.T) { callsEverything(t, shared.Stack) }

// TestOfficialClientSignsIn does the same in sign-in mode: registration, consent
// page, sign-in at a Vouch of today, and signed calls.
func TestOfficialClientSignsIn(t *testing.T) {
	callsEverything(t, start(t, stack.Config{SignIn: true}))
}

func callsEverything(t *testing.T, s *stack.Stack) {
	for _, version := range []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"} {
		t.Run(version, func(t *testing.T) {
			session, err := mcptest.Connect(t.Context(), s.MCP, "", version)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if got := session.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("negotiated %s", got)
			}
			list, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tool := range list.Tools {
				names = append(names, tool.Name)
			}
			if want := toolNames(s != shared.Stack); !slices.Equal(names, want) {
				t.Errorf("tools %v, want %v", names, want)
			}
			for _, call := range goodCalls {
				checkResult(t, session, call.tool, call.arguments)
			}
			refused, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get-aws-credentials", Arguments: map[string]any{"role_arn": "x"}})
			if err != nil || !refused.IsError {
				t.Errorf("a wrong role_arn: %+v, %v; want an error result", refused, err)
			}
			if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get-root"}); err == nil {
				t.Error("an unknown tool was called")
			}
		})
	}
}

func checkResult(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any) {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil || result.IsError {
		t.Errorf("%s: %+v, %v", tool, result, err)
		return
	}
	members := result.StructuredContent.(map[string]any)
	var fromText map[string]any
	if err := json.Unmarshal([]byte(result.Content[0].(*mcp.TextContent).Text), &fromText); err != nil || len(fromText) != len(members) {
		t.Errorf("%s: the text is not the JSON of the structured content (%v)", tool, err)
	}
	text := func(name string) string { s, _ := members[name].(string); return s }
	switch tool {
	case "get-aws-credentials":
		if id := text("AccessKeyId"); !strings.HasPrefix(id, "ASIA") {
			t.Errorf("AccessKeyId %q, want one of a session, ASIA...", id)
		}
		if text("SecretAccessKey") == "" || text("SessionToken") == "" {
			t.Error("the session has no SecretAccessKey or no SessionToken")
		}
		if members["Version"] != 1.0 {
			t.Errorf("Version %v, want 1", members["Version"])
		}
		if arn, want := text("AssumedRoleArn"), ":assumed-role/developer/alice@example.com"; !strings.HasSuffix(arn, want) {
			t.Errorf("AssumedRoleArn %q, want ...%s", arn, want)
		}
	case "get-github-token":
		if !strings.HasPrefix(text("token"), "ghs_") || members["permissions"] == nil {
			t.Errorf("%s: unexpected result", tool)
		}
	case "get-ssh-certificate":
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text("certificate")))
		certificate, ok := key.(*ssh.Certificate)
		if err != nil || !ok || !slices.Contains(certificate.ValidPrincipals, "alice@example.com") {
			t.Errorf("%s: no certificate for alice: %v", tool, err)
			return
		}
		if serial := text("serial"); serial != jsonNumber(certificate.Serial) {
			t.Errorf("serial %s, the certificate has %d", serial, certificate.Serial)
		}
	}
}

func jsonNumber(n uint64) string {
	b, _ := json.Marshal(n)
	return string(b)
}
