package mcp_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// TestOfficialClient connects, lists and calls with the Go SDK's client.
func TestOfficialClient(t *testing.T) {
	for _, version := range []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"} {
		t.Run(version, func(t *testing.T) {
			f := newFixture(t)
			server := httptest.NewServer(f)
			defer server.Close()

			client := sdk.NewClient(&sdk.Implementation{Name: "tester", Version: "7"}, nil)
			transport := &sdk.StreamableClientTransport{Endpoint: server.URL, MaxRetries: -1, DisableStandaloneSSE: true}
			session, err := client.Connect(t.Context(), transport, &sdk.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			got := session.InitializeResult()
			if got.ProtocolVersion != version {
				t.Errorf("negotiated %s, want %s", got.ProtocolVersion, version)
			}
			if got.ServerInfo == nil || got.ServerInfo.Name != "fixture" || got.Instructions != instructions {
				t.Errorf("the server is %+v and says %q", got.ServerInfo, got.Instructions)
			}
			if got.Capabilities.Tools == nil {
				t.Errorf("capabilities %+v, want tools", got.Capabilities)
			}

			list, err := session.ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, tool := range list.Tools {
				names = append(names, tool.Name)
			}
			if want := []string{"echo", "fail", "plain"}; !slices.Equal(names, want) {
				t.Errorf("tools %v, want %v", names, want)
			}

			result, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo", Arguments: map[string]any{"text": "hi"}})
			if err != nil || result.IsError || len(result.Content) != 1 {
				t.Fatalf("echo: %+v, %v", result, err)
			}
			if said, _ := result.StructuredContent.(map[string]any)["said"].(map[string]any); said["text"] != "hi" {
				t.Errorf("echo: %v", result.StructuredContent)
			}
			if text := result.Content[0].(*sdk.TextContent).Text; text != "{\n  \"said\": {\n    \"text\": \"hi\"\n  }\n}" {
				t.Errorf("echo: %s", text)
			}

			result, err = session.CallTool(t.Context(), &sdk.CallToolParams{Name: "fail"})
			if err != nil || !result.IsError || result.StructuredContent != nil || len(result.Content) != 1 {
				t.Fatalf("fail: %+v, %v", result, err)
			}
			if text := result.Content[0].(*sdk.TextContent).Text; text != `{"error":"say <please>","status":400}` {
				t.Errorf("fail: %s", text)
			}

			if _, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "nobody"}); err == nil {
				t.Error("an unknown tool was called")
			}
			// Only modern requests carry the client's name.
			if want := map[bool]string{true: "tester", false: ""}[version == "2026-07-28"]; f.calls[0].ClientName != want {
				t.Errorf("client %q, want %q", f.calls[0].ClientName, want)
			}
		})
	}
}
