package p256

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/strictjson"
)

// maxJWKBytes is several times what a private JWK takes.
const maxJWKBytes = 2 << 10

// ErrKey says that a text is not a usable private JWK. What follows it names the
// member that is wrong, never its value.
var ErrKey = errors.New("text is not a P-256 private key as JWK")

// A JWK is a public P-256 key (RFC 7517, RFC 7518 section 6.2.1).
type JWK struct {
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	// X and Y are coordinates, 32 bytes in base64url.
	X         string `json:"x"`
	Y         string `json:"y"`
	KeyID     string `json:"kid,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	Use       string `json:"use,omitempty"`
}

// Thumbprint returns the SHA-256 thumbprint of the key in base64url: of its
// required members in lexical order, without blanks (RFC 7638 section 3).
func (j JWK) Thumbprint() string {
	sum := sha256.Sum256([]byte(`{"crv":"` + j.Curve + `","kty":"` + j.Type + `","x":"` + j.X + `","y":"` + j.Y + `"}`))
	return encode(sum[:])
}

// Parse reads a private key: a JWK with kty "EC", crv "P-256", x, y and d of 32
// bytes each (RFC 7518 section 6.2.2). What tools add is accepted as long as it
// fits a key for signing with ES256: alg, use, key_ops, and a kid that is the
// thumbprint, under which the key is known everywhere. Unknown members are
// ignored (RFC 7517 section 4).
//
// Errors: ErrKey.
func Parse(text secret.String) (*Key, error) {
	members, err := strictjson.Read([]byte(text.Reveal()), maxJWKBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	for _, m := range []struct {
		name, want string
		optional   bool
	}{{"kty", "EC", false}, {"crv", "P-256", false}, {"alg", algorithm, true}, {"use", "sig", true}} {
		if value := members.Member(m.name); value.Str != m.want && (value.Exists() || !m.optional) {
			return nil, fmt.Errorf("%w: %s is not %q", ErrKey, m.name, m.want)
		}
	}
	if operations := members.Member("key_ops"); operations.Exists() && !allowsSign(operations) {
		return nil, fmt.Errorf("%w: key_ops does not allow to sign", ErrKey)
	}
	key, err := readPrivate(members)
	if err != nil {
		return nil, err
	}
	// Under another kid than the one we send, Vouch would refuse each signature
	// without telling why.
	if kid := members.Member("kid"); kid.Exists() && kid.Str != key.thumbprint {
		return nil, fmt.Errorf("%w: kid is not the thumbprint of RFC 7638", ErrKey)
	}
	return key, nil
}

// allowsSign reports whether key_ops lists "sign" (RFC 7517 section 4.3).
func allowsSign(operations gjson.Result) bool {
	return operations.IsArray() && slices.ContainsFunc(operations.Array(), func(o gjson.Result) bool {
		return o.Str == "sign" // empty unless it is a string
	})
}

// readPrivate reads x, y and d. The public key is computed from d and compared:
// a point of somebody else's, or off the curve, is found out here and not at
// Vouch.
func readPrivate(members strictjson.Object) (*Key, error) {
	text := members.Member("d").Str
	d, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || encode(d) != text { // the decoder skips line breaks
		return nil, fmt.Errorf("%w: d is not base64url", ErrKey)
	}
	key, err := newKey(d)
	if err != nil {
		return nil, fmt.Errorf("%w: d is not 32 bytes or out of range", ErrKey)
	}
	if members.Member("x").Str != key.public.X || members.Member("y").Str != key.public.Y {
		return nil, fmt.Errorf("%w: x and y do not belong to d", ErrKey)
	}
	return key, nil
}

// Generate makes a new key and returns its private JWK, which Parse reads.
func Generate() (secret.String, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return secret.String{}, fmt.Errorf("new key: %w", err)
	}
	key, err := newKey(private.Bytes())
	if err != nil {
		return secret.String{}, fmt.Errorf("new key: %w", err)
	}
	return key.PrivateJWK()
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
