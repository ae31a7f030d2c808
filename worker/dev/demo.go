package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/stack"
)

// demoTime bounds the demonstration, builds and installation aside.
const demoTime = 2 * time.Minute

// runDemo does the main job once, as a real MCP client, and shows the results.
func runDemo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoTime)
	defer cancel()
	s, err := stack.Start(ctx, stack.Config{SignIn: signsIn(), Progress: step})
	if err != nil {
		return err
	}
	defer s.Stop()

	step("Connecting to " + s.MCP + " as an MCP client: registering, agreeing on the consent page, signing in at Vouch")
	session, err := mcptest.Connect(ctx, s.MCP, "", "")
	if err != nil {
		return fmt.Errorf("the client could not connect: %w", err)
	}
	defer session.Close()
	fmt.Printf("    signed in; the server speaks MCP %s\n", session.InitializeResult().ProtocolVersion)

	publicKey, err := newPublicKey()
	if err != nil {
		return err
	}
	calls := []*mcp.CallToolParams{
		{Name: "get-aws-credentials", Arguments: map[string]any{"role_arn": ststest.RoleARN}},
		{Name: "get-github-token", Arguments: map[string]any{"owner": "acme", "repositories": []string{"web"}}},
		{Name: "get-ssh-certificate", Arguments: map[string]any{"public_key": publicKey}},
	}
	for _, call := range calls {
		step(call.Name)
		result, err := session.CallTool(ctx, call)
		if err != nil {
			return fmt.Errorf("%s: %w", call.Name, err)
		}
		if err := show(call.Name, result); err != nil {
			return err
		}
	}
	fmt.Println("\nThat is the whole job: three short-lived credentials, none of them stored. Next: make dev")
	return nil
}

// newPublicKey makes a throw-away SSH key and returns its public half's line.
func newPublicKey() (string, error) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), nil
}

// secretMembers are shortened on the screen.
var secretMembers = map[string]bool{"SecretAccessKey": true, "SessionToken": true, "token": true, "certificate": true}

func show(tool string, result *mcp.CallToolResult) error {
	if result.IsError {
		text, _ := result.Content[0].(*mcp.TextContent)
		return fmt.Errorf("%s was refused: %s", tool, text.Text)
	}
	members, ok := result.StructuredContent.(map[string]any)
	if !ok {
		return errors.New(tool + " gave no structured content")
	}
	certificate, _ := members["certificate"].(string)
	for name, value := range members {
		if text, ok := value.(string); ok && secretMembers[name] {
			members[name] = fmt.Sprintf("%.12s... (%d characters)", text, len(text))
		}
	}
	text, err := json.MarshalIndent(members, "    ", "  ")
	if err != nil {
		return err
	}
	fmt.Printf("    %s\n", text)
	if certificate != "" {
		showCertificate(certificate)
	}
	return nil
}

// showCertificate prints the certificate as OpenSSH reads it, where there is an
// ssh-keygen.
func showCertificate(certificate string) {
	tool, err := exec.LookPath("ssh-keygen")
	if err != nil {
		fmt.Println("    (install OpenSSH to see the certificate as ssh-keygen -L reads it)")
		return
	}
	dir, err := os.MkdirTemp("", "demo-*")
	if err != nil {
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "id-cert.pub")
	if os.WriteFile(path, []byte(certificate+"\n"), 0o600) != nil {
		return
	}
	out, _ := exec.Command(tool, "-L", "-f", path).CombinedOutput()
	text := strings.ReplaceAll(strings.TrimSpace(string(out)), path, "ssh-keygen -L")
	fmt.Println("    " + strings.ReplaceAll(text, "\n", "\n    "))
}
