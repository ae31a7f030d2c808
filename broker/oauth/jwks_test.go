package oauth

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/p256"
)

func TestParseKeySetTakesOnlyES256Keys(t *testing.T) {
	key := newKey(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec := jwk(t, "k", &key.PublicKey)
	x := ec["x"].(string)
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		key  map[string]any
		want bool
	}{
		{"as Vouch publishes it", ec, true},
		{"use and alg absent", change{"use": absent, "alg": absent}.apply(ec), true},
		{"key_ops with verify", change{"key_ops": []string{"encrypt", "verify"}}.apply(ec), true},
		{"unknown members", change{"exp": 1, "x5c": []string{"x"}}.apply(ec), true},

		{"published with its private part", change{"d": x}.apply(ec), false},
		{"private part is null", change{"d": nil}.apply(ec), false},
		{"RSA", map[string]any{"kty": "RSA", "kid": "k", "alg": "RS256", "use": "sig", "n": x, "e": "AQAB"}, false},
		{"symmetric", map[string]any{"kty": "oct", "kid": "k", "alg": "HS256", "k": x}, false},
		{"Ed25519", map[string]any{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}, false},
		{"P-384", jwk(t, "k", &p384.PublicKey), false},
		{"P-384 named P-256", change{"crv": "P-256"}.apply(jwk(t, "k", &p384.PublicKey)), false},
		{"P-256 named P-384", change{"crv": "P-384"}.apply(ec), false},
		{"RSA with a point", change{"kty": "RSA"}.apply(ec), false},
		{"no kty", change{"kty": absent}.apply(ec), false},
		{"kty in lower case", change{"kty": "ec"}.apply(ec), false},
		{"for encryption", change{"use": "enc"}.apply(ec), false},
		{"use is null", change{"use": nil}.apply(ec), false},
		{"alg ECDH-ES", change{"alg": "ECDH-ES"}.apply(ec), false},
		{"alg is a number", change{"alg": 256}.apply(ec), false},
		{"no kid", change{"kid": absent}.apply(ec), false},
		{"empty kid", change{"kid": ""}.apply(ec), false},
		{"kid is a number", change{"kid": 1}.apply(ec), false},
		{"key_ops without verify", change{"key_ops": []string{"sign"}}.apply(ec), false},
		{"key_ops is empty", change{"key_ops": []string{}}.apply(ec), false},
		{"key_ops is a string", change{"key_ops": "verify"}.apply(ec), false},
		{"point off the curve", change{"y": x}.apply(ec), false},
		{"point (0, 0)", change{"x": encode(make([]byte, 32)), "y": encode(make([]byte, 32))}.apply(ec), false},
		{"no y", change{"y": absent}.apply(ec), false},
		{"x too short", change{"x": encode(make([]byte, 31))}.apply(ec), false},
		{"x with a zero in front", change{"x": encode(append([]byte{0}, make([]byte, 32)...))}.apply(ec), false},
		{"x lends y a byte", change{"x": encode(point[1:32]), "y": encode(point[32:])}.apply(ec), false},
		{"x with trailing bits", change{"x": nonZeroTail(x)}.apply(ec), false},
		{"x not base64url", change{"x": strings.Repeat("+", 43)}.apply(ec), false},
		{"x padded", change{"x": x + "="}.apply(ec), false},
		{"x is an array", change{"x": []string{x}}.apply(ec), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// In company of a good key, so that the answer as a whole is usable.
			body := encodeJSON(t, map[string]any{"keys": []any{test.key, jwk(t, "other", &newKey(t).PublicKey)}})
			keys, err := parseKeySet(body)
			if err != nil {
				t.Fatal(err)
			}
			if got := keys["k"]; (got != nil) != test.want || test.want && !isKey(got, &key.PublicKey) {
				t.Errorf("got %v", got)
			}
			if want := map[bool]int{true: 2, false: 1}[test.want]; len(keys) != want {
				t.Errorf("%d keys, want %d", len(keys), want)
			}
		})
	}
}

func TestParseKeySetRefuses(t *testing.T) {
	good := string(encodeJSON(t, jwk(t, "k", &newKey(t).PublicKey)))
	tests := []struct {
		name, body string
		want       error
	}{
		{"empty", "", errKeySet},
		{"HTML", "<html>", errKeySet},
		{"cut off", `{"keys":[` + good, errKeySet},
		{"garbage behind", `{"keys":[` + good + `]}x`, errKeySet},
		{"array", `[` + good + `]`, errKeySet},
		{"single key", good, errKeySet},
		{"keys is an object", `{"keys":` + good + `}`, errKeySet},
		{"keys of other case", `{"Keys":[` + good + `]}`, errKeySet},
		{"keys twice", `{"keys":[` + good + `],"keys":[` + good + `]}`, errKeySet},
		{"no keys", `{"keys":[]}`, errNoKeys},
		{"entries that are no keys", `{"keys":[1,null,"x",[],{}]}`, errNoKeys},
		{"member twice further down", `{"keys":[` + strings.TrimSuffix(good, "}") + `,"kid":"k"}]}`, errKeySet},
		{"text that is not UTF-8", `{"keys":[` + strings.Replace(good, `"k"`, "\"\xff\"", 1) + `]}`, errKeySet},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if keys, err := parseKeySet([]byte(test.body)); !errors.Is(err, test.want) || keys != nil {
				t.Errorf("got %v, %v", keys, err)
			}
		})
	}
}

func TestParseKeySetCountsKeys(t *testing.T) {
	set := func(n int) []byte {
		var entries []any
		for range n - 1 {
			entries = append(entries, map[string]any{"kty": "RSA"})
		}
		return encodeJSON(t, map[string]any{"keys": append(entries, jwk(t, "k", &newKey(t).PublicKey))})
	}
	if keys, err := parseKeySet(set(maxKeys)); err != nil || len(keys) != 1 {
		t.Errorf("%d keys: %v, %v", maxKeys, keys, err)
	}
	if keys, err := parseKeySet(set(maxKeys + 1)); err == nil {
		t.Errorf("%d keys: %v", maxKeys+1, keys)
	}
}

// isKey reports whether a key of a set is want.
func isKey(got *p256.PublicKey, want *ecdsa.PublicKey) bool {
	point, err := want.Bytes()
	return err == nil && got != nil && bytes.Equal(got.Point(), point)
}

func TestParseKeySetKeepsTheFirstOfAKid(t *testing.T) {
	first, second := newKey(t), newKey(t)
	keys, err := parseKeySet(encodeJSON(t, map[string]any{"keys": []any{jwk(t, "k", &first.PublicKey), jwk(t, "k", &second.PublicKey)}}))
	if err != nil || len(keys) != 1 || !isKey(keys["k"], &first.PublicKey) {
		t.Errorf("got %v, %v", keys, err)
	}
}

// RFC 7515 appendix A.3: the key and the signature of an ES256 JWS.
func TestES256Vector(t *testing.T) {
	var vector struct{ X, Y, SigningInput, Signature string }
	readVector(t, "testdata/rfc7515-a3.json", &vector)
	set := fmt.Appendf(nil, `{"keys":[{"kty":"EC","crv":"P-256","kid":"a3","x":%q,"y":%q}]}`, vector.X, vector.Y)
	keys, err := parseKeySet(set)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := base64.RawURLEncoding.DecodeString(vector.Signature)
	if err != nil {
		t.Fatal(err)
	}
	if err := (p256.Native{}).VerifyES256(vector.SigningInput, signature, keys["a3"]); err != nil {
		t.Error(err)
	}
	signature[0] ^= 1
	if err := (p256.Native{}).VerifyES256(vector.SigningInput, signature, keys["a3"]); err == nil {
		t.Error("a changed signature verifies")
	}
}

// RFC 7517 appendix A.1: one EC key for encryption and one RSA key, so none for us.
func TestKeySetVector(t *testing.T) {
	var set struct{ Keys []map[string]any }
	readVector(t, "testdata/rfc7517-a1.json", &set)
	if keys, err := parseKeySet(encodeJSON(t, map[string]any{"keys": set.Keys})); !errors.Is(err, errNoKeys) {
		t.Errorf("got %v, %v", keys, err)
	}
	set.Keys[0]["use"] = "sig"
	keys, err := parseKeySet(encodeJSON(t, map[string]any{"keys": set.Keys}))
	if err != nil || len(keys) != 1 || keys["1"] == nil {
		t.Errorf("got %v, %v", keys, err)
	}
}

func readVector(t *testing.T, path string, to any) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFreshness(t *testing.T) {
	tests := []struct {
		name    string
		control []string
		want    time.Duration
	}{
		{"absent", nil, 5 * time.Minute},
		{"as Vouch says", []string{"public, max-age=3600"}, time.Hour},
		{"upper case", []string{"Max-Age=3600"}, time.Hour},
		{"quoted", []string{`max-age="3600"`}, time.Hour},
		{"second header", []string{"public", "max-age=3600"}, time.Hour},
		{"zero", []string{"max-age=0"}, time.Minute},
		{"negative", []string{"max-age=-1"}, time.Minute},
		{"too long", []string{"max-age=31536000"}, 24 * time.Hour},
		{"overflow of a duration", []string{"max-age=9223372036"}, 24 * time.Hour},
		{"overflow", []string{"max-age=99999999999999999999"}, 24 * time.Hour},
		{"not a number", []string{"max-age=x"}, 5 * time.Minute},
		{"other directive", []string{"s-maxage=3600, xmax-age=7"}, 5 * time.Minute},
		{"no-store", []string{"no-store"}, 5 * time.Minute},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := freshness(http.Header{"Cache-Control": test.control}); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzParseKeySet(f *testing.F) {
	good := jwk(f, "k", &newKey(f).PublicKey)
	f.Add(encodeJSON(f, map[string]any{"keys": []any{good}}))
	f.Add(encodeJSON(f, map[string]any{"keys": []any{change{"d": "x"}.apply(good), good}}))
	f.Add([]byte(`{"keys":[{"kty":"EC","key_ops":["verify"]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeySet(body)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for kid, key := range keys {
			if _, err := ecdh.P256().NewPublicKey(key.Point()); kid == "" || err != nil {
				t.Errorf("kid %q, %v", kid, err)
			}
		}
	})
}
