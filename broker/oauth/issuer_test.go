package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

const (
	testIssuer   = "https://vouch.example"
	testResource = "https://broker.example/mcp"
	testKid      = "vouch-oidc-1"
)

// A clock stands still until it is told to move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 17, 9, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// An issuer signs tokens and is the upstream.Fetcher that serves its keys.
type issuer struct {
	t     testing.TB
	clock *clock

	mu      sync.Mutex
	keys    map[string]*ecdsa.PrivateKey
	control string // the answer's Cache-Control
	fail    error
	answer  func() (*upstream.Response, error) // instead of the keys
	count   int
	hold    chan struct{} // fetches wait for its end, when not nil
	held    chan struct{} // receives one value for each fetch that waits
}

func newIssuer(t testing.TB, c *clock) *issuer {
	return &issuer{
		t: t, clock: c, control: "public, max-age=3600",
		keys: map[string]*ecdsa.PrivateKey{testKid: newKey(t)},
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (i *issuer) verifier(allowedClients ...string) *Verifier {
	return NewVerifier(VerifierConfig{
		Issuer:           testIssuer,
		AllowedClientIDs: allowedClients,
		Upstream:         upstream.Client{Fetcher: i, Now: i.clock.now},
		Now:              i.clock.now,
		ES256:            p256.Native{},
	})
}

// Fetch implements upstream.Fetcher.
func (i *issuer) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	if r.Method != http.MethodGet || r.URL != testIssuer+"/oauth/jwks" || r.Timeout <= 0 || r.Timeout > 5*time.Second || r.MaxBytes != 64<<10 {
		i.t.Errorf("odd request for the keys: %+v", r)
	}
	if ctx.Done() != nil {
		i.t.Error("the fetch ends with its client")
	}
	i.mu.Lock()
	i.count++
	hold, held := i.hold, i.held
	resp, err := i.respond()
	i.mu.Unlock()
	if hold != nil {
		held <- struct{}{}
		<-hold
	}
	return resp, err
}

func (i *issuer) respond() (*upstream.Response, error) {
	switch {
	case i.fail != nil:
		return nil, i.fail
	case i.answer != nil:
		return i.answer()
	}
	var entries []map[string]any
	for kid, key := range i.keys {
		entries = append(entries, jwk(i.t, kid, &key.PublicKey))
	}
	return &upstream.Response{
		Status: http.StatusOK,
		Header: http.Header{"Cache-Control": {i.control}},
		Body:   encodeJSON(i.t, map[string]any{"keys": entries}),
	}, nil
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) fetches() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count
}

// holdFetches makes fetches wait until release is called; each that waits shows
// in held. What they will answer is settled when they begin.
func (i *issuer) holdFetches() (held <-chan struct{}, release func()) {
	hold, waiting := make(chan struct{}), make(chan struct{}, 4096)
	i.set(func() { i.hold, i.held = hold, waiting })
	return waiting, func() {
		i.set(func() { i.hold = nil })
		close(hold)
	}
}

func jwk(t testing.TB, kid string, key *ecdsa.PublicKey) map[string]any {
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	size := (len(point) - 1) / 2
	return map[string]any{
		"kty": "EC", "crv": key.Curve.Params().Name, "alg": "ES256", "use": "sig", "kid": kid,
		"x": encode(point[1 : 1+size]), "y": encode(point[1+size:]),
	}
}

// A change sets members of a header or of claims; the value absent removes one.
type change map[string]any

type absentValue struct{}

var absent = absentValue{}

func (c change) apply(to map[string]any) map[string]any {
	to = maps.Clone(to)
	maps.Copy(to, c)
	maps.DeleteFunc(to, func(_ string, value any) bool { return value == absent })
	return to
}

func header() map[string]any {
	return map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": testKid}
}

// claims are those of a Vouch access token for testResource, issued now.
func (i *issuer) claims() map[string]any {
	now := i.clock.now().Unix()
	return map[string]any{
		"iss": testIssuer, "sub": "0190a2b4-user", "aud": testResource, "client_id": "0190a2b4-client",
		"iat": now, "nbf": now, "exp": now + 28800, "jti": "0190a2b4-token", "scope": "openid email",
		"email": "ada@example.com", "email_verified": true, "hardware_verified": true,
	}
}

// mint signs a token with the key that testKid names.
func (i *issuer) mint(head, body change) secret.String {
	return sign(i.t, i.keys[testKid], encodeJSON(i.t, head.apply(header())), encodeJSON(i.t, body.apply(i.claims())))
}

func sign(t testing.TB, key *ecdsa.PrivateKey, head, body []byte) secret.String {
	input := encode(head) + "." + encode(body)
	signature, err := jwt.SigningMethodES256.Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(input + "." + encode(signature))
}

func encode(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }

func encodeJSON(t testing.TB, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// outcome names what Verify returned, for comparing and counting.
func outcome(err error) string {
	var unavailable *UnavailableError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &unavailable):
		return fmt.Sprintf("unavailable %v", unavailable.RetryAfter)
	case errors.Is(err, ErrWrongAudience):
		return "audience"
	case errors.Is(err, ErrInvalidToken):
		return "invalid"
	}
	return "undeclared: " + err.Error()
}
