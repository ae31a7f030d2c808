//go:build js && wasm

package main

import (
	"context"
	"syscall/js"

	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker/limit"
)

// limiter is the limit.Limiter on Cloudflare's rate-limit bindings, which count in
// each place of the network by themselves.
type limiter struct {
	call     caller
	bindings map[limit.Binding]js.Value
}

// newLimiter returns the limiter, or nil when there is no binding at all, and says
// what is missing. Where one is missing the other counts for both.
func newLimiter(call caller) limit.Limiter {
	l := limiter{call, map[limit.Binding]js.Value{}}
	names := [...]limit.Binding{limit.SignIn, limit.SignInStrict}
	for i, name := range names {
		if binding := cloudflare.GetBinding(string(name)); binding.Type() == js.TypeObject {
			l.bindings[name] = binding
			if _, known := l.bindings[names[1-i]]; !known {
				l.bindings[names[1-i]] = binding
			}
			continue
		}
		logLine(`{"event":"start","warning":"there is no rate-limit binding ` + string(name) + `; one address can use up Vouch's limits for everybody"}`)
	}
	if len(l.bindings) == 0 {
		return nil
	}
	return l
}

// Allow implements limit.Limiter. It fails closed: a sign-in can wait.
func (l limiter) Allow(ctx context.Context, name limit.Binding, key string) bool {
	exchange, ok := ctx.Value(exchangeKey{}).(js.Value)
	binding, known := l.bindings[name]
	if !ok || !known {
		return false
	}
	o := l.call(func(id int) { exchange.Call("limit", id, binding, key) })
	return o.failure == "" && o.status == 1
}
