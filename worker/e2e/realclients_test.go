package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mcp-credential-broker/worker/stack"
)

const (
	installTime = 3 * time.Minute
	sessionTime = time.Minute
)

// A clientRun is what one of the scripts in clients is to do.
type clientRun struct {
	MCP      string       `json:"mcp"`
	Calls    []clientCall `json:"calls"`
	Mode     any          `json:"mode,omitempty"`     // version negotiation, where the client has a choice
	Document bool         `json:"document,omitempty"` // registers by a Client ID Metadata Document
	Ask      string       `json:"ask,omitempty"`      // scopes of the first sign-in; empty: what the challenge names
	Tick     []string     `json:"tick"`               // what the person leaves ticked
	Home     string       `json:"home"`               // an empty folder for what a client keeps
	Touch    bool         `json:"touch,omitempty"`    // the person approves what is refused with a link
	Answer   any          `json:"answer,omitempty"`   // of a person who can be asked
}

type clientCall struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// A clientReport is what a script tells of the broker's answers.
type clientReport struct {
	Version string
	Tools   []string
	Results []struct {
		IsError           bool
		Content           []struct{ Type, Text string }
		StructuredContent map[string]any
	}
	SignIns []struct {
		ClientID string
		Asked    string   // the scope parameter of the authorization request
		Boxes    []string // on the consent page
		Granted  string   // the scope member of the token answer
	}
	Asked      []string // the questions to the person
	Challenges []string // status and WWW-Authenticate of each
}

// TestRealClients runs the clients that people use through sign-in mode: the
// whole of OAuth, as each of them does it, and a call of every tool.
func TestRealClients(t *testing.T) {
	installClients(t)
	s := start(t, stack.Config{SignIn: true})
	all := []string{"aws", "github", "ssh"}
	modernPin := map[string]string{"pin": "2026-07-28"}
	tests := []struct {
		name     string
		script   string
		run      clientRun
		version  string   // negotiated; mcp-remote tells neither that nor the challenges it met
		signIns  []string // "asked > granted" of each; mcp-remote does not tell what was granted
		declined string   // the tool that the person did not allow
	}{
		{"TypeScript v1", "v1.mjs", clientRun{Tick: all},
			"2025-11-25", []string{"aws aws:write github ssh > aws github ssh"}, ""},
		{"TypeScript v1, document", "v1.mjs", clientRun{Tick: all, Document: true},
			"2025-11-25", []string{"aws aws:write github ssh > aws github ssh"}, ""},
		{"TypeScript v1, step-up", "v1.mjs", clientRun{Tick: all, Ask: "aws"},
			"2025-11-25", []string{"aws > aws", "aws github > aws github", "aws github ssh > aws github ssh"}, ""},
		{"TypeScript v1, declined", "v1.mjs", clientRun{Tick: []string{"aws", "github"}},
			"2025-11-25", []string{"aws aws:write github ssh > aws github"}, "get-ssh-certificate"},
		{"TypeScript v1, declined at step-up", "v1.mjs", clientRun{Tick: []string{"aws", "ssh"}, Ask: "aws"},
			"2025-11-25", []string{"aws > aws", "aws github > aws", "aws github ssh > aws ssh"}, "get-github-token"},
		{"TypeScript v2, legacy", "v2.mjs", clientRun{Tick: all, Mode: "legacy", Document: true},
			"2025-11-25", []string{"aws aws:write github ssh > aws github ssh"}, ""},
		{"TypeScript v2, auto", "v2.mjs", clientRun{Tick: all, Mode: "auto", Document: true},
			"2026-07-28", []string{"aws aws:write github ssh > aws github ssh"}, ""},
		{"TypeScript v2, modern", "v2.mjs", clientRun{Tick: all, Mode: modernPin, Document: true},
			"2026-07-28", []string{"aws aws:write github ssh > aws github ssh"}, ""},
		{"TypeScript v2, registered", "v2.mjs", clientRun{Tick: all, Mode: modernPin},
			"2026-07-28", []string{"aws aws:write github ssh > aws github ssh"}, ""},
		{"TypeScript v2, step-up, legacy", "v2.mjs", clientRun{Tick: all, Mode: "legacy", Document: true, Ask: "aws"},
			"2025-11-25", []string{"aws > aws", "aws github > aws github", "aws github ssh > aws github ssh"}, ""},
		{"TypeScript v2, step-up, modern", "v2.mjs", clientRun{Tick: all, Mode: modernPin, Document: true, Ask: "aws"},
			"2026-07-28", []string{"aws > aws", "aws github > aws github", "aws github ssh > aws github ssh"}, ""},
		{"TypeScript v2, declined", "v2.mjs", clientRun{Tick: []string{"aws", "github"}, Mode: modernPin, Document: true},
			"2026-07-28", []string{"aws aws:write github ssh > aws github"}, "get-ssh-certificate"},
		{"TypeScript v2, declined at step-up", "v2.mjs", clientRun{Tick: []string{"aws", "ssh"}, Mode: modernPin, Document: true, Ask: "aws"},
			"2026-07-28", []string{"aws > aws", "aws github > aws", "aws github ssh > aws ssh"}, "get-github-token"},
		{"mcp-remote, legacy", "remote.mjs", clientRun{Tick: all, Mode: "legacy"},
			"", []string{"aws aws:write github ssh > "}, ""},
		{"mcp-remote, auto", "remote.mjs", clientRun{Tick: all, Mode: "auto"},
			"", []string{"aws aws:write github ssh > "}, ""},
		{"mcp-remote, step-up", "remote.mjs", clientRun{Tick: all, Mode: "auto", Ask: "aws"},
			"", []string{"aws > ", "aws github > ", "aws github ssh > "}, ""},
		{"mcp-remote, declined", "remote.mjs", clientRun{Tick: []string{"aws", "github"}, Mode: "legacy"},
			"", []string{"aws aws:write github ssh > "}, "get-ssh-certificate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.run.MCP, tt.run.Home = s.MCP, t.TempDir()
			for _, call := range goodCalls {
				tt.run.Calls = append(tt.run.Calls, clientCall{call.tool, call.arguments})
			}
			got := runClient(t, tt.script, tt.run)
			if got.Version != tt.version {
				t.Errorf("negotiated %q, want %q", got.Version, tt.version)
			}
			if want := toolNames(true); !slices.Equal(got.Tools, want) {
				t.Errorf("tools %v, want %v", got.Tools, want)
			}
			got.checkResults(t, tt.declined)
			got.checkSignIns(t, tt.signIns, tt.run.Document)
			if tt.run.Ask != "" && tt.version != "" {
				got.checkStepUps(t)
			}
		})
	}
}

// checkResults checks a result of each of goodCalls: what was minted, or for the
// tool that the person did not allow an error that says so.
func (r *clientReport) checkResults(t *testing.T, declined string) {
	t.Helper()
	if len(r.Results) != len(goodCalls) {
		t.Fatalf("%d results, want %d", len(r.Results), len(goodCalls))
	}
	minted := map[string]struct{ member, prefix string }{
		"get-aws-credentials": {"AccessKeyId", "ASIA"},
		"get-github-token":    {"token", "ghs_"},
		"get-ssh-certificate": {"certificate", "ssh-ed25519-cert-v01@openssh.com "},
	}
	for i, call := range goodCalls {
		result := r.Results[i]
		if len(result.Content) != 1 {
			t.Errorf("%s: %d contents, want 1", call.tool, len(result.Content))
			continue
		}
		text := result.Content[0].Text
		if call.tool == declined {
			if !result.IsError || !strings.Contains(text, "you declined this kind of credential") {
				t.Errorf("%s was declined and answers: %s", call.tool, text)
			}
			continue
		}
		want := minted[call.tool]
		value, _ := result.StructuredContent[want.member].(string)
		if result.IsError || !strings.HasPrefix(value, want.prefix) || !json.Valid([]byte(text)) {
			t.Errorf("%s: no %s; it answers: error %v", call.tool, want.member, result.IsError)
		}
	}
}

// checkSignIns checks how often and for what the person was asked, and who the
// client said it was.
func (r *clientReport) checkSignIns(t *testing.T, want []string, document bool) {
	t.Helper()
	var got []string
	for _, signIn := range r.SignIns {
		got = append(got, signIn.Asked+" > "+signIn.Granted)
		if boxes := strings.Join(signIn.Boxes, " "); boxes != signIn.Asked {
			t.Errorf("the consent page shows boxes for %q, asked for was %q", boxes, signIn.Asked)
		}
		if published := strings.HasPrefix(signIn.ClientID, "http"); signIn.ClientID == "" || published != document {
			t.Errorf("client id %.40q; want a document's: %v", signIn.ClientID, document)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("sign-ins (asked > granted) %q, want %q", got, want)
	}
}

// checkStepUps checks the challenges of a client that asked for aws only and
// then calls the two other tools: each names all that the token should have, as
// TypeScript v1 asks for what is named and nothing else.
func (r *clientReport) checkStepUps(t *testing.T) {
	t.Helper()
	var stepUps []string
	for _, challenge := range r.Challenges {
		if strings.HasPrefix(challenge, "403 ") {
			stepUps = append(stepUps, challenge)
		}
	}
	scopes := []string{`scope="aws github"`, `scope="aws github ssh"`}
	if len(stepUps) != len(scopes) {
		t.Fatalf("challenges %q, want %d with status 403", r.Challenges, len(scopes))
	}
	for i, challenge := range stepUps {
		if !strings.HasPrefix(challenge, `403 Bearer error="insufficient_scope"`) || !strings.Contains(challenge, scopes[i]) {
			t.Errorf("challenge %q, want %s", challenge, scopes[i])
		}
	}
}

// runClient runs a script of clients and returns what it reports. Whatever the
// script started has ended then.
func runClient(t *testing.T, script string, run clientRun) *clientReport {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	node, err := stack.Node(root)
	if err != nil {
		t.Fatal(err)
	}
	instructions, err := json.Marshal(run)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), sessionTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script, string(instructions))
	cmd.Dir = "clients"
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := runGroup(cmd); err != nil {
		t.Fatalf("%s ended with: %v\n%s", script, err, complaints.String())
	}
	report := &clientReport{}
	if err := json.Unmarshal(out.Bytes(), report); err != nil {
		t.Fatalf("%s printed no report: %v\n%s%s", script, err, out.String(), complaints.String())
	}
	return report
}

// runGroup runs a command in a process group of its own, and ends the group with
// it or when time is up: npm and mcp-remote start processes themselves.
func runGroup(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Cancel()
	return cmd.Wait()
}

// installClients installs what clients/package-lock.json pins, unless it is there.
func installClients(t *testing.T) {
	t.Helper()
	pinned, err := os.Stat(filepath.Join("clients", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.Stat(filepath.Join("clients", "node_modules", ".package-lock.json"))
	if err == nil && !installed.ModTime().Before(pinned.ModTime()) {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
	cmd.Dir = "clients"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := runGroup(cmd); err != nil {
		t.Fatalf("the JavaScript clients could not be installed (%v): see that npm is there and reaches its registry, then run npm ci in worker/e2e/clients; it said:\n%s", err, out.String())
	}
}
