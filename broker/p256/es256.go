package p256

// An ES256 makes and checks the signatures of RFC 7518 section 3.4: r || s over the
// SHA-256 of message. A host that has a faster one than Go's hands it in. It may be
// called concurrently, and may keep what it imports by the key's pointer.
//
// These are not the methods of jwt.SigningMethod: one call through that interface
// makes the linker keep every algorithm and curve, more than 100 KiB of the upload.
type ES256 interface {
	// VerifyES256 returns jwt.ErrECDSAVerification for a signature that is wrong; an
	// error that wraps jwt.ErrTokenUnverifiable says that it could not tell.
	VerifyES256(message string, signature []byte, key *PublicKey) error
	// SignES256 returns 64 bytes. Its error has no part of the key in its text.
	SignES256(message string, key *Key) ([]byte, error)
}

// OrNative returns es256, or Native for none.
func OrNative(es256 ES256) ES256 {
	if es256 == nil {
		return Native{}
	}
	return es256
}

// A PublicKey is a point of the curve P-256, of somebody else's key.
type PublicKey struct{ point [65]byte }

// NewPublicKey takes a point in uncompressed form (SEC 1 section 2.3.3). It must be
// on the curve.
func NewPublicKey(point [65]byte) *PublicKey { return &PublicKey{point} }

// Point is the key in uncompressed form.
func (k *PublicKey) Point() []byte { return k.point[:] }
