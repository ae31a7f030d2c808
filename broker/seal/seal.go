// Package seal makes values that only the broker can read and that nobody can
// change: its tokens, codes and cookies, which clients and browsers keep for it.
//
// It promises that a value opens only for the purpose it was sealed for, before
// it expires, in a broker with the same key, public URL and Vouch. It does not
// make a value single-use, nor hide how long it is.
package seal

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"mcp-credential-broker/broker/p256"
)

// A sealed value is, in base64url without padding: the version of this format,
// the start of the key's thumbprint, a nonce, and the ciphertext with its tag.
// The plaintext is the expiry in Unix seconds, big-endian, and the payload.
const (
	version        = "\x01"
	keyIDBytes     = 4
	headBytes      = len(version) + keyIDBytes
	nonceBytes     = chacha20poly1305.NonceSizeX
	expiryBytes    = 8
	overheadBytes  = headBytes + nonceBytes + expiryBytes + chacha20poly1305.Overhead
	maxSealedBytes = MaxTextBytes * 3 / 4
)

const (
	// MaxTextBytes bounds a sealed value: no more fits into a cookie.
	MaxTextBytes = 4 << 10
	// MaxPayloadBytes is what fits into it.
	MaxPayloadBytes = maxSealedBytes - overheadBytes
)

var (
	// ErrSealed says that a text is not a value that this box has sealed for
	// this purpose. Why is not told: the difference would help a forger only.
	ErrSealed = errors.New("sealed value is not valid")
	// ErrExpired says that the box has sealed the value for this purpose, and
	// that its time is over.
	ErrExpired = errors.New("sealed value has expired")
	// ErrTooLong says that a payload is longer than MaxPayloadBytes.
	ErrTooLong = errors.New("payload is too long to be sealed")
)

// A Purpose is one use of sealed values, such as "access token". Each has a key
// of its own: an authorization code cannot be passed off as a token.
type Purpose string

// A Box seals and opens values. It does not change once made and may be used
// concurrently.
type Box struct {
	// Current is the broker's key.
	Current *p256.Key
	// Previous is the key before the last rotation, or nil. It opens and never
	// seals.
	Previous *p256.Key
	// Issuer is the broker's own issuer, VouchIssuer the one of Vouch, Resource
	// the broker's resource identifier. A value opens only where they are the
	// same: a key that two deployments share does not make them one.
	Issuer, VouchIssuer, Resource string
}

// Seal returns payload, sealed with the current key until expires (in seconds,
// rounded down), as base64url of at most MaxTextBytes.
//
// Errors: ErrTooLong, and those of Key.Derive.
func (b Box) Seal(purpose Purpose, expires time.Time, payload []byte) (string, error) {
	if len(payload) > MaxPayloadBytes {
		return "", ErrTooLong
	}
	aead, err := newAEAD(b.Current, purpose)
	if err != nil {
		return "", err
	}
	sealed := make([]byte, headBytes+nonceBytes, overheadBytes+len(payload))
	copy(sealed, head(b.Current))
	nonce := sealed[headBytes:]
	if _, err := rand.Read(nonce); err != nil {
		return "", fmt.Errorf("nonce: %w", err)
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	plain = append(plain, payload...)
	sealed = aead.Seal(sealed, nonce, plain, b.associated(sealed[:headBytes], purpose))
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the payload of a sealed value, and the key that opened it: Current
// or Previous. What the payload holds may be bound to that key at Vouch, so that
// requests made with it are to be signed by that key too.
//
// Errors: ErrSealed, ErrExpired.
func (b Box) Open(purpose Purpose, text string, now time.Time) ([]byte, *p256.Key, error) {
	sealed, err := decode(text)
	if err != nil {
		return nil, nil, err
	}
	for _, key := range []*p256.Key{b.Current, b.Previous} {
		if key == nil || string(sealed[:headBytes]) != head(key) {
			continue
		}
		plain, err := b.open(key, purpose, sealed)
		if err != nil {
			continue // two keys may have the same short id
		}
		expires := int64(binary.BigEndian.Uint64(plain))
		if now.Unix() >= expires {
			return nil, nil, ErrExpired
		}
		return plain[expiryBytes:], key, nil
	}
	return nil, nil, ErrSealed
}

func (b Box) open(key *p256.Key, purpose Purpose, sealed []byte) ([]byte, error) {
	aead, err := newAEAD(key, purpose)
	if err != nil {
		return nil, err
	}
	nonce, ciphertext := sealed[headBytes:headBytes+nonceBytes], sealed[headBytes+nonceBytes:]
	return aead.Open(nil, nonce, ciphertext, b.associated(sealed[:headBytes], purpose))
}

// decode returns the bytes of a text that could be a sealed value. Each has one
// spelling only: no line breaks, which the decoder would skip, and no bits set
// that stand for nothing.
func decode(text string) ([]byte, error) {
	if len(text) > MaxTextBytes {
		return nil, ErrSealed
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < overheadBytes || base64.RawURLEncoding.EncodedLen(len(sealed)) != len(text) {
		return nil, ErrSealed
	}
	return sealed, nil
}

// newAEAD returns XChaCha20-Poly1305 with the key for one purpose. Its nonce is
// long enough to be random for every value that is ever sealed, and in pure Go it
// takes the same time for every key, which AES does not.
func newAEAD(key *p256.Key, purpose Purpose) (cipher.AEAD, error) {
	derived, err := key.Derive("mcp-credential-broker seal v1 " + string(purpose))
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.NewX(derived)
}

// head returns what a value sealed with key begins with. The id only saves the
// attempt with a key that does not fit.
func head(key *p256.Key) string { return version + key.Thumbprint()[:keyIDBytes] }

// associated returns the associated data: what a value is bound to, and its
// head. Each part is preceded by its length, so that no two lists of parts give
// the same bytes.
func (b Box) associated(head []byte, purpose Purpose) []byte {
	var data []byte
	for _, part := range []string{string(head), string(purpose), b.Issuer, b.VouchIssuer, b.Resource} {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part)))
		data = append(data, part...)
	}
	return data
}
