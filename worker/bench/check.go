//go:build !js

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

// check makes sure that the side does the work that it is going to be measured
// at: a broker that looks at no audience would win, and prove nothing.
func (s *side) check(ctx context.Context) error {
	if !s.signIn {
		if err := s.checkRefusals(ctx); err != nil {
			return err
		}
	}
	session, err := mcptest.Connect(ctx, s.stack.MCP, s.token, "")
	if err != nil {
		return err
	}
	defer session.Close()
	list, err := session.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	for _, name := range []string{awsCredentials, "get-github-token", "get-ssh-certificate"} {
		if !slices.ContainsFunc(list.Tools, func(t *mcp.Tool) bool { return t.Name == name && t.OutputSchema != nil }) {
			return errors.New("there is no tool " + name + " with an output schema")
		}
	}
	for _, test := range []struct {
		tool      string
		arguments map[string]any
		field     string // of the result; "" wants the form of an error
	}{
		{awsCredentials, map[string]any{"role_arn": ststest.RoleARN}, "SessionToken"},
		{awsCredentials, map[string]any{"role_arn": ststest.RoleARN + "-unknown"}, ""},
		{"get-github-token", map[string]any{"owner": "acme", "repositories": []string{"web"}}, "token"},
		{"get-github-token", map[string]any{"owner": "nobody-connected"}, ""},
	} {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: test.tool, Arguments: test.arguments})
		if err == nil {
			err = checkResult(result, test.field)
		}
		if err != nil {
			return fmt.Errorf("%s %v: %w", test.tool, test.arguments, err)
		}
	}
	return nil
}

// checkResult wants structured content with the field, and a text that says the
// same; or, without a field, {"error": ..., "status": N} in the text of an error.
func checkResult(result *mcp.CallToolResult, field string) error {
	var text string
	if len(result.Content) == 1 {
		if content, ok := result.Content[0].(*mcp.TextContent); ok {
			text = content.Text
		}
	}
	var said map[string]any
	if err := json.Unmarshal([]byte(text), &said); err != nil {
		return errors.New("the text of the result is no JSON")
	}
	structured, _ := result.StructuredContent.(map[string]any)
	message, _ := said["error"].(string)
	status, _ := said["status"].(float64)
	switch {
	case field == "" && (!result.IsError || message == "" || status < 400):
		return errors.New("the failure is not in the form of an error")
	case field != "" && (result.IsError || structured[field] == nil || structured[field] != said[field]):
		return errors.New("the result has no " + field + ", or not twice the same")
	}
	return nil
}

// checkRefusals sends tokens that must not pass, and one that must.
func (s *side) checkRefusals(ctx context.Context) error {
	good := vouchtest.TokenOptions{Audience: s.stack.MCP}
	with := func(change func(*vouchtest.TokenOptions)) string {
		o := good
		change(&o)
		return s.stack.Vouch.MintAccessToken(o)
	}
	for name, token := range map[string]string{
		"no token":      "",
		"no JWT":        "abc",
		"expired":       with(func(o *vouchtest.TokenOptions) { o.Lifetime = -time.Hour }),
		"for others":    with(func(o *vouchtest.TokenOptions) { o.Audience = "https://elsewhere.example/mcp" }),
		"forged":        with(func(o *vouchtest.TokenOptions) { o.Flaws.ForeignKey = true }),
		"unsigned":      with(func(o *vouchtest.TokenOptions) { o.Flaws.Algorithm = "none" }),
		"of others":     with(func(o *vouchtest.TokenOptions) { o.Flaws.Claims = map[string]any{"iss": "https://elsewhere.example"} }),
		"of other type": with(func(o *vouchtest.TokenOptions) { o.Flaws.Header = map[string]any{"typ": "JWT"} }),
	} {
		resp, _, err := send(ctx, s.stack.MCP, token, listRequest)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "resource_metadata=") {
			return fmt.Errorf("a token that is %q gets status %d with challenge %q", name, resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	}
	return s.call(ctx, listRequest)
}
