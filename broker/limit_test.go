package broker_test

import (
	"context"
	"testing"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/vouchtest"
)

// allowing answers every question alike, and keeps the last.
type allowing struct {
	within bool
	asked  string
}

func (l *allowing) Allow(_ context.Context, binding limit.Binding, key string) bool {
	l.asked = string(binding) + " " + key
	return l.within
}

// TestToolLimiter: a person's credentials count under the limiter of the tools, by
// Vouch's name for the person, and the sign-in's limiter has no say in them.
func TestToolLimiter(t *testing.T) {
	address, person := &allowing{}, &allowing{within: true}
	b := newBenchIn(t, broker.Environment{Limiter: address, ToolLimiter: person}, vouchtest.Options{}, nil)
	if r := b.call(t, "get-github-token", `{"owner":"acme"}`); r.IsError {
		t.Errorf("%+v", r)
	}
	if want := "TOOL_LIMITER get-github-token " + b.VouchURL + " " + vouchtest.DefaultPerson().Subject; person.asked != want || address.asked != "" {
		t.Errorf("asked %q and %q, want %q", person.asked, address.asked, want)
	}
	person.within = false
	asked := len(b.Vouch.Requests("/v1/credentials/github/token"))
	if r := b.call(t, "get-github-token", `{"owner":"acme"}`); !r.IsError || asked != 1 || len(b.Vouch.Requests("/v1/credentials/github/token")) != asked {
		t.Errorf("%+v", r)
	}
}
