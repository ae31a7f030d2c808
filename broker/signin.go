package broker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/grant"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// signInMode is for Vouch of today: the broker signs people in itself.
func (b *Broker) signInMode(client *vouch.SignIn, verifier *oauth.Verifier) mode {
	return mode{
		authenticate: func(_ context.Context, token secret.String, resource string) (grant.Caller, error) {
			return b.openAccessToken(token, resource)
		},
		challenge: func(resource string) oauth.Challenge {
			return oauth.Challenge{ResourceMetadata: metadataOf(resource), Scopes: authserver.AllScopes.Names()}
		},
		metadata: func(resource string) oauth.ProtectedResource {
			document := protectedResource(resource, originOf(resource))
			document.ScopesSupported = authserver.AllScopes.Names()
			return document
		},
		admits: func(resource string) *authserver.Server {
			return b.authServer(resource, signer{client, verifier})
		},
	}
}

// authServer is the authorization server for one public URL.
func (b *Broker) authServer(resource string, vouch authserver.Vouch) *authserver.Server {
	origin := originOf(resource)
	return &authserver.Server{
		Config: authserver.Config{
			Issuer: origin, Resource: resource, VouchIssuer: b.config.Issuer,
			AllowedRedirectHosts: b.config.AllowedRedirectHosts, AllowedRedirectURIs: b.config.AllowedRedirectURIs,
			AllowedEmails: b.config.AllowedEmails,
			Loopback:      strings.HasPrefix(origin, "http://"), // publicURL admits that on loopback only
			Now:           b.env.Now,
		},
		Sealer:    &sealer{box: b.box(resource)},
		Approvals: b.notary(resource),
		Vouch:     vouch,
		Upstream:  upstream.Client{Fetcher: b.env.Fetcher, Now: b.env.Now},
		Documents: &b.documents,
		Limiter:   b.env.Limiter,
		Log:       b.logSignIn,
	}
}

// notary makes and checks approvals for one public URL.
func (b *Broker) notary(resource string) approval.Notary {
	return approval.Notary{Box: b.box(resource)}
}

func (b *Broker) box(resource string) seal.Box {
	return seal.Box{
		Current: b.config.Key, Previous: b.config.PreviousKey,
		Issuer: originOf(resource), VouchIssuer: b.config.Issuer, Resource: resource,
	}
}

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
func (b *Broker) openAccessToken(token secret.String, resource string) (grant.Caller, error) {
	s := &sealer{box: b.box(resource)}
	t, err := b.tokens.Open(s, token, b.env.Now())
	if err != nil {
		return grant.Caller{}, fmt.Errorf("%w: %w", oauth.ErrInvalidToken, err)
	}
	if !authserver.Admits(b.config.AllowedEmails, t.Email, t.EmailVerified) { // off the list since the sign-in
		return grant.Caller{}, errNotAdmitted
	}
	notary := b.notary(resource)
	return grant.Caller{
		Subject: t.Subject, Email: t.Email, EmailVerified: t.EmailVerified, Expires: t.Expires, AuthTime: t.AuthTime, SignIn: t.SignIn,
		ClientID: fmt.Sprintf("sha256:%x", t.ClientIDHash[:8]), ClientName: t.ClientName, ClientHost: t.ClientHost, Clients: named(t.ClientHost, t.ClientName),
		Auth:      vouch.Signed{Token: t.VouchToken, Key: s.opened, Source: agentName(t.ClientName), Now: b.env.Now},
		Approvals: &notary, ClientIDHash: t.ClientIDHash,
		Asked: t.Asked, Granted: t.Granted,
	}, nil
}

// named leaves out empty names: a rule could mean them by no name.
func named(names ...string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}

// agentPrefix marks names that a client gave itself: without it one could call
// itself what an agent of Vouch's own is called.
const agentPrefix = "mcp/"

// agentName is a client's name in the alphabet of STS's session tags, in which
// CloudTrail shows it.
func agentName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < 128 && strings.ContainsRune(ascii.Alphanumeric+ascii.TagMarks, r) {
			return r
		}
		return -1
	}, name)
	if clean = strings.TrimSpace(clean); clean == "" {
		clean = "unnamed"
	}
	clean = agentPrefix + clean
	return clean[:min(len(clean), 128)]
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
		return authserver.Grant{Token: token}, signInError(err)
	}
	person, err := s.verifier.VerifyOwn(ctx, token, s.client.ClientID, s.client.Key.Thumbprint())
	return authserver.Grant{
		Token: token, Subject: person.Subject, Email: person.Email, EmailVerified: person.EmailVerified,
		Expires: person.Expires, AuthTime: person.AuthTime,
	}, err
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
	case refusal.Status == http.StatusTooManyRequests, refusal.Status >= http.StatusInternalServerError:
		return &authserver.WaitError{RetryAfter: refusal.RetryAfter, Failed: refusal.Status != http.StatusTooManyRequests}
	case refusal.Code == "invalid_grant":
		return authserver.ErrCodeUsed
	}
	return err
}

// logSignIn writes one line for each refusal, token, revocation and approval.
func (b *Broker) logSignIn(e authserver.Event) {
	if e.Route == authserver.RouteApprove || e.Route == authserver.RouteApproved {
		b.logApproval(e)
		return
	}
	b.log(struct {
		Event      string    `json:"event"`
		Time       time.Time `json:"time"`
		RequestID  string    `json:"request_id"`
		Route      string    `json:"route"`
		Status     int       `json:"status"`
		Error      string    `json:"error,omitempty"`
		Reason     string    `json:"reason,omitempty"`
		ClientID   string    `json:"client_id,omitempty"`
		ClientName string    `json:"client_name,omitempty"`
		ClientHost string    `json:"client_host,omitempty"`
		// RedirectHost is where access goes, or would have gone.
		RedirectHost string `json:"redirect_host,omitempty"`
		Subject      string `json:"sub,omitempty"`
		Email        string `json:"email,omitempty"`
		Granted      string `json:"granted,omitempty"`
		SignIn       string `json:"sign_in,omitempty"`
	}{"sign_in", b.env.Now().UTC(), e.RequestID, e.Route, e.Status, e.Error, e.Reason, e.ClientID, e.ClientName, e.ClientHost, e.RedirectHost, e.Subject, e.Email, e.Granted.String(), e.SignIn})
}

// logApproval writes one line for each approval, and for each that stopped.
func (b *Broker) logApproval(e authserver.Event) {
	decision := "deny"
	if e.ApprovedBy != "" {
		decision = "approved"
	}
	b.log(struct {
		Event     string    `json:"event"`
		Time      time.Time `json:"time"`
		RequestID string    `json:"request_id"`
		Route     string    `json:"route"`
		Status    int       `json:"status"`
		Decision  string    `json:"decision"`
		Error     string    `json:"error,omitempty"`
		Reason    string    `json:"reason,omitempty"`
		Rule      string    `json:"rule,omitempty"`
		Tool      string    `json:"tool,omitempty"`
		// Requester is the sub in whose name the client called.
		Requester  string `json:"requester,omitempty"`
		ClientID   string `json:"client_id,omitempty"`
		ClientName string `json:"client_name,omitempty"`
		ClientHost string `json:"client_host,omitempty"`
		// Subject and Email are of whoever touched the key, and ApprovedBy what the
		// rule calls them, as on the line of the call.
		Subject    string `json:"sub,omitempty"`
		Email      string `json:"email,omitempty"`
		ApprovedBy string `json:"approved_by,omitempty"`
	}{"approval", b.env.Now().UTC(), e.RequestID, e.Route, e.Status, decision, e.Error, e.Reason, e.Rule, e.Tool, e.Requester, e.ClientID, e.ClientName, e.ClientHost, e.Subject, e.Email, e.ApprovedBy})
}
