//go:build js && wasm

package main

import (
	"context"
	"net/netip"
	"syscall/js"

	"github.com/syumai/workers/cloudflare"

	"mcp-credential-broker/broker/authserver"
)

// limiterBinding is the rate-limit binding of wrangler.toml.
const limiterBinding = "SIGN_IN_LIMITER"

// limiter is the authserver.Limiter on Cloudflare's rate-limit binding, which
// counts in each place of the network by itself.
type limiter struct {
	call    caller
	binding js.Value
}

// newLimiter returns the limiter, or nil when there is no binding, and says so.
func newLimiter(call caller) authserver.Limiter {
	binding := cloudflare.GetBinding(limiterBinding)
	if binding.Type() != js.TypeObject {
		logLine(`{"event":"start","warning":"there is no rate-limit binding ` + limiterBinding + `; one address can use up Vouch's limits for everybody"}`)
		return nil
	}
	return limiter{call, binding}
}

// Allow implements authserver.Limiter. It fails closed: a sign-in can wait.
func (l limiter) Allow(ctx context.Context, route, address string) bool {
	exchange, ok := ctx.Value(exchangeKey{}).(js.Value)
	if !ok {
		return false
	}
	// One customer has a whole /64, so its addresses count as one.
	if ip, err := netip.ParseAddr(address); err == nil && ip.Is6() {
		if network, err := ip.Prefix(64); err == nil {
			address = network.String()
		}
	}
	o := l.call(func(id int) { exchange.Call("limit", id, l.binding, route+" "+address) })
	return o.failure == "" && o.status == 1
}
