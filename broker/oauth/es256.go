package oauth

import (
	"github.com/golang-jwt/jwt/v5"
)

// A Key is a public key of the issuer's for ES256.
type Key struct{ point [65]byte }

// Point is the key in uncompressed form, on the curve P-256 (SEC 1 section 2.3.3).
func (k *Key) Point() []byte { return k.point[:] }

// A HostVerifier is what a host registers with golang-jwt in place of ES256 to
// verify by its own means. VerifyES256 takes r || s over the SHA-256 of message.
// It returns jwt.ErrECDSAVerification for a signature that is wrong; an error that
// wraps jwt.ErrTokenUnverifiable says that it could not tell. It may be called
// concurrently, and may keep what it imports by the key's pointer.
//
// It is not the method Verify of jwt.SigningMethod: one call through that
// interface makes the linker keep the verifiers of every algorithm and curve,
// more than 100 KiB of the upload.
type HostVerifier interface {
	VerifyES256(message string, signature []byte, key *Key) error
}

// verify checks a signature (RFC 7518 section 3.4) with the HostVerifier that is
// registered for ES256, or natively with golang-jwt's own.
func (k *Key) verify(message string, signature []byte) error {
	verify := verifyNatively
	if host, ok := jwt.GetSigningMethod("ES256").(HostVerifier); ok {
		verify = host.VerifyES256
	}
	if err := verify(message, signature, k); err != nil {
		return errSignature{err}
	}
	return nil
}

// An errSignature is why a signature was not accepted.
type errSignature struct{ cause error }

func (e errSignature) Error() string   { return "signature: " + e.cause.Error() }
func (e errSignature) Unwrap() []error { return []error{jwt.ErrTokenSignatureInvalid, e.cause} }
