package authserver_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/secret"
)

// fakeVouch is a Vouch that holds each party to the protocol. Its authorize
// page approves at once.
type fakeVouch struct {
	t        *testing.T
	url      string
	callback string
	now      func() time.Time

	mu        sync.Mutex
	pushed    map[string]authserver.PushRequest // by state
	seen      map[string]bool                   // challenges
	codes     map[string]authserver.PushRequest
	used      map[string]bool
	revoked   []string
	redeems   int
	fail      error      // of the next call
	answer    url.Values // of the authorize page, instead of approval
	claims    map[string]any
	tokenSize int

	authShift   time.Duration // from the moment of the redemption to the use of the key
	unverified  bool          // the e-mail
	revokeFails error
	refused     error  // what the token fails that was issued
	redeemed    func() // is called at the end of each redemption
}

func (v *fakeVouch) take() error {
	err := v.fail
	v.fail = nil
	return err
}

func (v *fakeVouch) Push(_ context.Context, p authserver.PushRequest) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.take(); err != nil {
		return "", err
	}
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(p.CodeChallenge)
	if err != nil || len(challenge) != 32 {
		v.t.Errorf("pushed the challenge %q, which is no SHA-256", p.CodeChallenge)
	}
	if p.RedirectURI != v.callback {
		v.t.Errorf("pushed the redirect URI %q, want %q", p.RedirectURI, v.callback)
	}
	if n := len(p.State); n < 22 || n > 64 {
		v.t.Errorf("pushed a state of %d characters: %q", n, p.State)
	}
	if v.pushed[p.State].State != "" || v.seen[p.CodeChallenge] {
		v.t.Errorf("pushed a state or a challenge for the second time: %+v", p)
	}
	v.pushed[p.State], v.seen[p.CodeChallenge] = p, true
	return v.url + "/oauth/authorize?request_uri=" + p.State, nil
}

// ServeHTTP is the authorize page.
func (v *fakeVouch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p, ok := v.pushed[r.URL.Query().Get("request_uri")]
	if !ok {
		http.Error(w, "unknown request_uri", http.StatusBadRequest)
		return
	}
	answer := v.answer
	if answer == nil {
		code := rand.Text()
		v.codes[code] = p
		answer = url.Values{"code": {code}, "iss": {v.url}}
	}
	answer.Set("state", p.State)
	http.Redirect(w, r, p.RedirectURI+"?"+answer.Encode(), http.StatusFound)
}

func (v *fakeVouch) Redeem(_ context.Context, code, verifier, redirectURI string) (authserver.Grant, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.redeems++
	if err := v.take(); err != nil {
		return authserver.Grant{}, err
	}
	p, ok := v.codes[code]
	sum := sha256.Sum256([]byte(verifier))
	if !ok || v.used[code] || redirectURI != p.RedirectURI || base64.RawURLEncoding.EncodeToString(sum[:]) != p.CodeChallenge {
		return authserver.Grant{}, authserver.ErrCodeUsed
	}
	v.used[code] = true
	if v.redeemed != nil {
		v.redeemed()
	}
	return v.grant(), v.refused
}

func (v *fakeVouch) grant() authserver.Grant {
	expires := time.Unix(v.now().Add(8*time.Hour).Unix(), 0)
	claims := map[string]any{"sub": "7c0ffee7", "email": "ada@example.com", "email_verified": true, "exp": expires.Unix(), "jti": rand.Text()}
	for name, value := range v.claims {
		claims[name] = value
	}
	claims["filler"] = strings.Repeat("x", v.tokenSize)
	return authserver.Grant{
		Token: secret.New(jwt(claims)), Subject: "7c0ffee7", Email: "ada@example.com", EmailVerified: !v.unverified,
		Expires: expires, AuthTime: v.now().Add(v.authShift),
	}
}

func (v *fakeVouch) Revoke(ctx context.Context, token secret.String) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := ctx.Err(); err != nil { // nothing is sent for whoever has gone
		return err
	}
	v.revoked = append(v.revoked, token.Reveal())
	if v.revokeFails != nil {
		return v.revokeFails
	}
	return v.take()
}

// jwt has the form of a token of Vouch, without a real signature.
func jwt(claims map[string]any) string {
	body, _ := json.Marshal(claims)
	part := base64.RawURLEncoding.EncodeToString
	signature := make([]byte, 64)
	_, _ = rand.Read(signature)
	return part([]byte(`{"typ":"at+jwt","alg":"ES256","kid":"vouch-oidc-1"}`)) + "." + part(body) + "." + part(signature)
}
