package vouchtest

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// A tier is one of Vouch's rate limits: so many requests at once, then one for
// each interval, for an address.
type tier struct {
	name     string
	burst    int
	interval time.Duration
}

// Vouch's own constants.
var (
	tierAuthentication = tier{"authentication", 8, 2 * time.Second}
	tierCredential     = tier{"credential", 15, 2 * time.Second}
	tierGeneral        = tier{"general", 20, time.Second}
)

const maxLimited = 1024 // addresses remembered

// limiter is the generic cell rate algorithm: for each key it remembers when
// the bucket will be empty again.
type limiter struct {
	mu      sync.Mutex
	drained map[string]time.Time
}

// take counts one request. It returns how many more may follow at once, or the
// wait until the next one when this one is refused.
func (l *limiter) take(key string, t tier, now time.Time) (remaining int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.drained == nil {
		l.drained = map[string]time.Time{}
	}
	if len(l.drained) >= maxLimited {
		for other, at := range l.drained {
			if at.Before(now) {
				delete(l.drained, other)
			}
		}
	}
	at := l.drained[key]
	if at.Before(now) {
		at = now
	}
	at = at.Add(t.interval)
	room := time.Duration(t.burst)*t.interval - at.Sub(now)
	if room < 0 {
		return 0, -room
	}
	l.drained[key] = at
	return int(room / t.interval), 0
}

// limited puts a rate limit before a handler.
func (v *Vouch) limited(t tier, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v.admit(w, r, t) {
			h(w, r)
		}
	}
}

// admit counts a request and answers it when it is one too many.
func (v *Vouch) admit(w http.ResponseWriter, r *http.Request, t tier) bool {
	if !v.options.RateLimit {
		return true
	}
	remaining, wait := v.limits.take(t.name+" "+network(r.RemoteAddr), t, v.now())
	w.Header().Set("x-ratelimit-limit", strconv.Itoa(t.burst))
	w.Header().Set("x-ratelimit-remaining", strconv.Itoa(remaining))
	if wait <= 0 {
		return true
	}
	seconds := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
	w.Header().Set("Retry-After", seconds)
	w.Header().Set("x-ratelimit-after", seconds)
	writeText(w, http.StatusTooManyRequests, fmt.Sprintf("Too Many Requests! Wait for %ss", seconds))
	return false
}

// network is what Vouch counts by: an IPv4 address or an IPv6 /64.
func network(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return remote
	}
	address := at.Addr().Unmap()
	if address.Is4() {
		return address.String()
	}
	prefix, err := address.Prefix(64)
	if err != nil {
		return remote
	}
	return prefix.String()
}
