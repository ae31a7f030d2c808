package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/policyfile"
	"mcp-credential-broker/worker/stack"
)

const defaultPort = 3000

// runDev keeps the stack up until Ctrl-C.
func runDev(ctx context.Context) error {
	port, err := chosenPort()
	if err != nil {
		return err
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
	fmt.Printf(devText, s.MCP, token, s.VouchURL, s.STSURL, ststest.RoleARN)
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

// chosenPort is PORT, or the default.
func chosenPort() (int, error) {
	s := os.Getenv("PORT")
	if s == "" {
		return defaultPort, nil
	}
	port, err := strconv.Atoi(s)
	if err != nil || port < 1 || port > 65535 {
		return 0, errors.New("PORT must be a number from 1 to 65535")
	}
	return port, nil
}

// runNative keeps broker, Vouch and STS up in this process, under policy.json if there
// is one.
func runNative(ctx context.Context) error {
	port, err := chosenPort()
	if err != nil {
		return err
	}
	root, err := stack.Root()
	if err != nil {
		return err
	}
	document, err := policyfile.Read(root, os.Getenv("POLICY"))
	if err != nil {
		return err
	}
	n, err := stack.StartNative(port, document, func(line string) { fmt.Println(line) })
	if err != nil {
		return err
	}
	defer n.Stop()
	fmt.Printf("MCP URL %s, Vouch %s, STS %s, all in process %d. Ctrl-C ends them.\n", n.MCP, n.VouchURL, n.STSURL, os.Getpid())
	<-ctx.Done()
	return nil
}

// runVouch keeps the local Vouch and STS up for a broker that runs elsewhere, such
// as wrangler dev's.
func runVouch(ctx context.Context) error {
	port, err := chosenPort()
	if err != nil {
		return err
	}
	s, vars, err := stack.StartVouch(fmt.Sprintf("http://127.0.0.1:%d/mcp", port))
	if err != nil {
		return err
	}
	defer s.Stop()
	fmt.Printf("Vouch %s, STS %s. Ctrl-C ends them.\nFor a broker on port %d, as .dev.vars or as the environment:\n\n%s\n", s.VouchURL, s.STSURL, port, stack.DotEnv(vars))
	<-ctx.Done()
	return nil
}
