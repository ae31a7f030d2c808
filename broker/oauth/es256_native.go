//go:build !js

package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"

	"github.com/golang-jwt/jwt/v5"
)

func verifyNatively(message string, signature []byte, key *Key) error {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Point())
	if err != nil {
		return err
	}
	return jwt.SigningMethodES256.Verify(message, signature, public)
}
