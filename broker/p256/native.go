//go:build !js

package p256

import (
	"crypto/ecdsa"
	"crypto/elliptic"

	"github.com/golang-jwt/jwt/v5"
)

// Native is ES256 in Go.
type Native struct{}

// VerifyES256 implements ES256.
func (Native) VerifyES256(message string, signature []byte, key *PublicKey) error {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Point())
	if err != nil {
		return err
	}
	return jwt.SigningMethodES256.Verify(message, signature, public)
}

// SignES256 implements ES256.
func (Native) SignES256(message string, key *Key) ([]byte, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), key.d[:])
	if err != nil {
		return nil, err
	}
	return jwt.SigningMethodES256.Sign(message, private)
}
