package oauth

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrNoToken says that the request carries no bearer token: 401 with a
	// challenge that has no error code (RFC 6750 section 3.1).
	ErrNoToken = errors.New("no access token")
	// ErrInvalidRequest says that the request carries a token in a wrong way, or
	// more than one: 400 with the error code invalid_request.
	ErrInvalidRequest = errors.New("access token is not sent as it should be")
	// ErrInvalidToken says that the token does not hold: 401 with the error code
	// invalid_token. What wraps it gives the reason, in fixed words, for the log.
	ErrInvalidToken = errors.New("access token is invalid")
	// ErrWrongAudience is the ErrInvalidToken of a token that was issued for
	// another server, the commonest fault in a new installation.
	ErrWrongAudience error = reason("audience is not this server")
)

// A reason is an ErrInvalidToken. It is fixed text, so that nothing which came
// in a token, least of all the token, goes on into a log.
type reason string

func (r reason) Error() string { return ErrInvalidToken.Error() + ": " + string(r) }

// Is makes errors.Is(r, ErrInvalidToken) hold.
func (r reason) Is(target error) bool { return target == ErrInvalidToken }

// An UnavailableError says that the token could not be checked, for a cause that
// lies neither in it nor in its bearer: 503 with Retry-After. A 401 would send a
// person to sign in again for nothing.
type UnavailableError struct {
	// RetryAfter is the wait after which a new try makes sense, above zero.
	RetryAfter time.Duration
	// Err is the cause. It may be an error of package upstream or of a context.
	Err error
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("access token cannot be checked now: %v", e.Err)
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }
