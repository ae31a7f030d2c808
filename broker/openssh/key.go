// Package openssh reads OpenSSH public keys and certificates in their one-line
// form, strictly: what it accepts has one meaning, and what it refuses is named
// by a sentinel and never quoted.
//
// It promises that text with the mark of a private key is refused before
// anything else is looked at. It does not verify the signature of a
// certificate, and it neither accepts options nor files of several keys, which
// golang.org/x/crypto/ssh does.
package openssh

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// The key types, as the first field of the line and the first string of the
// data. DSA was removed in OpenSSH 10.0. The ML-DSA hybrid of OpenSSH 10.4 is
// left out until a signer is known to take it.
const (
	typeEd25519    = "ssh-ed25519"
	typeECDSA256   = "ecdsa-sha2-nistp256"
	typeECDSA384   = "ecdsa-sha2-nistp384"
	typeECDSA521   = "ecdsa-sha2-nistp521"
	typeRSA        = "ssh-rsa"
	typeSKEd25519  = "sk-ssh-ed25519@openssh.com"
	typeSKECDSA256 = "sk-ecdsa-sha2-nistp256@openssh.com"
)

// A PublicKey is one parsed public key. Its comment, which is often somebody's
// name and host, is not kept.
type PublicKey struct {
	// Type is the name of the key type, e.g. "ssh-ed25519".
	Type string
	// Blob is the key in SSH wire encoding, its type included.
	Blob []byte
}

// ParsePublicKey reads "type base64 [comment]", as in a .pub file, with the white
// space around the three that ssh-keygen skips. It accepts ssh-ed25519,
// ecdsa-sha2-nistp256, -384 and -521, ssh-rsa of 1024 to 16384 bits, and the two
// sk- types of security keys.
//
// Its error is one of this package's sentinels: ErrPrivateKey before all
// others.
func ParsePublicKey(line string) (*PublicKey, error) {
	// First of all, so that no later step sees, measures or reports on a
	// private key.
	if looksPrivate(line) {
		return nil, ErrPrivateKey
	}
	fields, err := splitLine(line, maxKeyLine)
	if err != nil {
		return nil, err
	}
	if err := checkKeyType(fields); err != nil {
		return nil, err
	}
	blob, err := decodeBlob(fields[1])
	if err != nil {
		return nil, err
	}
	r := wireReader{rest: blob}
	// An outer type that differs from the inner one would be shown as one key
	// and signed as another.
	r.expect(fields[0])
	r.key(fields[0])
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	return &PublicKey{Type: fields[0], Blob: blob}, nil
}

// Line returns the key as "type base64", without a comment or a line end.
func (k *PublicKey) Line() string {
	return k.Type + " " + base64.StdEncoding.EncodeToString(k.Blob)
}

// Fingerprint returns "SHA256:" and the unpadded base64 of the SHA-256 of the
// wire encoding, as ssh-keygen -l prints it.
func (k *PublicKey) Fingerprint() string {
	sum := sha256.Sum256(k.Blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// Equal reports whether both are the same key.
func (k *PublicKey) Equal(other *PublicKey) bool {
	return k.Type == other.Type && bytes.Equal(k.Blob, other.Blob)
}

// splitLine checks that text is one printable line of at most maxBytes, between
// blank lines, and returns its type, its base64 and, if there is one, its comment.
func splitLine(text string, maxBytes int) ([]string, error) {
	text = strings.TrimRight(text, " \t\r\n")
	before := len(text) - len(strings.TrimLeft(text, " \t\r\n"))
	indent := text[strings.LastIndexByte(text[:before], '\n')+1 : before]
	text = text[before:]
	switch {
	case len(text) > maxBytes:
		return nil, ErrTooLong
	case strings.HasPrefix(text, "----"):
		return nil, ErrNotOneLine
	case strings.ContainsAny(indent+text, "\r\n"):
		return nil, ErrMultipleLines
	case !utf8.ValidString(text), strings.ContainsFunc(text, isControl):
		return nil, ErrMalformed
	}
	var fields []string
	for len(fields) < 2 {
		end := strings.IndexAny(text+" ", " \t")
		fields = append(fields, text[:end])
		if text = strings.TrimLeft(text[end:], " \t"); text == "" {
			break
		}
	}
	if len(fields) < 2 {
		return nil, ErrMalformed
	}
	return append(fields, text), nil
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

// decodeBlob decodes padded standard base64 with no bit to spare, so that one
// key has one line.
func decodeBlob(text string) ([]byte, error) {
	blob, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		// The decoder's error tells an offset, which is of no use to anyone.
		return nil, ErrMalformed
	}
	return blob, nil
}

// checkKeyType checks the first field of a line, and names what stands there in
// place of a key type.
func checkKeyType(fields []string) error {
	first := fields[0]
	switch {
	case isKeyType(first):
		return nil
	case isCertificateType(first):
		return ErrCertificate
	case strings.HasPrefix(first, "ssh-"), strings.HasPrefix(first, "sk-"),
		strings.HasPrefix(first, "ecdsa-"), strings.HasPrefix(first, "rsa-"),
		strings.HasPrefix(first, "webauthn-"):
		return ErrUnsupported
	case first != "" && !strings.HasPrefix(first, "#") && holdsKeyType(fields[1:]):
		return ErrOptions
	default:
		return ErrMalformed
	}
}

func isKeyType(name string) bool {
	switch name {
	case typeEd25519, typeECDSA256, typeECDSA384, typeECDSA521, typeRSA, typeSKEd25519, typeSKECDSA256:
		return true
	}
	return false
}

// holdsKeyType reports whether a word of the fields is a key type: then what
// stood before it were options, whose quoted values may hold spaces.
func holdsKeyType(fields []string) bool {
	for _, field := range fields {
		for word := range strings.FieldsSeq(field) {
			if isKeyType(word) || isCertificateType(word) {
				return true
			}
		}
	}
	return false
}
