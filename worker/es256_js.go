//go:build js && wasm

package main

import (
	"errors"
	"syscall/js"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256"
)

// webCryptoES256 verifies and signs ES256 (RFC 7518 section 3.4) with the host's
// WebCrypto: about a tenth of the time that P-256 takes in Wasm. All else about
// a token, the algorithm's place in the allow-list included, stays golang-jwt's.
type webCryptoES256 struct {
	*jwt.SigningMethodECDSA
	call caller
	keys map[any]js.Value // what JavaScript imports, by the key that Go holds on to
}

// maxKeys bounds keys; a JWKS that rotates leaves old ones behind.
const maxKeys = 64

// registerES256 makes golang-jwt use it, in this process: the one package state
// that the program changes, before it serves.
func registerES256(call caller) {
	method := &webCryptoES256{jwt.SigningMethodES256, call, map[any]js.Value{}}
	jwt.RegisterSigningMethod(method.Alg(), func() jwt.SigningMethod { return method })
}

// VerifyES256 implements oauth.HostVerifier. It must be called from a request's
// own goroutine, which waits here.
func (m *webCryptoES256) VerifyES256(message string, signature []byte, key *oauth.Key) error {
	if len(signature) != 64 {
		return jwt.ErrECDSAVerification
	}
	point, err := m.material(key, func() (js.Value, error) { return bytesToJS(key.Point()), nil })
	if err != nil {
		return err
	}
	o := m.call(func(id int) {
		host().Call("ecdsa", id, "verify", point, bytesToJS(signature), bytesToJS([]byte(message)))
	})
	switch {
	case o.failure != "":
		return errors.Join(jwt.ErrTokenUnverifiable, errors.New("WebCrypto failed: "+o.head))
	case o.status != 1:
		return jwt.ErrECDSAVerification
	}
	return nil
}

// SignES256 implements p256.HostSigner. It must be called from a request's own
// goroutine, which waits here.
func (m *webCryptoES256) SignES256(message string, key *p256.Key) ([]byte, error) {
	jwk, err := m.material(key, func() (js.Value, error) {
		text, err := key.PrivateJWK()
		if err != nil {
			return js.Value{}, err
		}
		return js.Global().Get("JSON").Call("parse", text.Reveal()), nil
	})
	if err != nil {
		return nil, err
	}
	o := m.call(func(id int) {
		host().Call("ecdsa", id, "sign", jwk, bytesToJS([]byte(message)))
	})
	if o.failure != "" {
		return nil, errors.New("WebCrypto failed to sign")
	}
	return o.body, nil
}

// material returns what JavaScript imports for key, made once.
func (m *webCryptoES256) material(key any, make func() (js.Value, error)) (js.Value, error) {
	if v, ok := m.keys[key]; ok {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return js.Value{}, err
	}
	if len(m.keys) >= maxKeys {
		clear(m.keys)
	}
	m.keys[key] = v
	return v, nil
}
