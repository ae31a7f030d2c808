//go:build js && wasm

package main

import (
	"crypto/ecdsa"
	"errors"
	"fmt"
	"syscall/js"

	"github.com/golang-jwt/jwt/v5"
)

// webCryptoES256 verifies ES256 (RFC 7518 section 3.4) with the host's WebCrypto:
// about a tenth of the time that P-256 takes in Wasm. All else about a token,
// the algorithm's place in the allow-list included, stays golang-jwt's.
type webCryptoES256 struct {
	*jwt.SigningMethodECDSA
	call   caller
	points map[*ecdsa.PublicKey]js.Value // uncompressed, by the key that a JWKS cache holds on to
}

// maxPoints bounds points; a JWKS that rotates leaves old keys behind.
const maxPoints = 64

// registerES256 makes golang-jwt use it, in this process: the one package state
// that the program changes, before it serves.
func registerES256(call caller) {
	method := &webCryptoES256{jwt.SigningMethodES256, call, map[*ecdsa.PublicKey]js.Value{}}
	jwt.RegisterSigningMethod(method.Alg(), func() jwt.SigningMethod { return method })
}

// Verify implements jwt.SigningMethod. key is an *ecdsa.PublicKey on P-256. It
// must be called from a request's own goroutine, which waits here.
func (m *webCryptoES256) Verify(signingString string, signature []byte, key any) error {
	public, ok := key.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("%w: ES256 takes an *ecdsa.PublicKey", jwt.ErrInvalidKeyType)
	}
	if len(signature) != 64 {
		return jwt.ErrECDSAVerification
	}
	point, ok := m.points[public]
	if !ok {
		raw, err := public.Bytes()
		if err != nil || len(raw) != 65 {
			return jwt.ErrInvalidKey
		}
		if len(m.points) >= maxPoints {
			clear(m.points)
		}
		point = bytesToJS(raw)
		m.points[public] = point
	}
	o := m.call(func(id int) {
		host().Call("verify", id, point, bytesToJS(signature), bytesToJS([]byte(signingString)))
	})
	switch {
	case o.failure != "":
		return errors.Join(jwt.ErrTokenUnverifiable, errors.New("WebCrypto failed: "+o.head))
	case o.status != 1:
		return jwt.ErrECDSAVerification
	}
	return nil
}
