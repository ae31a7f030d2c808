package oauth

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// verify names the outcome of one token.
func verify(v *Verifier, token secret.String) string {
	_, err := v.Verify(context.Background(), token, testResource)
	return outcome(err)
}

// expect verifies token and checks the outcome and the fetches that it made.
func expect(t *testing.T, i *issuer, v *Verifier, token secret.String, want string, fetches int) {
	t.Helper()
	before := i.fetches()
	if got := verify(v, token); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if made := i.fetches() - before; made != fetches {
		t.Errorf("%d fetches, want %d", made, fetches)
	}
}

// warm returns an issuer and a verifier that has its keys.
func warm(t *testing.T) (*issuer, *Verifier) {
	t.Helper()
	i := newIssuer(t, newClock())
	v := i.verifier()
	expect(t, i, v, i.mint(nil, nil), "ok", 1)
	return i, v
}

// rotate replaces the issuer's key by one with another kid and returns a
// function that mints with the new one.
func (i *issuer) rotate(kid string) func() secret.String {
	key := newKey(i.t)
	i.set(func() { i.keys = map[string]*ecdsa.PrivateKey{kid: key} })
	return func() secret.String {
		return sign(i.t, key, encodeJSON(i.t, change{"kid": kid}.apply(header())), encodeJSON(i.t, i.claims()))
	}
}

func TestKeysAreFetchedOncePerMaxAge(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	for range 100 {
		expect(t, i, v, token, "ok", 0)
	}
	i.clock.advance(time.Hour - time.Second)
	expect(t, i, v, token, "ok", 0)
	i.clock.advance(time.Second)
	expect(t, i, v, token, "ok", 1)
	expect(t, i, v, token, "ok", 0)
}

func TestExpiredKeysServeWhileOneRequestRenewsThem(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	i.clock.advance(time.Hour)
	held, release := i.holdFetches()
	renewed := make(chan string)
	go func() { renewed <- verify(v, token) }()
	<-held
	for range 100 {
		expect(t, i, v, token, "ok", 0) // a request that waited would wait for ever
	}
	fresh := i.mint(change{"kid": "unknown"}, nil)
	expect(t, i, v, fresh, "unavailable 1s", 0)
	release()
	if got := <-renewed; got != "ok" {
		t.Errorf("the request that renews: %s", got)
	}
	expect(t, i, v, token, "ok", 0)
}

func TestUnknownKidsCauseFewFetches(t *testing.T) {
	i, v := warm(t)
	good := i.mint(nil, nil)
	forged := func(n int) secret.String { return i.mint(change{"kid": fmt.Sprint("forged-", n)}, nil) }
	expect(t, i, v, forged(0), "invalid", 1) // its own fetch shows that the kid does not exist
	for n := range 1000 {
		expect(t, i, v, forged(n), "unavailable 10s", 0)
	}
	expect(t, i, v, good, "ok", 0)

	before := i.fetches()
	for n := range 600 {
		i.clock.advance(100 * time.Millisecond)
		verify(v, forged(n))
	}
	if n := i.fetches() - before; n != 6 {
		t.Errorf("%d fetches in a minute of forged tokens, want 6", n)
	}
}

func TestUnknownKidsAtOnceCauseOneFetch(t *testing.T) {
	i, v := warm(t)
	held, release := i.holdFetches()
	outcomes := make(chan string, 1000)
	tokens := make([]secret.String, cap(outcomes))
	for n := range tokens {
		tokens[n] = i.mint(change{"kid": fmt.Sprint("forged-", n)}, nil)
	}
	for _, token := range tokens {
		go func() { outcomes <- verify(v, token) }()
	}
	<-held
	count := map[string]int{}
	for range len(tokens) - 1 {
		count[<-outcomes]++
	}
	release()
	count[<-outcomes]++
	if n := i.fetches(); n != 2 || count["invalid"] != 1 || count["unavailable 1s"] != len(tokens)-1 {
		t.Errorf("%d fetches, outcomes %v", n, count)
	}
}

func TestRotation(t *testing.T) {
	i, v := warm(t)
	old := i.mint(nil, nil)
	i.clock.advance(10 * time.Minute)
	mint := i.rotate("vouch-oidc-2")
	expect(t, i, v, old, "ok", 0) // until the set expires
	expect(t, i, v, mint(), "ok", 1)
	// The new set was asked for after the old token was issued: no fetch is due,
	// however many such tokens there are, and each bearer is sent to sign in.
	for range 100 {
		expect(t, i, v, old, "invalid", 0)
	}
	expect(t, i, v, mint(), "ok", 0)
}

func TestRotationDuringTheCoolDown(t *testing.T) {
	i, v := warm(t)
	expect(t, i, v, i.mint(change{"kid": "forged"}, nil), "invalid", 1)
	mint := i.rotate("vouch-oidc-2")
	i.clock.advance(4 * time.Second)
	expect(t, i, v, mint(), "unavailable 6s", 0) // not a 401: the token is good
	i.clock.advance(6 * time.Second)
	expect(t, i, v, mint(), "ok", 1)
}

func TestAnOldTokenWithAnUnknownKidIsRefusedAtOnce(t *testing.T) {
	i, v := warm(t)
	issued := func(ago int64) secret.String {
		at := i.clock.now().Unix() - ago
		return i.mint(change{"kid": "unknown"}, change{"iat": at, "nbf": at})
	}
	expect(t, i, v, issued(61), "invalid", 0)
	expect(t, i, v, issued(60), "invalid", 1) // within the skew of clocks: asks
}

func TestKeyThatIsWithdrawn(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	i.rotate("vouch-oidc-2")
	i.clock.advance(time.Hour)
	expect(t, i, v, token, "invalid", 1)
	expect(t, i, v, token, "invalid", 0)
}

func TestOutage(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	i.set(func() { i.fail = upstream.ErrTimeout })
	i.clock.advance(time.Hour)
	expect(t, i, v, token, "ok", 1)
	expect(t, i, v, token, "ok", 0) // backs off
	i.clock.advance(time.Hour - time.Second)
	expect(t, i, v, token, "ok", 1)
	i.clock.advance(time.Second)
	expect(t, i, v, token, "unavailable 1s", 0) // the rest of two seconds' backing off
	i.clock.advance(time.Second)
	for _, wait := range []int{4, 8, 16, 30, 30} {
		_, err := v.Verify(context.Background(), token, testResource)
		if got, want := outcome(err), fmt.Sprintf("unavailable %ds", wait); got != want || !errors.Is(err, upstream.ErrTimeout) {
			t.Errorf("got %s (%v), want %s", got, err, want)
		}
		expect(t, i, v, token, fmt.Sprintf("unavailable %ds", wait), 0)
		i.clock.advance(time.Duration(wait) * time.Second)
	}
	i.set(func() { i.fail = nil })
	expect(t, i, v, token, "ok", 1)
	expect(t, i, v, token, "ok", 0)
	// A later failure starts from the shortest wait again.
	i.set(func() { i.fail = upstream.ErrTimeout })
	i.clock.advance(2 * time.Hour)
	expect(t, i, v, token, "unavailable 1s", 1)
}

func TestUnusableAnswersDoNotReplaceKeys(t *testing.T) {
	status := func(status int, body string) func() (*upstream.Response, error) {
		return func() (*upstream.Response, error) {
			return &upstream.Response{Status: status, Header: http.Header{}, Body: []byte(body)}, nil
		}
	}
	i, _ := warm(t)
	good, err := i.respond()
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]func() (*upstream.Response, error){
		"not found":    status(http.StatusNotFound, string(good.Body)),
		"failure":      status(http.StatusInternalServerError, string(good.Body)),
		"created":      status(http.StatusCreated, string(good.Body)),
		"not modified": status(http.StatusNotModified, ""),
		"redirect":     status(http.StatusFound, string(good.Body)),
		"empty":        status(http.StatusOK, ""),
		"HTML":         status(http.StatusOK, "<html>"),
		"no keys":      status(http.StatusOK, `{"keys":[]}`),
		"too large":    func() (*upstream.Response, error) { return nil, upstream.ErrTooLarge },
		"unreachable":  func() (*upstream.Response, error) { return nil, upstream.ErrUnreachable },
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			i, v := warm(t)
			i.set(func() { i.answer = answer })
			i.clock.advance(time.Hour)
			expect(t, i, v, i.mint(nil, nil), "ok", 1)
			expect(t, i, v, i.mint(change{"kid": "unknown"}, nil), "unavailable 1s", 0)
			expect(t, i, i.verifier(), i.mint(nil, nil), "unavailable 1s", 1)
		})
	}
}

func TestRefresherThatNeverComesBack(t *testing.T) {
	i, v := warm(t)
	old := i.mint(nil, nil)
	i.clock.advance(time.Hour)
	held, release := i.holdFetches()
	lost := make(chan string)
	go func() { lost <- verify(v, old) }()
	<-held

	mint := i.rotate("vouch-oidc-2") // after the lost fetch got its answer
	i.clock.advance(6*time.Second - 1)
	expect(t, i, v, old, "ok", 0)
	i.set(func() { i.hold = nil })
	i.clock.advance(1)
	expect(t, i, v, mint(), "ok", 1)

	// It comes back after all, with keys from before the rotation.
	release()
	if got := <-lost; got != "invalid" {
		t.Errorf("the lost request: %s", got)
	}
	expect(t, i, v, mint(), "ok", 0)
	expect(t, i, v, old, "invalid", 0)
}

func TestColdStart(t *testing.T) {
	tests := []struct{ requests, fetches int }{{1, 1}, {200, 200}, {1000, maxColdFetches}}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.requests), func(t *testing.T) {
			i := newIssuer(t, newClock())
			v := i.verifier()
			token := i.mint(nil, nil)
			held, release := i.holdFetches()
			outcomes := make(chan string, test.requests)
			for range test.requests {
				go func() { outcomes <- verify(v, token) }()
			}
			for range test.fetches {
				<-held
			}
			count := map[string]int{}
			for range test.requests - test.fetches {
				count[<-outcomes]++
			}
			release()
			for range test.fetches {
				count[<-outcomes]++
			}
			if i.fetches() != test.fetches || count["ok"] != test.fetches || count["unavailable 1s"] != test.requests-test.fetches {
				t.Errorf("%d fetches, outcomes %v", i.fetches(), count)
			}
			expect(t, i, v, token, "ok", 0)
		})
	}
}

func TestFetchesThatFailTogetherCountOnce(t *testing.T) {
	i := newIssuer(t, newClock())
	i.set(func() { i.fail = upstream.ErrUnreachable })
	v := i.verifier()
	token := i.mint(nil, nil)
	held, release := i.holdFetches()
	outcomes := make(chan string)
	for range 50 {
		go func() { outcomes <- verify(v, token) }()
	}
	for range 50 {
		<-held
	}
	release()
	for range 50 {
		if got := <-outcomes; got != "unavailable 1s" {
			t.Errorf("got %s", got)
		}
	}
	i.set(func() { i.fail = nil })
	expect(t, i, v, token, "unavailable 1s", 0)
	i.clock.advance(time.Second)
	expect(t, i, v, token, "ok", 1)
}

func TestClientThatIsGoneStartsNoFetch(t *testing.T) {
	i := newIssuer(t, newClock())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := i.verifier().Verify(ctx, i.mint(nil, nil), testResource)
	if outcome(err) != "unavailable 1s" || !errors.Is(err, context.Canceled) || i.fetches() != 0 {
		t.Errorf("got %v after %d fetches", err, i.fetches())
	}
}

func TestFetchDoesNotEndWithItsClient(t *testing.T) {
	i := newIssuer(t, newClock())
	v := i.verifier()
	token := i.mint(nil, nil)
	ctx, cancel := context.WithCancel(context.Background())
	held, release := i.holdFetches()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = v.Verify(ctx, token, testResource)
	}()
	<-held
	cancel()
	release()
	<-done
	expect(t, i, v, token, "ok", 0)
}

func TestCallWithoutTimeLeftMakesNobodyWait(t *testing.T) {
	i := newIssuer(t, newClock())
	v := i.verifier()
	token := i.mint(nil, nil)
	ctx := upstream.WithDeadline(context.Background(), i.clock.now().Add(time.Second))
	_, err := v.Verify(ctx, token, testResource)
	if outcome(err) != "unavailable 1s" || !errors.Is(err, upstream.ErrNoTime) || i.fetches() != 0 {
		t.Errorf("got %v after %d fetches", err, i.fetches())
	}
	expect(t, i, v, token, "ok", 1)
}

// Everything at once, for the race detector: no outcome but the declared ones,
// and never a forged token that passes.
func TestConcurrentUse(t *testing.T) {
	i := newIssuer(t, newClock())
	v := i.verifier()
	var running sync.WaitGroup
	good, forged := i.mint(nil, nil), sign(t, newKey(t), encodeJSON(t, header()), encodeJSON(t, i.claims()))
	for n := range 8 {
		unknown := i.mint(change{"kid": fmt.Sprint("forged-", n)}, nil)
		running.Go(func() {
			for range 50 {
				for _, use := range []struct {
					token   secret.String
					allowed []string
				}{{good, []string{"ok"}}, {forged, []string{"invalid"}}, {unknown, []string{"invalid", "unavailable"}}} {
					got, _, _ := strings.Cut(verify(v, use.token), " ")
					if !slices.Contains(use.allowed, got) {
						t.Errorf("got %s, want one of %q", got, use.allowed)
					}
				}
				i.clock.advance(40 * time.Second) // in all, several times max-age
			}
		})
	}
	running.Wait()
}
