//go:build !js

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/stack"
)

// A side is one of those that are compared: a Worker in a workerd of its own,
// with a Vouch and an STS of its own.
type side struct {
	name   string
	entry  string
	slow   bool // takes some ten times as long as the others
	signIn bool
	policy string // the document; "" for none

	stack  *stack.Stack
	vouch  *upstream
	sts    *upstream
	token  string
	config stack.WorkerConfig // that the Worker was started with
}

// start starts the side. In sign-in mode each request to Vouch is signed, so that
// none is the repetition of another: Vouch itself answers.
func (s *side) start(ctx context.Context) (err error) {
	s.config = stack.WorkerConfig{Entry: s.entry, Bare: true, Vars: map[string]string{}}
	config := stack.Config{SignIn: s.signIn}
	if s.sts, err = newUpstream(); err != nil {
		return err
	}
	s.config.Vars["AWS_ENDPOINT_URL_STS"] = s.sts.url
	if s.policy != "" {
		s.config.Vars["POLICY"] = s.policy
	}
	if !s.signIn {
		if s.vouch, err = newUpstream(); err != nil {
			return err
		}
		config.Vouch.Issuer = s.vouch.url
		s.config.Vars["VOUCH_ISSUER"] = s.vouch.url
	}
	config.Worker = s.config
	if s.stack, err = stack.Start(ctx, config); err != nil {
		return err
	}
	s.sts.answerWith(s.stack.STS)
	if s.signIn {
		s.token, err = mcptest.SignIn(ctx, s.stack.MCP)
		return err
	}
	s.vouch.answerWith(s.stack.Vouch)
	s.token = s.stack.Token()
	return nil
}

func (s *side) stop() {
	if s.stack != nil {
		s.stack.Stop()
	}
	for _, u := range []*upstream{s.vouch, s.sts} {
		if u != nil {
			_ = u.listener.Close()
		}
	}
}

// delay makes the side's Vouch and STS wait before they answer: half of d each.
func (s *side) delay(d time.Duration) {
	s.vouch.delay.Store(int64(d / 2))
	s.sts.delay.Store(int64(d / 2))
}

// A request is what is sent to /mcp, in the form of MCP 2026-07-28: the headers
// repeat what the body says.
type request struct{ method, name, body string }

const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
	`"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}`

var (
	listRequest = request{method: "tools/list", body: `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`}
	awsRequest  = request{method: "tools/call", name: awsCredentials, body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` +
		awsCredentials + `","arguments":{"role_arn":"` + ststest.RoleARN + `"},` + meta + `}}`}
)

var client = http.Client{Timeout: answerTime}

// newRequest returns r with token, for endpoint.
func newRequest(ctx context.Context, endpoint, token string, r request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	req.Header.Set("Mcp-Method", r.method)
	if r.name != "" {
		req.Header.Set("Mcp-Name", r.name)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return req, nil
}

// send sends r with token and returns the answer and its body.
func send(ctx context.Context, endpoint, token string, r request) (*http.Response, []byte, error) {
	req, err := newRequest(ctx, endpoint, token, r)
	if err != nil {
		return nil, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// call sends r once and wants a result.
func (s *side) call(ctx context.Context, r request) error {
	resp, body, err := send(ctx, s.stack.MCP, s.token, r)
	if err != nil {
		return err
	}
	return checkAnswer(resp.StatusCode, body)
}

// checkAnswer wants a result.
func checkAnswer(status int, body []byte) error {
	if status != http.StatusOK || bytes.Contains(body, []byte(`"isError":true`)) || bytes.Contains(body, []byte(`"error":{`)) {
		return fmt.Errorf("status %d: %s", status, body)
	}
	return nil
}
