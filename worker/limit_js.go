//go:build js && wasm

package main

import (
	"context"
	"syscall/js"

	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker/limit"
)

// limiter is the limit.Limiter on Cloudflare's rate-limit bindings, which count in
// each place of the network by themselves. It says which binding counts for which.
type limiter map[limit.Binding]limit.Binding

// newLimiter returns the limiter of the sign-in, or nil when there is no binding for
// it at all, and says what is missing. Where one is missing the other counts for both.
func newLimiter() limit.Limiter {
	l := limiter{}
	names := [...]limit.Binding{limit.SignIn, limit.SignInStrict}
	for i, name := range names {
		if isBound(name) {
			l[name] = name
			if _, known := l[names[1-i]]; !known {
				l[names[1-i]] = name
			}
			continue
		}
		warnOf(name, "one address")
	}
	if len(l) == 0 {
		return nil
	}
	return l
}

// newToolLimiter returns the limiter of the tools, or nil when it is not bound, and
// says so. No other binding counts for it: those are of addresses.
func newToolLimiter() limit.Limiter {
	if isBound(limit.Tool) {
		return limiter{limit.Tool: limit.Tool}
	}
	warnOf(limit.Tool, "one person")
	return nil
}

func isBound(name limit.Binding) bool {
	return cloudflare.GetBinding(string(name)).Type() == js.TypeObject
}

func warnOf(name limit.Binding, who string) {
	hostLog(`{"event":"start","warning":"there is no rate-limit binding ` + string(name) + `; ` + who + ` can use up Vouch's limits for everybody"}`)
}

// Allow implements limit.Limiter. It fails closed: sign-ins and credentials can
// wait.
func (l limiter) Allow(ctx context.Context, name limit.Binding, key string) bool {
	x, ok := program.exchangeOf(ctx)
	binding, known := l[name]
	if !ok || !known {
		return false
	}
	o := program.call(func(call int32) { hostLimit(x.id, call, string(binding), key) })
	return o.failure == succeeded && o.status == 1
}
