package vouchtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

const rsaBits = 3072

// sharedRSA makes the one RSA key of the process at its first use. Making one takes
// a good part of a second, so that a test with a server for each case would do
// little else. EC keys are never shared.
var sharedRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, rsaBits) })

// signingKeys are a server's keys besides the shared one.
type signingKeys struct {
	ec    *ecdsa.PrivateKey
	ecID  string
	alien *ecdsa.PrivateKey // never published; see Flaws.ForeignKey
}

func newSigningKeys() (*signingKeys, error) {
	k := &signingKeys{}
	for _, to := range []**ecdsa.PrivateKey{&k.ec, &k.alien} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("EC key: %w", err)
		}
		*to = key
	}
	var err error
	k.ecID, err = keyID(&k.ec.PublicKey)
	return k, err
}

func keyID(public any) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("key id: %w", err)
	}
	sum := sha256.Sum256(der)
	return "vouch-oidc-" + hex.EncodeToString(sum[:8]), nil
}

// jwk is a public key of RFC 7517.
type jwk struct {
	Type      string `json:"kty"`
	Algorithm string `json:"alg"`
	Use       string `json:"use"`
	ID        string `json:"kid"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	N         string `json:"n,omitempty"`
	E         string `json:"e,omitempty"`
}

// jwks returns the public keys in Vouch's order.
func (k *signingKeys) jwks() ([]jwk, error) {
	point, err := k.ec.PublicKey.Bytes()
	if err != nil {
		return nil, fmt.Errorf("EC key: %w", err)
	}
	key, id, err := rsaKey()
	if err != nil {
		return nil, err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return []jwk{{
		Type: "RSA", Algorithm: "RS256", Use: "sig", ID: id,
		N: b64(key.N.Bytes()), E: b64(big.NewInt(int64(key.E)).Bytes()),
	}, {
		Type: "EC", Algorithm: "ES256", Use: "sig", ID: k.ecID,
		Curve: "P-256", X: b64(point[1:33]), Y: b64(point[33:]),
	}}, nil
}

func rsaKey() (*rsa.PrivateKey, string, error) {
	key, err := sharedRSA()
	if err != nil {
		return nil, "", fmt.Errorf("RSA key: %w", err)
	}
	id, err := keyID(&key.PublicKey)
	return key, id, err
}

// pair returns what signs with an algorithm, and the key id that belongs to it.
// HS256 is the key confusion attack: the secret is the public EC key as
// published, which a verifier that trusts the alg header would use.
func (k *signingKeys) pair(alg string) (jwt.SigningMethod, any, string, error) {
	switch alg {
	case "ES256":
		return jwt.SigningMethodES256, k.ec, k.ecID, nil
	case "RS256":
		key, id, err := rsaKey()
		return jwt.SigningMethodRS256, key, id, err
	case "HS256":
		der, err := x509.MarshalPKIXPublicKey(&k.ec.PublicKey)
		public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		return jwt.SigningMethodHS256, public, k.ecID, err
	case "none":
		return jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, k.ecID, nil
	}
	return nil, nil, "", fmt.Errorf("algorithm %q is not available", alg)
}

// public returns the published key that a token names, if its algorithm is that
// key's.
func (k *signingKeys) public(t *jwt.Token) (any, error) {
	if t.Header["kid"] == k.ecID && t.Method.Alg() == "ES256" {
		return &k.ec.PublicKey, nil
	}
	key, id, err := rsaKey()
	if err != nil {
		return nil, err
	}
	if t.Header["kid"] != id || t.Method.Alg() != "RS256" {
		return nil, jwt.ErrTokenUnverifiable
	}
	return &key.PublicKey, nil
}

func (v *Vouch) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	set, err := v.keys.jwks()
	if err != nil {
		v.refuse(w, apiError{http.StatusInternalServerError, "server_error", "the keys are not available"})
		return
	}
	cacheable(w)
	writeJSON(w, http.StatusOK, map[string]any{"keys": set})
}
