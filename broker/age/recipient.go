package age

import (
	"bytes"
	"encoding/hex"
	"strings"
)

const (
	recipientPrefix = "age1"
	pointBytes      = 32
	// textBytes is the length of every recipient: the prefix, 32 bytes in groups
	// of five bits, and the checksum.
	textBytes = len(recipientPrefix) + (8*pointBytes+4)/5 + checksumChars
)

// A Recipient is one X25519 public key to which files can be encrypted. It comes
// from ParseRecipient; the zero value seals nothing.
type Recipient struct {
	text  string
	point string // little-endian, RFC 7748 section 5; a string so that nobody changes it
}

// String returns the recipient as age-keygen writes it, "age1" and 58 characters
// more. It is public.
func (r Recipient) String() string { return r.text }

// ParseRecipient reads one native X25519 recipient, as "age-keygen -y" prints it,
// without anything around it. Each key has exactly one text that is accepted.
//
// Its error is one of this package's sentinels: ErrSecretKey before all others.
func ParseRecipient(text string) (Recipient, error) {
	// First of all, so that no later step sees, measures or reports on a secret.
	if looksSecret(text) {
		return Recipient{}, ErrSecretKey
	}
	if err := checkShape(text); err != nil {
		return Recipient{}, err
	}
	point, err := decodeBech32(text)
	if err != nil {
		return Recipient{}, err
	}
	if isWeak(point) {
		return Recipient{}, ErrWeakPoint
	}
	return Recipient{text: text, point: string(point)}, nil
}

// looksSecret reports whether text holds the mark of an identity, in any case and
// whatever pasting has put between its words. Identities of plugins are not all
// secret, but none belongs here.
func looksSecret(text string) bool {
	flat := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return -1
		}
	}, text)
	return strings.Contains(flat, "agesecretkey") || strings.Contains(flat, "ageplugin")
}

// checkShape names what stands there in place of an X25519 recipient.
func checkShape(text string) error {
	lower := strings.ToLower(text)
	data, isAge := strings.CutPrefix(lower, recipientPrefix)
	switch {
	case strings.HasPrefix(lower, "ssh-"), strings.HasPrefix(lower, "ecdsa-"), strings.HasPrefix(lower, "sk-"):
		return ErrType // an SSH key has spaces inside
	case strings.ContainsAny(text, " \t\r\n,;\v\f"):
		return ErrNotOne
	case !isAge:
		return ErrMalformed
	// "1" is no digit of Bech32: what is before the last one names a type, such as
	// "age1pq" (post-quantum) or "age1yubikey" (a plugin's).
	case strings.Contains(data, "1"):
		return ErrType
	case lower != text:
		return ErrUpperCase
	case len(text) != textBytes:
		return ErrMalformed
	}
	return nil
}

// weakPoints are the canonical points of small order (RFC 7748 section 7), little-endian: 0,
// 1, the two of order 8, and p-1. The secret shared with one of them is zero.
var weakPoints = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

// isWeak reports whether point has a small order or is no canonical field element:
// not below p = 2^255 - 19, for which X25519 takes the remainder.
func isWeak(point []byte) bool {
	const top = pointBytes - 1
	if point[top] > 0x7f {
		return true
	}
	if point[top] == 0x7f && bytes.Count(point[1:top], []byte{0xff}) == top-1 && point[0] >= 0xed {
		return true
	}
	text := hex.EncodeToString(point)
	for _, weak := range weakPoints {
		if text == weak {
			return true
		}
	}
	return false
}
