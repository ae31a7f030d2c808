// Package age encrypts a text to one person's key, so that only that key opens it:
// age files of version 1, for one X25519 recipient, in ASCII armor
// (https://c2sp.org/age). Every age program and library opens them.
//
// It promises that a recipient is checked as a whole before anything is encrypted
// to it. It does not decrypt, does not hide how long the text is, and says nothing
// about who encrypted it.
package age

import (
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	fileKeyBytes = 16
	nonceBytes   = 16
	chunkBytes   = 64 << 10

	labelX25519  = "age-encryption.org/v1/X25519"
	labelHeader  = "header"
	labelPayload = "payload"
)

// Seal returns plaintext in a file that only the recipient's identity opens,
// armored: lines of 64 characters between "-----BEGIN AGE ENCRYPTED FILE-----" and
// its end, with a line break after each. Each call takes fresh keys.
//
// Its errors say nothing of the plaintext: the zero Recipient, or no randomness.
func (r Recipient) Seal(plaintext []byte) (string, error) {
	fileKey, nonce := make([]byte, fileKeyBytes), make([]byte, nonceBytes)
	for _, random := range [][]byte{fileKey, nonce} {
		if _, err := rand.Read(random); err != nil {
			return "", fmt.Errorf("age file key: %w", err)
		}
	}
	stanza, err := r.stanza(fileKey)
	if err != nil {
		return "", err
	}
	file, err := header(fileKey, stanza)
	if err != nil {
		return "", err
	}
	payload, err := stream(fileKey, nonce, plaintext)
	if err != nil {
		return "", err
	}
	return armor(append([]byte(file), payload...)), nil
}

// stanza returns the recipient's lines of the header: an ephemeral share, and the
// file key under the secret shared with it.
func (r Recipient) stanza(fileKey []byte) (string, error) {
	theirs, err := ecdh.X25519().NewPublicKey([]byte(r.point)) // refuses the zero Recipient
	if err != nil {
		return "", fmt.Errorf("age recipient: %w", err)
	}
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return "", fmt.Errorf("age ephemeral key: %w", err)
	}
	shared, err := ephemeral.ECDH(theirs) // refuses an all-zero secret, as the specification demands
	if err != nil {
		return "", fmt.Errorf("age shared secret: %w", err)
	}
	share := ephemeral.PublicKey().Bytes()
	wrapped, err := wrap(shared, share, []byte(r.point), fileKey)
	if err != nil {
		return "", err
	}
	return "-> X25519 " + encode(share) + "\n" + encode(wrapped) + "\n", nil
}

// wrap encrypts the file key with a key that is used for nothing else, so the nonce
// is zero.
func wrap(shared, share, point, fileKey []byte) ([]byte, error) {
	salt := append(append([]byte(nil), share...), point...)
	key, err := hkdf.Key(sha256.New, shared, salt, labelX25519, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("age wrapping key: %w", err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, fmt.Errorf("age wrapping key: %w", err)
	}
	return aead.Seal(nil, make([]byte, chacha20poly1305.NonceSize), fileKey, nil), nil
}

// header returns the version line, the stanzas and their MAC.
func header(fileKey []byte, stanzas string) (string, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nil, labelHeader, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("age header key: %w", err)
	}
	text := "age-encryption.org/v1\n" + stanzas + "---"
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + " " + encode(mac.Sum(nil)) + "\n", nil
}

// stream returns the payload: the nonce, and the chunks of plaintext, each with a
// counter and the mark of the last one in its own nonce, so that none can be cut
// off, left out or moved.
func stream(fileKey, nonce, plaintext []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, labelPayload, chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("age payload key: %w", err)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, fmt.Errorf("age payload key: %w", err)
	}
	payload := append([]byte(nil), nonce...)
	var counter [chacha20poly1305.NonceSize]byte
	const lastFlag = chacha20poly1305.NonceSize - 1
	for {
		chunk := plaintext[:min(len(plaintext), chunkBytes)]
		plaintext = plaintext[len(chunk):]
		if len(plaintext) == 0 {
			counter[lastFlag] = 1
		}
		payload = aead.Seal(payload, counter[:], chunk, nil)
		if len(plaintext) == 0 {
			return payload, nil
		}
		for i := lastFlag - 1; i >= 0; i-- { // eleven bytes, big-endian
			if counter[i]++; counter[i] != 0 {
				break
			}
		}
	}
}

// armor returns the strict PEM of a file: base64 in lines of 64 characters.
func armor(file []byte) string {
	const lineChars = 64
	var text strings.Builder
	text.WriteString("-----BEGIN AGE ENCRYPTED FILE-----\n")
	for body := base64.StdEncoding.EncodeToString(file); body != ""; {
		line := body[:min(len(body), lineChars)]
		body = body[len(line):]
		text.WriteString(line + "\n")
	}
	text.WriteString("-----END AGE ENCRYPTED FILE-----\n")
	return text.String()
}

func encode(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
