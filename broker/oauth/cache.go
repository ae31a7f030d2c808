package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/upstream"
)

var (
	errUnknownKey = reason("key is not in the issuer's set")
	errBusy       = errors.New("key set is being fetched, or was a moment ago")
)

// A keyCache holds the issuer's key set. Its lock guards values in memory and is
// never held across a fetch: a request that finds the set expired renews it
// itself while the others go on with what there is.
type keyCache struct {
	url      string
	upstream upstream.Client
	now      func() time.Time

	mu       sync.Mutex
	keys     keySet
	asked    time.Time  // when the fetch that brought keys began
	expires  time.Time  // the end of freshness
	attempts []*attempt // fetches under way
	nextMiss time.Time  // no fetch for an unknown kid before
	nextTry  time.Time  // no fetch before, after a failure
	backoff  time.Duration
}

// An attempt marks a fetch that is under way.
type attempt struct {
	began    time.Time
	fallback *p256.PublicKey // the stale key that the attempt's caller can do with, or nil
}

// key returns the key that kid names, for a token issued at issued. It may make
// one fetch.
//
// Errors: errUnknownKey when Vouch's set, asked later than the token was issued
// or just now, lacks it; else *UnavailableError.
func (c *keyCache) key(ctx context.Context, kid string, issued time.Time) (*p256.PublicKey, error) {
	if err := ctx.Err(); err != nil {
		return nil, &UnavailableError{RetryAfter: shortWait, Err: err}
	}
	key, mine, err := c.consult(kid, issued)
	if mine == nil {
		return key, err
	}
	// The fetch outlives its client: else clients that hang up at once could
	// start one after the other without ever meeting the waits of settle.
	keys, fresh, err := c.fetch(context.WithoutCancel(ctx))
	return c.settle(mine, kid, keys, fresh, err)
}

// consult finds the key in memory (with attempt and error nil), or makes the
// caller the one who has to fetch (attempt not nil), or says why neither.
func (c *keyCache) consult(kid string, issued time.Time) (*p256.PublicKey, *attempt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if !now.Before(c.expires.Add(staleLife)) {
		c.keys = nil
	}
	key := c.keys[kid]
	switch {
	case key != nil && now.Before(c.expires):
		return key, nil, nil
	case key == nil && c.keys != nil && c.asked.Sub(issued) > maxSkew:
		// A key is published before it signs, so a set asked for after this
		// token was issued has the last word. Without this rule a rotation would
		// make everybody with an old token queue for a fetch of their own.
		return nil, nil, errUnknownKey
	}
	if wait := c.wait(now, key == nil); wait > 0 {
		if key != nil {
			return key, nil, nil
		}
		return nil, nil, &UnavailableError{RetryAfter: wait, Err: errBusy}
	}
	if key == nil && c.keys != nil {
		c.nextMiss = now.Add(missInterval)
	}
	mine := &attempt{began: now, fallback: key}
	c.attempts = append(c.attempts, mine)
	return nil, mine, nil
}

// wait returns how long no further fetch may begin; c.mu is held.
func (c *keyCache) wait(now time.Time, unknownKid bool) time.Duration {
	c.attempts = slices.DeleteFunc(c.attempts, func(a *attempt) bool { return now.Sub(a.began) >= attemptLife })
	limit := 1
	if c.keys == nil {
		limit = maxColdFetches
	}
	if len(c.attempts) >= limit {
		return shortWait
	}
	wait := c.nextTry.Sub(now)
	if unknownKid && c.keys != nil {
		wait = max(wait, c.nextMiss.Sub(now))
	}
	return wait
}

// settle takes in what the attempt mine brought and answers its caller.
func (c *keyCache) settle(mine *attempt, kid string, keys keySet, fresh time.Duration, err error) (*p256.PublicKey, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts = slices.DeleteFunc(c.attempts, func(a *attempt) bool { return a == mine })
	if err != nil {
		now := c.now()
		// Of fetches that fail together the first one counts, and one that could
		// not begin is no failure: a client that dawdles must not make all wait.
		if !now.Before(c.nextTry) && !errors.Is(err, upstream.ErrNoTime) {
			c.backoff = min(max(2*c.backoff, minBackoff), maxBackoff)
			c.nextTry = now.Add(c.backoff)
		}
		if mine.fallback != nil {
			return mine.fallback, nil
		}
		return nil, &UnavailableError{RetryAfter: max(c.nextTry.Sub(now), shortWait), Err: err}
	}
	// An answer that was long under way must not undo a later one.
	if !mine.began.Before(c.asked) {
		c.keys, c.asked, c.expires = keys, mine.began, mine.began.Add(fresh)
		c.backoff, c.nextTry = 0, time.Time{}
	}
	if key := c.keys[kid]; key != nil {
		return key, nil
	}
	return nil, errUnknownKey
}

// fetch asks the issuer for its key set and for how long that is fresh.
func (c *keyCache) fetch(ctx context.Context) (keySet, time.Duration, error) {
	resp, err := c.upstream.Do(ctx, upstream.Request{
		Method: http.MethodGet,
		URL:    c.url,
		// A cache on the way could keep answering with the set from before a
		// rotation, which is when it matters.
		Header:   http.Header{"Accept": {"application/json"}, "Cache-Control": {"no-cache"}},
		Timeout:  fetchTime,
		MaxBytes: maxKeySetBytes,
	})
	if err != nil {
		return nil, 0, fmt.Errorf("key set: %w", err)
	}
	if resp.Status != http.StatusOK {
		return nil, 0, fmt.Errorf("key set: status %d", resp.Status)
	}
	keys, err := parseKeySet(resp.Body)
	if err != nil {
		return nil, 0, err
	}
	return keys, freshness(resp.Header), nil
}

// freshness reads max-age, in seconds (RFC 9111 section 5.2.2.1), within bounds.
func freshness(header http.Header) time.Duration {
	for _, value := range header.Values("Cache-Control") {
		for directive := range strings.SplitSeq(value, ",") {
			name, seconds, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			// More seconds than fit an int32 are more than maxFresh anyway.
			n, err := strconv.ParseInt(strings.Trim(seconds, `"`), 10, 32)
			switch {
			case errors.Is(err, strconv.ErrRange):
				return maxFresh
			case err == nil:
				return min(max(time.Duration(n)*time.Second, minFresh), maxFresh)
			}
		}
	}
	return defaultFresh
}
