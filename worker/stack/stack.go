// Package stack runs the whole local stack: a Vouch and an STS on loopback, and
// the built Worker in workerd in front of them. The commands dev, demo and bench
// and the end-to-end tests stand on it.
//
// It promises that Stop ends everything that Start started. Its keys are made
// anew at each start and are nobody's real ones.
package stack

import (
	"context"
	"fmt"
	"maps"

	"mcp-credential-broker/broker/vouchtest"
)

// A Config says what to start. The zero Config is the stack that a newcomer
// sees: relay mode, a Vouch that takes plain bearer tokens, a free port.
type Config struct {
	// Vouch is the local Vouch; its Issuer is filled in.
	Vouch vouchtest.Options
	// Worker is the Worker; the variables that join it to Vouch and STS are
	// filled in, and those given here win.
	Worker WorkerConfig
	// Progress gets a line for each long step. It may be nil.
	Progress func(step string)
}

// A Stack is a running stack.
type Stack struct {
	*vouchtest.Stack
	Worker *Worker
	// MCP is the URL that a client connects to, and the resource identifier.
	MCP string
}

// Start starts a stack. The caller must Stop it. Errors are sentences for the
// person at the terminal, and leave nothing running.
func Start(ctx context.Context, c Config) (*Stack, error) {
	s := &Stack{}
	if err := s.start(ctx, c); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, c Config) (err error) {
	step := c.Progress
	if step == nil {
		step = func(string) {}
	}
	step("Starting a local Vouch and STS")
	if s.Stack, err = vouchtest.Start(vouchtest.StackOptions{Vouch: c.Vouch}); err != nil {
		return fmt.Errorf("the local Vouch could not be started: %w", err)
	}
	// Now that Vouch and STS hold theirs, a free port is not going to be one of those.
	port, err := choosePort(c.Worker.Port)
	if err != nil {
		return err
	}
	c.Worker.Port = port
	step("Starting the Worker in workerd")
	s.MCP = fmt.Sprintf("http://127.0.0.1:%d/mcp", port)
	vars := map[string]string{
		"BROKER_MODE":          "relay",
		"VOUCH_ISSUER":         s.VouchURL,
		"VOUCH_AUDIENCE":       s.MCP,
		"AWS_ENDPOINT_URL_STS": s.STSURL,
	}
	maps.Copy(vars, c.Worker.Vars)
	c.Worker.Vars = vars
	s.Worker, err = StartWorker(ctx, c.Worker)
	return err
}

// Stop ends the Worker and the servers. It may be called on a Stack that did
// not start whole.
func (s *Stack) Stop() {
	if s.Worker != nil {
		s.Worker.Stop()
	}
	if s.Stack != nil {
		_ = s.Stack.Close()
	}
}

// Token mints an access token for the stack's MCP URL, as Vouch would after a
// sign-in with a hardware key.
func (s *Stack) Token() string {
	return s.Vouch.MintAccessToken(vouchtest.TokenOptions{Audience: s.MCP, Scope: "openid email"})
}
