package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/worker/stack"
)

const defaultPort = 3000

// runDev keeps the stack up until Ctrl-C.
func runDev(ctx context.Context) error {
	port := defaultPort
	if s := os.Getenv("PORT"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 65535 {
			return errors.New("PORT must be a number from 1 to 65535")
		}
		port = n
	}
	s, err := stack.Start(ctx, stack.Config{
		SignIn:   signsIn(),
		Worker:   stack.WorkerConfig{Port: port, Output: os.Stdout},
		Progress: step,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer s.Stop()
	token := s.Token()
	if signsIn() {
		if token, err = mcptest.SignIn(ctx, s.MCP); err != nil {
			return fmt.Errorf("the sign-in that was to bring a token for you failed: %w", err)
		}
	}
	fmt.Printf(devText, s.MCP, token, s.VouchURL, s.STSURL, vouchtest.DefaultRoleARN)
	select {
	case <-ctx.Done():
		fmt.Println("\nStopping.")
		return nil
	case <-s.Worker.Exited():
		return errors.New("wrangler ended by itself; what it printed is above")
	}
}

// signsIn reports whether the local stack is to run in sign-in mode.
func signsIn() bool { return os.Getenv("BROKER_MODE") != "relay" }

const devText = `
The broker is up. Ctrl-C ends it and all that belongs to it.

  MCP URL   %[1]s
  Vouch     %[3]s (local; approves every sign-in)
  STS       %[4]s (local)

Connect a client; it signs in by itself:

  Claude Code     claude mcp add --transport http vouch %[1]s
  VS Code         code --add-mcp '{"name":"vouch","type":"http","url":"%[1]s"}'
  MCP Inspector   npx @modelcontextprotocol/inspector, then connect to %[1]s (Streamable HTTP)

Or call it by hand, with a token that lives for 8 hours:

  TOKEN=%[2]s
  curl -s %[1]s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-aws-credentials","arguments":{"role_arn":"%[5]s"}}}'

`
