package vouch

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"mcp-credential-broker/broker/dpop"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// A SignIn is the broker as an OAuth client of Vouch, by which people sign in. It
// authenticates with private_key_jwt (RFC 7523) and asks for tokens bound to its
// key (RFC 9449). It may be used concurrently.
type SignIn struct {
	// Issuer is Vouch's base URL without a slash at the end.
	Issuer string
	// ClientID is what Vouch registered the broker as.
	ClientID string
	// Key is registered with it, and what the tokens are bound to.
	Key      *p256.Key
	Upstream upstream.Client

	mu      sync.Mutex // guards the nonce and is never held across I/O
	nonce   string
	nonceAt time.Time
}

// A PushRequest is an authorization request of the broker's.
type PushRequest struct {
	// State is at most 512 characters.
	State string
	// CodeChallenge is S256 of a verifier (RFC 7636).
	CodeChallenge string
	RedirectURI   string
}

// Push sends an authorization request to Vouch (RFC 9126) and returns the URL to
// send the browser to. It names no resource: a token narrowed to the broker could
// not be used at Vouch. It asks for the hardware key anew, whatever session the
// browser has there; whether that was heeded the token's auth_time tells.
//
// Errors: those of upstream.Client; *Error for a refusal; ErrMalformed.
func (s *SignIn) Push(ctx context.Context, p PushRequest) (string, error) {
	a, err := s.post(ctx, "/oauth/par", url.Values{
		"response_type":         {"code"},
		"scope":                 {"openid email"},
		"redirect_uri":          {p.RedirectURI},
		"state":                 {p.State},
		"code_challenge":        {p.CodeChallenge},
		"code_challenge_method": {"S256"},
		// Without both, a browser that signed in at Vouch earlier passes silently, and
		// a program that drives this browser signs itself in (OpenID Connect Core
		// section 3.1.2.1).
		"prompt":  {"login"},
		"max_age": {"0"},
	})
	if err != nil {
		return "", err
	}
	requestURI := a.token("request_uri")
	if a.err != nil {
		return "", a.err
	}
	q := url.Values{"client_id": {s.ClientID}, "request_uri": {requestURI.Reveal()}}
	return s.Issuer + "/oauth/authorize?" + q.Encode(), nil
}

// Redeem exchanges an authorization code for an access token. The token is as
// Vouch sent it: the caller verifies it, the binding to the key above all.
//
// Errors: those of upstream.Client; *Error for a refusal, its code invalid_grant
// when the code was used or is too old; ErrMalformed, also for a token that is
// not of the type DPoP.
func (s *SignIn) Redeem(ctx context.Context, code, verifier, redirectURI string) (secret.String, error) {
	a, err := s.post(ctx, "/oauth/token", url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {code},
		"code_verifier": {verifier},
		"redirect_uri":  {redirectURI},
	})
	if err != nil {
		return secret.String{}, err
	}
	token := a.token("access_token")
	if !strings.EqualFold(a.body.Member("token_type").Str, "DPoP") {
		a.fail("token_type")
	}
	return token, a.err
}

// Revoke ends a token's session at Vouch (RFC 7009). Vouch does not tell whether
// there was one.
//
// Errors: those of upstream.Client; *Error for a refusal.
func (s *SignIn) Revoke(ctx context.Context, token secret.String) error {
	_, err := s.send(ctx, "/oauth/revoke", url.Values{"token": {token.Reveal()}, "token_type_hint": {"access_token"}})
	return err
}

// post sends a form and reads the JSON of the answer to it.
func (s *SignIn) post(ctx context.Context, path string, form url.Values) (*answer, error) {
	resp, err := s.send(ctx, path, form)
	if err != nil {
		return nil, err
	}
	a := readAnswer(resp.Body)
	return a, a.err
}

// send posts a form with a client assertion and a DPoP proof. Vouch wants a nonce
// of its own in the proof and hands it out in a refusal, before it looks at the
// assertion; it is kept for its life, so that a sign-in costs two calls.
func (s *SignIn) send(ctx context.Context, path string, form url.Values) (*upstream.Response, error) {
	sent := s.currentNonce()
	resp, err := s.try(ctx, path, form, sent)
	if err == nil && resp.Status == http.StatusBadRequest && readError(resp, s.Upstream.Now()).Code == "use_dpop_nonce" {
		if fresh := s.currentNonce(); fresh != "" && fresh != sent {
			resp, err = s.try(ctx, path, form, fresh)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("calling vouch: %w", err)
	}
	if resp.Status < 200 || resp.Status > 299 {
		return nil, readError(resp, s.Upstream.Now())
	}
	return resp, nil
}

// try makes one attempt. Proof and assertion are new each time: Vouch takes
// neither twice.
func (s *SignIn) try(ctx context.Context, path string, form url.Values, nonce string) (*upstream.Response, error) {
	now := s.Upstream.Now()
	proof, err := dpop.Proof{Method: http.MethodPost, URL: s.Issuer + path, Nonce: nonce, Issued: now}.Sign(s.Key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	assertion, err := s.assertion(now)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	form.Set("client_id", s.ClientID)
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	resp, err := s.Upstream.Do(ctx, upstream.Request{
		Method: http.MethodPost,
		URL:    s.Issuer + path,
		Header: http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"},
			"Accept":       {"application/json"},
			"Dpop":         {proof},
		},
		Body:     []byte(form.Encode()),
		Timeout:  upstream.HopTime,
		MaxBytes: upstream.MaxAnswerBytes,
	})
	if err != nil {
		return nil, err
	}
	if fresh := dpop.Nonce(resp.Header); fresh != "" {
		s.keepNonce(fresh, now)
	}
	return resp, nil
}

// assertion authenticates the broker to Vouch, and to Vouch only: its audience is
// the issuer alone (docs/vouch.md 1.6).
func (s *SignIn) assertion(now time.Time) (string, error) {
	claims := struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}{s.ClientID, s.ClientID, s.Issuer, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()}
	return s.Key.JWS(p256.Header{Type: "JWT", KeyID: s.Key.Thumbprint()}, claims)
}

func (s *SignIn) currentNonce() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Upstream.Now().Sub(s.nonceAt) >= nonceLife {
		return ""
	}
	return s.nonce
}

func (s *SignIn) keepNonce(nonce string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nonce, s.nonceAt = nonce, now
}
