// Package stack runs the whole local stack: a Vouch and an STS on loopback, and
// the built Worker in workerd in front of them. The commands dev, demo and bench
// and the end-to-end tests stand on it.
//
// It promises that Stop ends everything that Start started. Its keys are made
// anew at each start and are nobody's real ones.
package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/vouchtest"
)

// A Config says what to start. The zero Config is relay mode with a Vouch that
// takes plain bearer tokens, on a free port.
type Config struct {
	// SignIn starts the broker in sign-in mode, as a client of a Vouch of today.
	SignIn bool
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
	if c.SignIn {
		c.Vouch.Version = vouchtest.Latest
	}
	if s.Stack, err = vouchtest.Start(c.Vouch); err != nil {
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
		"POLICY":               "none", // an operator's policy.json is not for the stand-ins
	}
	if c.SignIn {
		if err := s.register(vars); err != nil {
			return fmt.Errorf("the broker could not be made a client of the local Vouch: %w", err)
		}
	}
	maps.Copy(vars, c.Worker.Vars)
	c.Worker.Vars = vars
	s.Worker, err = StartWorker(ctx, c.Worker)
	return err
}

// register makes the broker a client of the local Vouch, with a new key.
func (s *Stack) register(vars map[string]string) error {
	text, err := p256.Generate()
	if err != nil {
		return err
	}
	key, err := p256.Parse(text)
	if err != nil {
		return err
	}
	keys, err := json.Marshal(map[string]any{"keys": []p256.JWK{key.PublishedJWK()}})
	if err != nil {
		return err
	}
	const clientID = "local-broker"
	vars["BROKER_MODE"], vars["BROKER_KEY"], vars["VOUCH_CLIENT_ID"] = "sign-in", text.Reveal(), clientID
	return s.Vouch.AddClient(vouchtest.Client{
		ID: clientID, JWKS: keys,
		RedirectURIs: []string{strings.TrimSuffix(s.MCP, "/mcp") + "/oauth/callback"},
	})
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
// sign-in with a hardware key. It is what relay mode takes.
func (s *Stack) Token() string {
	return s.Vouch.MintAccessToken(vouchtest.TokenOptions{Audience: s.MCP, Scope: "openid email"})
}
