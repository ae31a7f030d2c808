package grant

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/mcp"
)

// A tally admits the first of each key.
type tally struct{ keys []string }

func (l *tally) Allow(_ context.Context, binding limit.Binding, key string) bool {
	l.keys = append(l.keys, string(binding)+" "+key)
	return strings.Count(strings.Join(l.keys, "\n")+"\n", string(binding)+" "+key+"\n") == 1
}

// TestLimit: beyond the limit of a person and a tool nothing is issued, and the wait is
// told. Nobody's limit is another's, nor one tool's that of another.
func TestLimit(t *testing.T) {
	c := newCounter(t, "")
	l := &tally{}
	c.config.Limiter, c.config.Vouch.Issuer = l, "https://v.example"
	n := newNotary(t)
	bob := eve(n)
	bob.Subject = "bob"
	if r := c.call(eve(n), plainCall); r.IsError || c.mints != 1 {
		t.Errorf("%d credentials within the limit, %+v", c.mints, r)
	}
	r := c.call(eve(n), plainCall)
	if text, _ := json.Marshal(r.Structured); !r.IsError || c.mints != 1 ||
		string(text) != `{"error":"you have had too many of these credentials; try again in 60 s, and use one until it expires","status":429,"retry_after":60}` {
		t.Errorf("%d credentials beyond it, %s", c.mints, text)
	}
	c.wantLogged("beyond the limit", map[string]any{"outcome": "refused", "status": 429.0, "decision": allow, "issued": nil})
	if r := c.call(bob, plainCall); r.IsError || c.mints != 2 {
		t.Errorf("bob: %+v", r)
	}
	if r := c.run(eve(n), mcp.Call{Tool: "get-aws-write-credentials", Arguments: json.RawMessage(plainCall)}); r.IsError || c.mints != 3 {
		t.Errorf("another tool: %+v", r)
	}
	want := "TOOL_LIMITER get-aws-credentials https://v.example eve"
	if l.keys[0] != want || l.keys[1] != want || len(l.keys) != 4 {
		t.Errorf("counted under %q", l.keys)
	}
}

// TestLimitCountsCredentials: what is refused, and what is only told, uses up nothing.
func TestLimitCountsCredentials(t *testing.T) {
	d, _ := tellDesk(t, examplePolicy, "")
	l := &tally{}
	d.config.Limiter = l
	for tool, arguments := range map[string]string{
		"whoami": `{}`, "list-access": `{}`, "explain-access": `{"tool": "get-aws-credentials", "arguments": {"profile": "prod-look"}}`,
		"get-aws-credentials": `{"profile": "nope"}`, "get-aws-write-credentials": `{"profile": "prod"}`, "get-github-token": `{"owner": "other", "repositories": ["web"]}`,
	} {
		if _, err := d.Run(t.Context(), eve(newNotary(t)), &mcp.Call{Tool: tool, Arguments: json.RawMessage(arguments)}); err != nil {
			t.Fatal(err)
		}
	}
	if l.keys != nil {
		t.Errorf("counted: %q", l.keys)
	}
}
