package e2e

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/stack"
)

const writeTool = "get-aws-write-credentials"

// writeArguments ask for more than a profile or rule need say.
var writeArguments = map[string]any{"role_arn": ststest.RoleARN, "duration_seconds": 900}

// sessions are the policies that the sessions of a stack were narrowed with so far.
func sessions(t *testing.T, s *stack.Stack) (narrowed []string) {
	t.Helper()
	for _, r := range s.STS.Requests("/") {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			t.Fatal(err)
		}
		narrowed = append(narrowed, form.Get("PolicyArns.member.1.arn"))
	}
	return narrowed
}

const readOnlyAccess = "arn:aws:iam::aws:policy/ReadOnlyAccess"

// TestWriteByTheGoClient: the box that nobody ticks for the person is what makes AWS
// credentials that change things, and only by the tool of that name.
func TestWriteByTheGoClient(t *testing.T) {
	s := start(t, stack.Config{SignIn: true})
	for _, tt := range []struct {
		name string
		tick []string
		gets bool
	}{
		{"ticked", []string{"aws", "aws:write"}, true},
		{"as it was shown", nil, false},
		{"for AWS alone", []string{"aws"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token, err := mcptest.SignIn(t.Context(), s.MCP, tt.tick...)
			if err != nil {
				t.Fatal(err)
			}
			session, err := mcptest.Connect(t.Context(), s.MCP, token, "")
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			before := len(sessions(t, s))
			written, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: writeTool, Arguments: writeArguments})
			if err != nil {
				t.Fatal(err)
			}
			text := written.Content[0].(*mcp.TextContent).Text
			if !tt.gets {
				if !written.IsError || !strings.Contains(text, "you declined this kind of credential") || len(sessions(t, s)) != before {
					t.Errorf("without the box: %s", text)
				}
			} else if members, _ := written.StructuredContent.(map[string]any); written.IsError || members["Level"] != "write" || members["PolicyArns"] != nil {
				t.Errorf("with the box: %s", text)
			}
			looked, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "get-aws-credentials", Arguments: writeArguments})
			if err != nil || looked.IsError || looked.StructuredContent.(map[string]any)["Level"] != "read" {
				t.Errorf("to look: %+v, %v", looked, err)
			}
			want := []string{"", readOnlyAccess}
			if !tt.gets {
				want = want[1:]
			}
			if got := sessions(t, s)[before:]; !slices.Equal(got, want) {
				t.Errorf("narrowed by %q, want %q", got, want)
			}
		})
	}
}

// TestWriteByTheTypeScriptClient: whoever asked for less is challenged for aws:write when
// it calls the tool, and whoever's person leaves the box empty is told so.
func TestWriteByTheTypeScriptClient(t *testing.T) {
	installClients(t)
	s := start(t, stack.Config{SignIn: true})
	modern := map[string]string{"pin": "2026-07-28"}
	for _, tt := range []struct {
		name      string
		script    string
		run       clientRun
		signIns   []string
		challenge string
		gets      bool
	}{
		{"v1, ticked", "v1.mjs", clientRun{Tick: []string{"aws", "aws:write"}}, []string{"aws aws:write github ssh > aws aws:write"}, "", true},
		{"v1, as it was shown", "v1.mjs", clientRun{Tick: []string{"aws", "github", "ssh"}}, []string{"aws aws:write github ssh > aws github ssh"}, "", false},
		{"v1, step-up", "v1.mjs", clientRun{Ask: "aws", Tick: []string{"aws", "aws:write"}}, []string{"aws > aws", "aws aws:write > aws aws:write"}, `scope="aws aws:write"`, true},
		{"v2, ticked", "v2.mjs", clientRun{Mode: modern, Document: true, Tick: []string{"aws", "aws:write"}}, []string{"aws aws:write github ssh > aws aws:write"}, "", true},
		{"v2, step-up", "v2.mjs", clientRun{Mode: modern, Document: true, Ask: "aws", Tick: []string{"aws", "aws:write"}}, []string{"aws > aws", "aws aws:write > aws aws:write"}, `scope="aws aws:write"`, true},
		{"v2, step-up left empty", "v2.mjs", clientRun{Mode: modern, Document: true, Ask: "aws", Tick: []string{"aws"}}, []string{"aws > aws", "aws aws:write > aws"}, `scope="aws aws:write"`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(sessions(t, s))
			tt.run.MCP, tt.run.Home, tt.run.Calls = s.MCP, t.TempDir(), []clientCall{{writeTool, writeArguments}}
			got := runClient(t, tt.script, tt.run)
			got.checkSignIns(t, tt.signIns, tt.run.Document)
			result, narrowed := got.Results[0], sessions(t, s)[before:]
			if tt.gets {
				if result.IsError || result.StructuredContent["Level"] != "write" || !slices.Equal(narrowed, []string{""}) {
					t.Errorf("with the box: %v, narrowed by %q", result.IsError, narrowed)
				}
			} else if !result.IsError || !strings.Contains(result.Content[0].Text, "you declined this kind of credential") || len(narrowed) > 0 {
				t.Errorf("without the box: %v, narrowed by %q", result.Content, narrowed)
			}
			var stepUps []string
			for _, challenge := range got.Challenges {
				if strings.HasPrefix(challenge, "403 ") {
					stepUps = append(stepUps, challenge)
				}
			}
			if (len(stepUps) == 1) != (tt.challenge != "") || tt.challenge != "" && (!strings.Contains(stepUps[0], `error="insufficient_scope"`) || !strings.Contains(stepUps[0], tt.challenge)) {
				t.Errorf("challenged by %q, want %q", stepUps, tt.challenge)
			}
		})
	}
}
