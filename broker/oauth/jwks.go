package oauth

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/strictjson"
)

// coordinateBytes is the size of a P-256 coordinate (RFC 7518 section 6.2.1.2).
const coordinateBytes = 32

var (
	errKeySet = errors.New("key set is not the JSON of one")
	errNoKeys = errors.New("key set holds no usable ES256 key")
)

// A keySet is public keys for ES256 by their kid. It does not change once made.
type keySet map[string]*p256.PublicKey

// parseKeySet reads a JWK set (RFC 7517 section 5). Keys that are not for
// verifying ES256 are left out, as section 5 asks for; when none remains that is
// an error, so that a broken answer never replaces a set that works.
func parseKeySet(body []byte) (keySet, error) {
	set, err := strictjson.Read(body, maxKeySetBytes)
	list := set.Member("keys")
	if err != nil || !list.IsArray() {
		return nil, errKeySet
	}
	entries := list.Array()
	if len(entries) > maxKeys {
		return nil, errors.New("key set holds too many keys")
	}
	keys := keySet{}
	for _, entry := range entries {
		kid, key := parseKey(entry)
		// Of two keys with one kid the first counts, whatever comes later.
		if key != nil && keys[kid] == nil {
			keys[kid] = key
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

// parseKey returns the key of one JWK, or nil if it is not a public P-256 key
// for verifying ES256 (RFC 7517 section 4, RFC 7518 section 6.2) with a kid.
func parseKey(entry gjson.Result) (kid string, key *p256.PublicKey) {
	text := map[string]string{"alg": "ES256", "use": "sig"} // what their absence stands for
	usable := true
	_ = strictjson.Of(entry).Each(func(name string, value gjson.Result) error {
		switch name {
		case "kty", "crv", "kid", "alg", "use", "x", "y":
			text[name] = value.Str // empty, so never what is wanted, unless it is a string
		case "key_ops":
			usable = usable && allowsVerify(value)
		case "d":
			// A private key that got published is anybody's: what it signs proves nothing.
			usable = false
		}
		return nil
	})
	kid = text["kid"]
	if !usable || kid == "" || text["kty"] != "EC" || text["crv"] != "P-256" || text["alg"] != "ES256" || text["use"] != "sig" {
		return "", nil
	}
	point := []byte{4} // uncompressed, SEC 1 section 2.3.4
	for _, encoded := range []string{text["x"], text["y"]} {
		coordinate, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
		if err != nil || len(coordinate) != coordinateBytes {
			return "", nil
		}
		point = append(point, coordinate...)
	}
	// This refuses points off the curve, the root of invalid-curve attacks.
	if _, err := ecdh.P256().NewPublicKey(point); err != nil {
		return "", nil
	}
	return kid, p256.NewPublicKey([65]byte(point))
}

// allowsVerify reports whether key_ops lists "verify" (RFC 7517 section 4.3).
func allowsVerify(operations gjson.Result) bool {
	if !operations.IsArray() {
		return false
	}
	for _, operation := range operations.Array() {
		if operation.Type == gjson.String && operation.Str == "verify" {
			return true
		}
	}
	return false
}
