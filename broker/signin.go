package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// toolScopes are the scopes that the tools demand in sign-in mode.
var toolScopes = map[string]authserver.Scopes{
	"get-aws-credentials": authserver.ScopeAWS,
	"get-github-token":    authserver.ScopeGitHub,
	"get-ssh-certificate": authserver.ScopeSSH,
}

// authServer is the authorization server for one public URL.
func (b *Broker) authServer(resource string) *authserver.Server {
	origin := strings.TrimSuffix(resource, resourcePath)
	return &authserver.Server{
		Config: authserver.Config{
			Issuer: origin, Resource: resource, VouchIssuer: b.config.Issuer,
			AllowedRedirectURIs: b.config.AllowedRedirectURIs,
			Loopback:            strings.HasPrefix(origin, "http://"), // publicURL admits that on loopback only
			Now:                 b.env.Now,
		},
		Sealer:   &sealer{box: b.box(resource)},
		Vouch:    signer{b.signIn, b.verifier},
		Upstream: upstream.Client{Fetcher: b.env.Fetcher, Now: b.env.Now},
		Limiter:  b.env.Limiter,
		Log:      b.logSignIn,
	}
}

func (b *Broker) box(resource string) seal.Box {
	return seal.Box{
		Current: b.config.Key, Previous: b.config.PreviousKey,
		Issuer: strings.TrimSuffix(resource, resourcePath), VouchIssuer: b.config.Issuer, Resource: resource,
	}
}

var errMissingScope = errors.New("scope was not asked for")

// A sealer is a box as the authorization server wants it. It keeps the key that
// opened the last value: what that holds is bound to it.
type sealer struct {
	box    seal.Box
	opened *p256.Key
}

// Seal implements authserver.Sealer.
func (s *sealer) Seal(purpose string, expires time.Time, payload []byte) (string, error) {
	return s.box.Seal(seal.Purpose(purpose), expires, payload)
}

// Open implements authserver.Sealer.
func (s *sealer) Open(purpose, text string, now time.Time) (payload []byte, err error) {
	payload, s.opened, err = s.box.Open(seal.Purpose(purpose), text, now)
	return payload, err
}

// openAccessToken is sign-in mode's answer to who is calling: the person whom our
// own token names, and how to act for that person at Vouch.
func (b *Broker) openAccessToken(token secret.String, resource string) (visit, error) {
	s := &sealer{box: b.box(resource)}
	t, err := authserver.OpenAccessToken(s, token, b.env.Now())
	if err != nil {
		return visit{}, fmt.Errorf("%w: %w", oauth.ErrInvalidToken, err)
	}
	return visit{
		caller: oauth.Caller{Subject: t.Subject, Email: t.Email, ClientID: fmt.Sprintf("sha256:%x", t.ClientIDHash[:8]), Expires: t.Expires},
		auth:   vouch.Signed{Token: t.VouchToken, Key: s.opened, Source: agentName(t.ClientName), Now: b.env.Now},
		asked:  t.Asked, granted: t.Granted, clientName: t.ClientName,
	}, nil
}

// agentName is a client's name in the alphabet of STS's session tags, in which
// CloudTrail shows it.
func agentName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 128 && strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.:/=+-@", r) {
			return r
		}
		return -1
	}, name)
	if clean = strings.TrimSpace(clean); clean == "" {
		return "mcp-client"
	}
	return clean[:min(len(clean), 128)]
}

// missingScope is the challenge for scopes that the client never asked for (RFC
// 6750 section 3.1). It repeats those that the token has: some clients ask for
// what is challenged and nothing else. A scope that the person unticked is no
// reason to ask again; the tool says so.
func (b *Broker) missingScope(ctx context.Context, tools []string) string {
	at, _ := ctx.Value(visitKey{}).(visit)
	if at.auth == nil || !b.config.signsIn() {
		return ""
	}
	var needed authserver.Scopes
	for _, tool := range tools {
		needed |= toolScopes[tool]
	}
	if at.asked.Has(needed) {
		return ""
	}
	for _, tool := range tools { // calls that were refused are calls
		r := newRecord(b.env.Now(), at, tool, mcp.Call{})
		r.fail(failure{"the token lacks the scope of this tool", http.StatusForbidden, "refused"}, errMissingScope)
		b.log(r)
	}
	return oauth.Challenge{
		Error: "insufficient_scope", Description: "This tool needs a scope that was not asked for",
		ResourceMetadata: at.metadata, Scopes: (at.asked | needed).Names(),
	}.String()
}

// deadToken is the challenge for a token whose sign-in Vouch has ended.
func (b *Broker) deadToken(at visit, err error) string {
	var refusal *vouch.Error
	if !b.config.signsIn() || !errors.As(err, &refusal) || refusal.Status != http.StatusUnauthorized ||
		refusal.Code != "invalid_token" && refusal.Code != "unauthorized" {
		return ""
	}
	return oauth.Challenge{
		Error: "invalid_token", Description: "The sign-in at Vouch has ended",
		ResourceMetadata: at.metadata, Scopes: authserver.AllScopes.Names(),
	}.String()
}

// A signer signs people in at Vouch. It implements authserver.Vouch. It holds no
// Broker: the linker keeps whatever can be reached by reflection from a value in
// an interface, and from http.Request that is all of X.509.
type signer struct {
	client   *vouch.SignIn
	verifier *oauth.Verifier
}

// Push implements authserver.Vouch.
func (s signer) Push(ctx context.Context, p authserver.PushRequest) (string, error) {
	address, err := s.client.Push(ctx, vouch.PushRequest(p))
	return address, signInError(err)
}

// Redeem implements authserver.Vouch. It verifies the token before anything is
// built on it.
func (s signer) Redeem(ctx context.Context, code, verifier, redirectURI string) (authserver.Grant, error) {
	token, err := s.client.Redeem(ctx, code, verifier, redirectURI)
	if err != nil {
		return authserver.Grant{}, signInError(err)
	}
	person, err := s.verifier.VerifyOwn(ctx, token, s.client.ClientID, s.client.Key.Thumbprint())
	if err != nil {
		return authserver.Grant{}, err
	}
	return authserver.Grant{Token: token, Subject: person.Subject, Email: person.Email, Expires: person.Expires}, nil
}

// Revoke implements authserver.Vouch.
func (s signer) Revoke(ctx context.Context, token secret.String) error {
	return signInError(s.client.Revoke(ctx, token))
}

// signInError turns Vouch's refusals into those that the authorization server
// tells apart.
func signInError(err error) error {
	var refusal *vouch.Error
	switch {
	case !errors.As(err, &refusal):
		return err
	case refusal.Status == http.StatusTooManyRequests:
		return &authserver.WaitError{RetryAfter: refusal.RetryAfter}
	case refusal.Code == "invalid_grant":
		return authserver.ErrCodeUsed
	}
	return err
}

// logSignIn writes one line for each refusal, token and revocation.
func (b *Broker) logSignIn(e authserver.Event) {
	b.log(struct {
		Event      string    `json:"event"`
		Time       time.Time `json:"time"`
		Route      string    `json:"route"`
		Status     int       `json:"status"`
		Error      string    `json:"error,omitempty"`
		Reason     string    `json:"reason,omitempty"`
		ClientName string    `json:"client_name,omitempty"`
		ClientHost string    `json:"client_host,omitempty"`
		Subject    string    `json:"sub,omitempty"`
		Email      string    `json:"email,omitempty"`
		Granted    string    `json:"granted,omitempty"`
	}{"sign_in", b.env.Now().UTC(), e.Route, e.Status, e.Error, e.Reason, e.ClientName, e.ClientHost, e.Subject, e.Email, e.Granted.String()})
}
