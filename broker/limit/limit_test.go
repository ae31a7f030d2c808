package limit

import (
	"context"
	"slices"
	"testing"
)

func TestNetworks(t *testing.T) {
	for address, want := range map[string][]string{
		"192.0.2.1":                  {"192.0.2.1"},
		"::ffff:192.0.2.1":           {"192.0.2.1"},
		"2001:db8:1:2:3:4:5:6":       {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:DB8:1:2::ffff":         {"2001:db8:1:2::/64", "2001:db8:1::/48"},
		"2001:db8:1:f::1":            {"2001:db8:1:f::/64", "2001:db8:1::/48"},
		"2001:db8:2::1%eth0":         {"2001:db8:2::/64", "2001:db8:2::/48"},
		"::1":                        {"::/64", "::/48"},
		"":                           nil,
		"unknown":                    nil,
		"192.0.2.1:80":               nil,
		"[2001:db8::1]":              nil,
		"192.0.2.1, 198.51.100.7":    nil,
		"192.0.2.01":                 nil,
		"2001:db8:1:2:3:4:5:6:7":     nil,
		"0x7f.1":                     nil,
		"192.0.2.1\n198.51.100.7":    nil,
		"2001:db8::1/64":             nil,
		"2001:db8:1:2:3:4:5:6%a b\n": {"2001:db8:1:2::/64", "2001:db8:1::/48"},
	} {
		if got := Networks(address); !slices.Equal(got, want) {
			t.Errorf("%q counts under %q, want %q", address, got, want)
		}
	}
}

// counter admits some a key.
type counter struct {
	most  int
	count map[string]int
}

func (c *counter) Allow(_ context.Context, binding Binding, key string) bool {
	key = string(binding) + " " + key
	c.count[key]++
	return c.count[key] <= c.most
}

// TestOneMachine: many addresses of one customer have one share, and a neighbour
// has another.
func TestOneMachine(t *testing.T) {
	c := &counter{most: 5, count: map[string]int{}}
	served := func(addresses ...string) (n int) {
		for _, address := range addresses {
			if Allows(t.Context(), c, SignInStrict, "token", address) {
				n++
			}
		}
		return n
	}
	var spread []string
	for i := range 16 { // a /60, one address of each /64
		spread = append(spread, "2001:db8:1:"+string("0123456789abcdef"[i])+"::1")
	}
	if n := served(spread...); n != 5 {
		t.Errorf("%d of 16 networks of one customer are served, want 5", n)
	}
	if n := served(slices.Repeat([]string{"192.0.2.1"}, 16)...); n != 5 {
		t.Errorf("%d of 16 requests of one address are served, want 5", n)
	}
	if n := served("2001:db8:2::1", "192.0.2.2"); n != 2 {
		t.Errorf("%d of 2 neighbours are served", n)
	}
	if n := served("", "unknown"); n != 0 {
		t.Error("nobody's address is served")
	}
	if !Allows(t.Context(), nil, SignIn, "token", "") {
		t.Error("there is a limit without a limiter")
	}
	if !Allows(t.Context(), c, SignInStrict, "consent", "192.0.2.1") || !Allows(t.Context(), c, SignIn, "token", "192.0.2.1") {
		t.Error("another route or binding shares the count")
	}
}
