package oauth

import "github.com/golang-jwt/jwt/v5"

// An errSignature is why a signature was not accepted.
type errSignature struct{ cause error }

func (e errSignature) Error() string   { return "signature: " + e.cause.Error() }
func (e errSignature) Unwrap() []error { return []error{jwt.ErrTokenSignatureInvalid, e.cause} }
