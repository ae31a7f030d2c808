package vouchtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

const (
	testClient   = "test-client"
	testRedirect = "https://client.example/callback"
	testVerifier = "a-verifier-of-more-than-forty-three-characters-0123"
	roleARN      = ststest.RoleARN
)

// clock is a server's clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start runs a stack for the test.
func start(t *testing.T, o vouchtest.Options) *vouchtest.Stack {
	t.Helper()
	s, err := vouchtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func startWithClient(t *testing.T, o vouchtest.Options) *vouchtest.Stack {
	t.Helper()
	s := start(t, o)
	if err := s.Vouch.AddClient(vouchtest.Client{ID: testClient, RedirectURIs: []string{testRedirect}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// reply is an answer read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

var browser = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func send(t *testing.T, r *http.Request) reply {
	t.Helper()
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func request(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func get(t *testing.T, url string, headers ...string) reply {
	t.Helper()
	return send(t, request(t, http.MethodGet, url, "", headers...))
}

func postForm(t *testing.T, url string, form url.Values, headers ...string) reply {
	t.Helper()
	headers = append(headers, "Content-Type", "application/x-www-form-urlencoded")
	return send(t, request(t, http.MethodPost, url, form.Encode(), headers...))
}

func postJSON(t *testing.T, url, body string, headers ...string) reply {
	t.Helper()
	headers = append(headers, "Content-Type", "application/json")
	return send(t, request(t, http.MethodPost, url, body, headers...))
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// decode reads the reply's JSON, numbers kept exact.
func (r reply) decode(t *testing.T) map[string]any {
	t.Helper()
	var members map[string]any
	decoder := json.NewDecoder(strings.NewReader(r.body))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		t.Fatalf("status %d, body %q: %v", r.status, r.body, err)
	}
	return members
}

// code returns the error code of either form of refusal.
func (r reply) code(t *testing.T) string {
	t.Helper()
	if !strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		return ""
	}
	var e struct{ Code, Error string }
	if err := json.Unmarshal([]byte(r.body), &e); err != nil {
		t.Fatalf("body %q: %v", r.body, err)
	}
	return e.Code + e.Error
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorization returns a good authorization request.
func authorization() url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {testClient}, "redirect_uri": {testRedirect},
		"state": {"s&t=1"}, "scope": {"openid email"}, "nonce": {"n1"},
		"code_challenge": {challengeOf(testVerifier)}, "code_challenge_method": {"S256"},
	}
}

// authorize makes an authorization request and returns what came back to the
// redirect URI.
func authorize(t *testing.T, s *vouchtest.Stack, q url.Values) url.Values {
	t.Helper()
	r := get(t, s.VouchURL+"/oauth/authorize?"+q.Encode())
	if r.status != http.StatusFound {
		t.Fatalf("status %d, body %q", r.status, r.body)
	}
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// redemption returns a good token request for a code.
func redemption(code string) url.Values {
	return url.Values{
		"grant_type": {"authorization_code"}, "client_id": {testClient}, "redirect_uri": {testRedirect},
		"code": {code}, "code_verifier": {testVerifier},
	}
}

// signIn runs the code flow and returns the token answer.
func signIn(t *testing.T, s *vouchtest.Stack, q url.Values) map[string]any {
	t.Helper()
	code := authorize(t, s, q).Get("code")
	r := postForm(t, s.VouchURL+"/oauth/token", redemption(code))
	if r.status != http.StatusOK {
		t.Fatalf("status %d, body %q", r.status, r.body)
	}
	return r.decode(t)
}

// payload returns the unverified claims of a JWT, or its header for part 0.
func payload(t *testing.T, token string, part int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%d parts in a token", len(parts))
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	return reply{body: string(text)}.decode(t)
}
