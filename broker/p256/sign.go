//go:build !js

package p256

import (
	"crypto/ecdsa"
	"crypto/elliptic"

	"github.com/golang-jwt/jwt/v5"
)

func signNatively(message string, key *Key) ([]byte, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), key.d[:])
	if err != nil {
		return nil, err
	}
	return jwt.SigningMethodES256.Sign(message, private)
}
