package authserver

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"mcp-credential-broker/broker/ascii"
)

// PKCE (RFC 7636) with S256 alone, on both sides: a client proves to us that its code
// is its own, and we prove the same to Vouch.

// verifierBytes is how much of our own verifier is random.
const verifierBytes = 32

// newVerifier makes a verifier of ours, for one sign-in.
func newVerifier() (raw [verifierBytes]byte) {
	_, _ = rand.Read(raw[:]) // never fails
	return raw
}

// verifierText is our verifier as it is sent (section 4.1).
func verifierText(raw [verifierBytes]byte) string {
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// challengeOf is the challenge of a verifier of ours (section 4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// readChallenge reads a client's challenge (section 4.3). Without a method it would
// be of the method plain, which proves nothing to whoever has seen the request.
func readChallenge(text, method string) (challenge hash, fault *refusal) {
	if method != "S256" {
		return challenge, invalid("invalid_request", "PKCE with code_challenge_method S256 is required.")
	}
	sum, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sum) != len(challenge) {
		return challenge, invalid("invalid_request", "The parameter code_challenge must be a SHA-256 in base64url.")
	}
	return hash(sum), nil
}

// fits reports whether a client's verifier has the form of section 4.1 and is the
// one that its challenge was made of (section 4.6).
func fits(verifier string, challenge hash) bool {
	return isVerifier(verifier) && equal(sha256.Sum256([]byte(verifier)), challenge)
}

func isVerifier(text string) bool {
	return len(text) >= 43 && len(text) <= 128 && ascii.Only(text, ascii.Alphanumeric+"-._~")
}
