//go:build js && wasm

package main

import (
	"errors"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/p256"
)

// webCryptoES256 verifies and signs ES256 (RFC 7518 section 3.4) with the host's
// WebCrypto: about a tenth of the time that P-256 takes in Wasm. All else about
// a token, the algorithm's place in the allow-list included, stays golang-jwt's.
type webCryptoES256 struct {
	keys map[any]hostKey // by the key that Go holds on to
	last int32           // number of a hostKey
}

// A hostKey is a key as JavaScript knows it: by a number, and when it has
// forgotten that, by its material, a point of the curve or a private JWK.
type hostKey struct {
	number   int32
	material string
}

// maxKeys bounds keys; a JWKS that rotates leaves old ones behind.
const maxKeys = 64

// VerifyES256 implements p256.ES256. It must be called from a request's
// own goroutine, which waits here.
func (m *webCryptoES256) VerifyES256(message string, signature []byte, key *p256.PublicKey) error {
	if len(signature) != 64 {
		return jwt.ErrECDSAVerification
	}
	k, known := m.keys[key]
	if !known {
		k = m.add(key, string(key.Point()))
	}
	o := program.call(func(call int32) { hostECDSA(call, k.number, k.material, view(signature), message) })
	switch {
	case o.failure != succeeded:
		return errors.Join(jwt.ErrTokenUnverifiable, errors.New("WebCrypto failed: "+o.head))
	case o.status != 1:
		return jwt.ErrECDSAVerification
	}
	return nil
}

// SignES256 implements p256.ES256. It must be called from a request's own
// goroutine, which waits here.
func (m *webCryptoES256) SignES256(message string, key *p256.Key) ([]byte, error) {
	k, known := m.keys[key]
	if !known {
		jwk, err := key.PrivateJWK()
		if err != nil {
			return nil, err
		}
		k = m.add(key, jwk.Reveal())
	}
	o := program.call(func(call int32) { hostECDSA(call, k.number, k.material, "", message) })
	if o.failure != succeeded {
		return nil, errors.New("WebCrypto failed to sign")
	}
	return o.body, nil
}

// add numbers a key. No number is given twice, so JavaScript never takes one key
// for another.
func (m *webCryptoES256) add(key any, material string) hostKey {
	if len(m.keys) >= maxKeys {
		clear(m.keys)
	}
	m.last++
	m.keys[key] = hostKey{m.last, material}
	return m.keys[key]
}
