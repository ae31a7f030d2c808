package vouchtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

const (
	clientAlg       = "ES256" // of assertions and DPoP proofs
	coordinateBytes = 32      // of a point on P-256
)

var errKey = errors.New("key is not usable")

// clientKey is a public key that a client signs with.
type clientKey struct {
	id, use, alg string
	// public is on P-256, or nil for a key of another kind.
	public *ecdsa.PublicKey
}

// clientJWK is a key as clients write it (RFC 7517, RFC 7518 section 6).
type clientJWK struct {
	jwk
	// A member of these gives a private or shared key away.
	D, K, P, Q, DP, DQ, QI, Oth json.RawMessage
}

// parseJWKS reads a client's JWK set. Key ids must be unique: with two keys of
// one id, which of them counts would depend on the reader.
func parseJWKS(text json.RawMessage) ([]clientKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || len(set.Keys) == 0 {
		return nil, fmt.Errorf("%w: not a set of keys", errKey)
	}
	var keys []clientKey
	for _, one := range set.Keys {
		key, err := parseJWK(one)
		if err != nil {
			return nil, err
		}
		if key.id != "" && keyByID(keys, key.id) != nil {
			return nil, fmt.Errorf("%w: two have one id", errKey)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// parseJWK reads one public key.
func parseJWK(text json.RawMessage) (clientKey, error) {
	var k clientJWK
	if err := json.Unmarshal(text, &k); err != nil || k.Type == "" {
		return clientKey{}, fmt.Errorf("%w: not a JWK", errKey)
	}
	for _, private := range []json.RawMessage{k.D, k.K, k.P, k.Q, k.DP, k.DQ, k.QI, k.Oth} {
		if private != nil {
			return clientKey{}, fmt.Errorf("%w: it is private", errKey)
		}
	}
	key := clientKey{id: k.ID, use: k.Use, alg: k.Algorithm}
	var err error
	if k.Type == "EC" && k.Curve == "P-256" {
		key.public, err = pointOf(k.jwk)
	}
	return key, err
}

func pointOf(k jwk) (*ecdsa.PublicKey, error) {
	x, err1 := base64.RawURLEncoding.Strict().DecodeString(k.X)
	y, err2 := base64.RawURLEncoding.Strict().DecodeString(k.Y)
	if err1 != nil || err2 != nil || len(x) != coordinateBytes || len(y) != coordinateBytes {
		return nil, fmt.Errorf("%w: no coordinates", errKey)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, fmt.Errorf("%w: not a point of the curve", errKey)
	}
	return public, nil
}

// signs reports whether the key makes ES256 signatures.
func (k *clientKey) signs() bool {
	return k.public != nil && k.use != "enc" && (k.alg == "" || k.alg == clientAlg)
}

// thumbprint is the SHA-256 thumbprint of RFC 7638, in base64url.
func (k *clientKey) thumbprint() (string, error) {
	point, err := k.public.Bytes()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errKey, err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	// The members that RFC 7638 section 3.2 lists, in its order.
	required := fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`,
		b64(point[1:1+coordinateBytes]), b64(point[1+coordinateBytes:]))
	sum := sha256.Sum256([]byte(required))
	return b64(sum[:]), nil
}

func keyByID(keys []clientKey, id string) *clientKey {
	at := slices.IndexFunc(keys, func(k clientKey) bool { return k.id == id })
	if at < 0 {
		return nil
	}
	return &keys[at]
}
