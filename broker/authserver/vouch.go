package authserver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"mcp-credential-broker/broker/secret"
)

// Vouch is the client of Vouch that signs people in: with our client id,
// private_key_jwt, DPoP and pushed authorization requests. Its methods may be
// called concurrently.
//
// Errors: *WaitError when Vouch has had too many requests or failed, those of
// package upstream when it could not be asked, those of package oauth for a token
// that was not accepted, and anything else for a refusal that only the operator
// can do something about. None has a secret in its text.
type Vouch interface {
	// Push sends an authorization request (RFC 9126) without resource, with the
	// scope "openid email", and returns the URL to send the browser to.
	Push(ctx context.Context, p PushRequest) (authorizeURL string, err error)
	// Redeem exchanges Vouch's code for a token and verifies it: signature,
	// audience, cnf and hardware_verified. It returns ErrCodeUsed when Vouch
	// does not, or no longer, know the code. A token beside an error is one that
	// was not accepted, and is to be revoked.
	Redeem(ctx context.Context, code, verifier, redirectURI string) (Grant, error)
	// Revoke revokes a token of Redeem (RFC 7009). A token that is dead already
	// is no error.
	Revoke(ctx context.Context, token secret.String) error
}

// A PushRequest is what differs between our authorization requests at Vouch.
type PushRequest struct {
	State         string // at most 64 characters
	CodeChallenge string // S256 (RFC 7636 section 4.2)
	RedirectURI   string // our callback
}

// A Grant is a token of Vouch that was verified.
type Grant struct {
	Token   secret.String // a JWT (RFC 9068)
	Subject string        // sub, never empty
	Email   string        // for display and audit; may be empty
	// EmailVerified says that Vouch calls Email verified.
	EmailVerified bool
	Expires       time.Time // exp
	// AuthTime is when the hardware key was used (auth_time); zero if Vouch does
	// not say.
	AuthTime time.Time
}

// Fresh reports whether the hardware key was used for a request that was pushed at
// that time, and not for an earlier one. An unknown time is none.
func Fresh(authTime, pushed time.Time) bool {
	return !authTime.IsZero() && !authTime.Before(pushed.Add(-maxAuthSkew))
}

// ErrCodeUsed says that Vouch answered invalid_grant: the code was used, has
// expired, or is not Vouch's.
var ErrCodeUsed = errors.New("vouch does not know the code, or no longer")

// A WaitError says that Vouch has had too many requests (status 429) or failed
// (500 and above), and that the same request may succeed later.
type WaitError struct {
	RetryAfter time.Duration // zero if Vouch named none
	Failed     bool
}

// Error implements error.
func (e *WaitError) Error() string {
	what := "has had too many requests"
	if e.Failed {
		what = "failed"
	}
	return fmt.Sprintf("vouch %s; wait %v", what, e.RetryAfter)
}
