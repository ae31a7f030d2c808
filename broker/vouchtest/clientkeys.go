package vouchtest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

const (
	minClientRSABits = 2048
	maxClientRSABits = 8192
	coordinateBytes  = 32 // of a point on P-256
)

var errKey = errors.New("key is not usable")

// clientKey is a public key that a client signs with.
type clientKey struct {
	id, use, alg string
	// public is an *ecdsa.PublicKey on P-256, an *rsa.PublicKey, an
	// ed25519.PublicKey, or nil for a kind that nothing here verifies.
	public any
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
	switch {
	case k.Type == "EC" && k.Curve == "P-256":
		key.public, err = pointOf(k.jwk)
	case k.Type == "OKP" && k.Curve == "Ed25519":
		key.public, err = edwardsOf(k.jwk)
	case k.Type == "RSA":
		key.public, err = modulusOf(k.jwk)
	}
	return key, err
}

func pointOf(k jwk) (any, error) {
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

func edwardsOf(k jwk) (any, error) {
	x, err := base64.RawURLEncoding.Strict().DecodeString(k.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%w: no coordinate", errKey)
	}
	return ed25519.PublicKey(x), nil
}

func modulusOf(k jwk) (any, error) {
	n, err1 := base64.RawURLEncoding.Strict().DecodeString(k.N)
	e, err2 := base64.RawURLEncoding.Strict().DecodeString(k.E)
	if err1 != nil || err2 != nil || len(e) == 0 || len(e) > 4 {
		return nil, fmt.Errorf("%w: no modulus or exponent", errKey)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if bits := public.N.BitLen(); bits < minClientRSABits || bits > maxClientRSABits {
		return nil, fmt.Errorf("%w: an RSA key of %d bits", errKey, bits)
	}
	return public, nil
}

// fits reports whether the key signs with a JWS algorithm.
func (k *clientKey) fits(alg string) bool {
	if k.use == "enc" || k.alg != "" && k.alg != alg {
		return false
	}
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return alg == "ES256"
	case *rsa.PublicKey:
		return alg == "RS256" || alg == "PS256"
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// thumbprint is the SHA-256 thumbprint of RFC 7638, in base64url.
func (k *clientKey) thumbprint() (string, error) {
	b64 := base64.RawURLEncoding.EncodeToString
	var required string // the members that RFC 7638 section 3.2 lists, in its order
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return "", fmt.Errorf("%w: %w", errKey, err)
		}
		required = fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`,
			b64(point[1:1+coordinateBytes]), b64(point[1+coordinateBytes:]))
	case *rsa.PublicKey:
		required = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, b64(big.NewInt(int64(public.E)).Bytes()), b64(public.N.Bytes()))
	case ed25519.PublicKey:
		required = fmt.Sprintf(`{"crv":"Ed25519","kty":"OKP","x":%q}`, b64(public))
	default:
		return "", fmt.Errorf("%w: unknown kind", errKey)
	}
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
