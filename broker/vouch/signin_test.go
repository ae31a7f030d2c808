package vouch_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

const (
	brokerID    = "0192f0c1-broker"
	callbackURI = "https://broker.example/oauth/callback"
	verifier    = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

// A world is a Vouch of today with the broker as its client.
type world struct {
	*vouchtest.Stack
	key    *p256.Key
	signIn *vouch.SignIn
	client vouch.Client
	tokens *oauth.Verifier
}

func newWorld(t *testing.T, o vouchtest.Options) *world {
	t.Helper()
	o.Version = vouchtest.Latest
	stack, err := vouchtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stack.Close() })
	key := p256test.Key()
	jwks, err := json.Marshal(map[string]any{"keys": []p256.JWK{key.PublishedJWK()}})
	if err != nil {
		t.Fatal(err)
	}
	err = stack.Vouch.AddClient(vouchtest.Client{ID: brokerID, RedirectURIs: []string{callbackURI}, JWKS: jwks})
	if err != nil {
		t.Fatal(err)
	}
	out := upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now}
	return &world{
		Stack: stack, key: key,
		signIn: &vouch.SignIn{Issuer: stack.VouchURL, ClientID: brokerID, Key: key, Upstream: out},
		client: vouch.Client{Issuer: stack.VouchURL, Upstream: out},
		tokens: oauth.NewVerifier(oauth.VerifierConfig{Issuer: stack.VouchURL, Upstream: out, Now: time.Now}),
	}
}

// code pushes a request and plays the person's browser, up to the callback.
func (w *world) code(t *testing.T) string {
	t.Helper()
	challenge := sha256.Sum256([]byte(verifier))
	address, err := w.signIn.Push(t.Context(), vouch.PushRequest{
		State: "a state", CodeChallenge: base64.RawURLEncoding.EncodeToString(challenge[:]), RedirectURI: callbackURI,
	})
	if err != nil {
		t.Fatal(err)
	}
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(back.String(), callbackURI+"?") {
		t.Fatalf("the browser ended at %q, status %d", back, resp.StatusCode)
	}
	q := back.Query()
	if q.Get("state") != "a state" || q.Get("iss") != w.VouchURL {
		t.Fatalf("answer %v", q)
	}
	return q.Get("code")
}

func (w *world) token(t *testing.T) secret.String {
	t.Helper()
	token, err := w.signIn.Redeem(t.Context(), w.code(t), verifier, callbackURI)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.tokens.VerifyOwn(t.Context(), token, brokerID, w.key.Thumbprint()); err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) signed(token secret.String) vouch.Signed {
	return vouch.Signed{Token: token, Key: w.key, Source: "claude-code/2.1", Now: time.Now}
}

// TestSignInAndCalls signs in and gets every credential from a Vouch that
// verifies all of it.
func TestSignInAndCalls(t *testing.T) {
	w := newWorld(t, vouchtest.Options{})
	auth := w.signed(w.token(t))
	if _, err := w.client.AWSToken(t.Context(), auth, ststest.RoleARN); err != nil {
		t.Errorf("AWS: %v", err)
	}
	if _, err := w.client.GitHubToken(t.Context(), auth, vouch.GitHubRequest{Owner: "acme", Repositories: []string{"web"}}); err != nil {
		t.Errorf("GitHub: %v", err)
	}
	key, _ := certified(t, nil)
	if _, err := w.client.SSHCertificate(t.Context(), auth, key); err != nil {
		t.Errorf("SSH: %v", err)
	}
}

// TestNonceIsKept: the first call of a sign-in learns the nonce, the later ones
// use it, so that a sign-in costs two calls of a tight budget.
func TestNonceIsKept(t *testing.T) {
	w := newWorld(t, vouchtest.Options{})
	w.token(t)
	par, token := w.Vouch.Count("/oauth/par"), w.Vouch.Count("/oauth/token")
	w.token(t)
	if w.Vouch.Count("/oauth/par") != par+1 || w.Vouch.Count("/oauth/token") != token+1 {
		t.Errorf("the second sign-in took %d and %d calls", w.Vouch.Count("/oauth/par")-par, w.Vouch.Count("/oauth/token")-token)
	}
}

func TestCodeIsUsedOnce(t *testing.T) {
	w := newWorld(t, vouchtest.Options{})
	code := w.code(t)
	if _, err := w.signIn.Redeem(t.Context(), code, verifier, callbackURI); err != nil {
		t.Fatal(err)
	}
	_, err := w.signIn.Redeem(t.Context(), code, verifier, callbackURI)
	var refusal *vouch.Error
	if !errors.As(err, &refusal) || refusal.Code != "invalid_grant" {
		t.Errorf("a code was used twice: %v", err)
	}
}

// TestStolenTokenIsOfNoUse: a token is worth nothing without the broker's key.
func TestStolenTokenIsOfNoUse(t *testing.T) {
	w := newWorld(t, vouchtest.Options{})
	token := w.token(t)
	for name, auth := range map[string]vouch.Authorization{
		"as a bearer token": vouch.Bearer{Token: token},
		"with another key":  vouch.Signed{Token: token, Key: p256test.Key(), Now: time.Now},
	} {
		var refusal *vouch.Error
		_, err := w.client.AWSToken(context.Background(), auth, ststest.RoleARN)
		if !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRevoke(t *testing.T) {
	w := newWorld(t, vouchtest.Options{})
	token := w.token(t)
	if err := w.signIn.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	_, err := w.client.AWSToken(t.Context(), w.signed(token), ststest.RoleARN)
	var refusal *vouch.Error
	if !errors.As(err, &refusal) || refusal.Code != "invalid_token" {
		t.Errorf("a revoked token: %v", err)
	}
}

// TestClockIsOff: a signature out of its time is refused as a signature, which
// is the operator's to mend and no reason to sign in again.
func TestClockIsOff(t *testing.T) {
	w := newWorld(t, vouchtest.Options{})
	auth := w.signed(w.token(t))
	auth.Now = func() time.Time { return time.Now().Add(-10 * time.Minute) }
	_, err := w.client.AWSToken(t.Context(), auth, ststest.RoleARN)
	var refusal *vouch.Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized || refusal.Code == "invalid_token" {
		t.Errorf("got %v", err)
	}
}
