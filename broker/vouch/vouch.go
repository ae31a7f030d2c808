// Package vouch calls a Vouch server: its credential API, with a relayed token or
// with one of the broker's own, and its OAuth endpoints, where the broker is a
// client that signs people in.
//
// It promises that nothing is handed out of an answer that is not whole, and
// that a certificate is for the key that was sent. It does not verify the tokens
// that it sends and receives.
package vouch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcp-credential-broker/broker/openssh"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// A Client calls the credential API.
type Client struct {
	// Issuer is Vouch's base URL without a slash at the end.
	Issuer   string
	Upstream upstream.Client
}

// An IDToken is an OIDC ID token for AWS. It is good for hours, for the one role
// that it names.
type IDToken struct {
	Token     secret.String
	ExpiresIn int // seconds
}

// AWSToken asks for an ID token for the role, GET /v1/credentials/aws/token. The
// role is required: without it the token would be good for every role that
// trusts Vouch.
//
// Errors: ErrRequest before anything is sent; those of upstream.Client; *Error
// for a refusal; ErrMalformed.
func (c Client) AWSToken(ctx context.Context, auth Authorization, roleARN string) (*IDToken, error) {
	if roleARN == "" {
		return nil, fmt.Errorf("%w: no role", ErrRequest)
	}
	path := "/v1/credentials/aws/token?role_arn=" + url.QueryEscape(roleARN)
	a, err := c.call(ctx, auth, upstream.Request{Method: http.MethodGet, URL: c.Issuer + path})
	if err != nil {
		return nil, err
	}
	issued := &IDToken{Token: a.token("id_token"), ExpiresIn: a.seconds("expires_in")}
	if a.err != nil {
		return nil, a.err
	}
	return issued, nil
}

// A GitHubRequest says what an installation token is for. Both fields may be
// left out.
type GitHubRequest struct {
	Owner string `json:"owner,omitempty"`
	// Repositories are bare names. Nil is every repository of the installation.
	Repositories []string `json:"repositories,omitempty"`
}

// An InstallationToken is a token of Vouch's GitHub App.
type InstallationToken struct {
	Token     secret.String
	ExpiresAt string // RFC 3339, as Vouch wrote it
	ExpiresIn int    // seconds
	// Permissions maps a scope to a level, e.g. "contents" to "write".
	Permissions map[string]string
	// Repositories are "owner/name"; nil when Vouch named none.
	Repositories []string
}

// GitHubToken asks for an installation token, POST /v1/credentials/github/token.
// It mints: let ctx outlive the caller who may hang up.
//
// Errors: ErrRequest and ErrRequestTooLarge before anything is sent; those of
// upstream.Client; *Error for a refusal; ErrMalformed.
func (c Client) GitHubToken(ctx context.Context, auth Authorization, req GitHubRequest) (*InstallationToken, error) {
	// The JSON would lack an empty list, and that asks for all of them.
	if req.Repositories != nil && len(req.Repositories) == 0 {
		return nil, fmt.Errorf("%w: empty list of repositories", ErrRequest)
	}
	a, err := c.post(ctx, auth, "/v1/credentials/github/token", req)
	if err != nil {
		return nil, err
	}
	issued := &InstallationToken{
		Token:       a.token("token"),
		ExpiresAt:   a.timestamp("expires_at"),
		ExpiresIn:   a.seconds("expires_in"),
		Permissions: a.codes("permissions"),
	}
	if a.body.Has("repositories") {
		issued.Repositories = a.list("repositories")
	}
	left := a.secondsUntil(issued.ExpiresAt, c.Upstream.Now())
	if issued.ExpiresIn == 0 {
		issued.ExpiresIn = left
	}
	switch {
	case !req.covers(issued.Repositories):
		a.fail("repositories")
	case issued.repeatsToken(): // these go into logs, and are outside of a seal
		a.fail("token in another place")
	}
	if a.err != nil {
		return nil, a.err
	}
	return issued, nil
}

// repeatsToken reports whether what is said of the token holds the token itself.
func (t *InstallationToken) repeatsToken() bool {
	token := t.Token.Reveal()
	for name, level := range t.Permissions {
		if strings.Contains(name, token) || strings.Contains(level, token) {
			return true
		}
	}
	return slices.ContainsFunc(t.Repositories, func(name string) bool { return strings.Contains(name, token) })
}

// covers reports whether a token that reaches these repositories, "owner/name" or
// bare, is no wider than asked for. No list is every repository of the
// installation. GitHub compares names without case.
func (req GitHubRequest) covers(issued []string) bool {
	if req.Repositories != nil && len(issued) == 0 {
		return false
	}
	return !slices.ContainsFunc(issued, func(repository string) bool {
		owner, name, found := strings.Cut(repository, "/")
		if !found {
			owner, name = req.Owner, repository
		}
		named := func(asked string) bool { return strings.EqualFold(asked, name) }
		notASCII := func(r rune) bool { return r > '~' } // EqualFold has a Kelvin sign for a K
		return strings.ContainsFunc(repository, notASCII) ||
			req.Owner != "" && !strings.EqualFold(owner, req.Owner) ||
			req.Repositories != nil && !slices.ContainsFunc(req.Repositories, named)
	})
}

// A Certificate is a signed SSH user certificate.
type Certificate struct {
	// Line is the certificate as Vouch wrote it, the content of a -cert.pub
	// file.
	Line            secret.String
	ValidForSeconds int
	Principals      []string
	// Serial uses all 64 bits: no float64 holds it.
	Serial uint64
}

// SSHCertificate asks for a certificate for the key, POST /v1/credentials/ssh.
// Only the key's canonical line is sent, without its comment. It mints: let ctx
// outlive the caller who may hang up.
//
// Errors: those of upstream.Client; *Error for a refusal; ErrMalformed, also
// when what came back is no user certificate for this very key.
func (c Client) SSHCertificate(ctx context.Context, auth Authorization, key *openssh.PublicKey) (*Certificate, error) {
	body := struct {
		PublicKey string `json:"public_key"`
	}{key.Line()}
	a, err := c.post(ctx, auth, "/v1/credentials/ssh", body)
	if err != nil {
		return nil, err
	}
	line := a.body.Member("certificate").Str
	issued := &Certificate{
		Line:            secret.New(line),
		ValidForSeconds: a.seconds("valid_for_seconds"),
		Principals:      a.list("principals"),
		Serial:          a.number("serial"),
	}
	if len(issued.Principals) == 0 {
		a.fail("principals")
	}
	if a.err != nil {
		return nil, a.err
	}
	if err := issued.check(key, c.Upstream.Now()); err != nil {
		return nil, err
	}
	return issued, nil
}

func (c Client) post(ctx context.Context, auth Authorization, path string, body any) (*answer, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if len(encoded) > maxRequestBytes {
		return nil, ErrRequestTooLarge
	}
	return c.call(ctx, auth, upstream.Request{
		Method: http.MethodPost,
		URL:    c.Issuer + path,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   encoded,
	})
}

// call sends r, authorized, and returns the answer to a success. A 401 that
// brings a nonce is answered once, with all nonces that it brought.
func (c Client) call(ctx context.Context, auth Authorization, r upstream.Request) (*answer, error) {
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Accept", "application/json")
	r.Timeout, r.MaxBytes = upstream.HopTime, upstream.MaxAnswerBytes
	retriable, err := auth.authorize(&r, nonces{})
	if err != nil {
		return nil, err
	}
	resp, err := c.Upstream.Do(ctx, r)
	if err == nil && retriable && resp.Status == http.StatusUnauthorized && noncesOf(resp.Header) != (nonces{}) {
		if _, err := auth.authorize(&r, noncesOf(resp.Header)); err != nil {
			return nil, err
		}
		resp, err = c.Upstream.Do(ctx, r)
	}
	if err != nil {
		return nil, fmt.Errorf("calling vouch: %w", err)
	}
	if resp.Status < 200 || resp.Status > 299 {
		return nil, readError(resp, c.Upstream.Now())
	}
	a := readAnswer(resp.Body)
	return a, a.err
}
