// Package p256 holds the broker's own key: one P-256 private key from which
// everything comes that the broker proves or seals, and ES256. It signs, as JWS
// or raw, and derives symmetric keys.
//
// It promises that a Key is whole (the private part belongs to the public one)
// and that neither fmt nor an encoder prints it. By whom ES256 signatures are made
// and checked is for the host to say.
package p256

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"mcp-credential-broker/broker/secret"
)

const (
	algorithm = "ES256"
	// coordinateBytes is the size of a coordinate, and of the private part (RFC
	// 7518 sections 6.2.1.2 and 6.2.2.1).
	coordinateBytes = 32
	// signatureBytes is the size of r || s (RFC 7518 section 3.4).
	signatureBytes = 64
	derivedBytes   = 32
)

// A Key is a P-256 private key. It does not change once made and may be used
// concurrently.
type Key struct {
	d          *[coordinateBytes]byte // behind a pointer, which fmt prints as an address even where it does not ask Format
	public     JWK
	thumbprint string
	derived    *derivations
	es256      ES256
}

// derivations are the keys that were derived so far. There are as many as uses in
// this program.
type derivations struct {
	mu     sync.Mutex
	byInfo map[string][]byte
}

// newKey makes the Key with the private part d. It is by crypto/ecdh, although the
// key signs: crypto/ecdsa would add all its curves to the upload.
func newKey(d []byte) (*Key, error) {
	private, err := ecdh.P256().NewPrivateKey(d)
	if err != nil {
		return nil, err
	}
	point := private.PublicKey().Bytes() // uncompressed, SEC 1 section 2.3.3
	x, y := point[1:1+coordinateBytes], point[1+coordinateBytes:]
	public := JWK{Type: "EC", Curve: "P-256", X: encode(x), Y: encode(y)}
	return &Key{(*[coordinateBytes]byte)(d), public, public.Thumbprint(), &derivations{byInfo: map[string][]byte{}}, Native{}}, nil
}

// PublicJWK returns the public key with its required members only, as it goes
// into the header of a DPoP proof (RFC 9449 section 4.2).
func (k *Key) PublicJWK() JWK { return k.public }

// PublishedJWK returns the public key as an entry of a key set: for signing with
// ES256, its kid the thumbprint.
func (k *Key) PublishedJWK() JWK {
	published := k.public
	published.KeyID, published.Algorithm, published.Use = k.thumbprint, algorithm, "sig"
	return published
}

// PrivateJWK returns the whole key as Parse reads it: for the place where keys
// are made, and for an ES256 of the host to import.
func (k *Key) PrivateJWK() (secret.String, error) {
	text, err := json.Marshal(struct {
		JWK
		D string `json:"d"`
	}{k.PublishedJWK(), encode(k.d[:])})
	if err != nil {
		return secret.String{}, fmt.Errorf("private JWK: %w", err)
	}
	return secret.New(string(text)), nil
}

// Thumbprint returns the SHA-256 thumbprint (RFC 7638) in base64url, 43
// characters. It is the kid and the keyid of the key, and the jkt of tokens that
// are bound to it.
func (k *Key) Thumbprint() string { return k.thumbprint }

// By returns the same key, whose signatures es256 makes, or Native for none.
func (k *Key) By(es256 ES256) *Key {
	by := *k
	by.es256 = OrNative(es256)
	return &by
}

// Sign returns the ES256 signature over the SHA-256 of message: 64 bytes, r || s
// (RFC 7518 section 3.4; RFC 9421 section 3.3.4 uses the same). An error says that
// the signer broke down; it has no part of the key in its text.
func (k *Key) Sign(message string) ([]byte, error) {
	signature, err := k.es256.SignES256(message, k)
	if err != nil {
		return nil, fmt.Errorf("ES256 signature: %w", err)
	}
	if len(signature) != signatureBytes { // a host's own signer may answer in DER
		return nil, errors.New("ES256 signature is not 64 bytes of r || s")
	}
	return signature, nil
}

// Derive returns 32 bytes for the one use that info names: HKDF-SHA-256 over the
// private part, without salt (RFC 5869). The bytes of one info tell nothing
// about those of another, nor about the key. They are derived once and kept for as
// long as the key: info must be fixed text, and the bytes must not be changed.
func (k *Key) Derive(info string) ([]byte, error) {
	k.derived.mu.Lock()
	defer k.derived.mu.Unlock()
	if derived := k.derived.byInfo[info]; derived != nil {
		return derived, nil
	}
	derived, err := hkdf.Key(sha256.New, k.d[:], nil, info, derivedBytes)
	if err != nil {
		return nil, fmt.Errorf("key derivation: %w", err)
	}
	k.derived.byInfo[info] = derived
	return derived, nil
}

// Format implements fmt.Formatter for every verb: a Key is not printed.
func (k Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, secret.String{}) }

// MarshalText implements encoding.TextMarshaler, and so json.Marshal.
func (k Key) MarshalText() ([]byte, error) { return secret.String{}.MarshalText() }
