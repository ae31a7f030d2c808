// Package limit says who shares one allowance. What an allowance is, the host's
// rate-limit bindings know.
//
// It promises that whoever has many addresses as one customer does has one share
// of what there is, and that a request whose sender cannot be told has none.
package limit

import (
	"context"
	"net/netip"
	"time"
)

// A Binding is a rate-limit binding of wrangler.toml.
type Binding string

// The bindings.
const (
	// SignIn is for each route of the sign-in: about 20 a minute.
	SignIn Binding = "SIGN_IN_LIMITER"
	// SignInStrict is for the routes that cost Vouch a call: about 5 a minute.
	// Vouch's own allowance is one for all people of this broker.
	SignInStrict Binding = "SIGN_IN_STRICT_LIMITER"
	// Tool is for each person and tool: about 10 a minute. One person's agent that
	// asks again and again must leave the others their share of Vouch's allowance.
	Tool Binding = "TOOL_LIMITER"
)

// Bindings are all of them.
func Bindings() []Binding { return []Binding{SignIn, SignInStrict, Tool} }

// Period is the longest of a binding, and so what to wait when an allowance is used up.
const Period = time.Minute

// A Limiter counts what comes under a key.
//
// Allow reports whether one more is within the binding's allowance. It fails
// closed: what cannot be counted is not allowed. It may be called concurrently.
type Limiter interface {
	Allow(ctx context.Context, binding Binding, key string) bool
}

// Networks are the keys that an address counts under, all of which must pass: an
// IPv4 address by itself, an IPv6 address by the /64 that a customer has at least
// and by the /48 that a customer has at most (RFC 6177). It is nil for what is no
// address.
func Networks(address string) []string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	// "::ffff:192.0.2.1" is the IPv4 address, and a zone is the sender's own word.
	if ip = ip.Unmap().WithZone(""); ip.Is4() {
		return []string{ip.String()}
	}
	return []string{netip.PrefixFrom(ip, 64).Masked().String(), netip.PrefixFrom(ip, 48).Masked().String()}
}

// Allows reports whether a request from an address, for what is named, is within
// the binding's allowance. A nil Limiter allows everything.
func Allows(ctx context.Context, l Limiter, binding Binding, what, address string) bool {
	if l == nil {
		return true
	}
	networks := Networks(address)
	for _, network := range networks {
		if !l.Allow(ctx, binding, what+" "+network) {
			return false
		}
	}
	return networks != nil
}
