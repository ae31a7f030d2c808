// Package dpop makes DPoP proofs (RFC 9449) for the requests that the broker
// sends: JWTs that show possession of the key that a token is bound to.
//
// It promises that a proof is for one method and one URL, new each time, and for
// one access token where there is one. It verifies no proofs and remembers no
// nonces.
package dpop

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
)

const (
	// maxNonceBytes is several times what servers send.
	maxNonceBytes = 512
	// maxSourceBytes is what STS takes as the value of a tag.
	maxSourceBytes = 256
)

// ErrProof says that a proof cannot be made of what the Proof holds. The text
// has no token and no nonce in it.
var ErrProof = errors.New("DPoP proof cannot be made")

// A Proof is what a proof says about the request that it goes with (RFC 9449
// section 4.2).
type Proof struct {
	// Method and URL are the request's. URL is absolute, http or https; query
	// and fragment are left out of the proof.
	Method, URL string
	// Token is the access token that the request carries. It is empty at the
	// token and the PAR endpoint.
	Token secret.String
	// Nonce is what Nonce found in an answer of the same server, or empty.
	Nonce string
	// Source is Vouch's claim for the program on whose behalf the request is
	// made, or empty: letters, digits, blanks and _.:/=+-@, 256 bytes at most.
	// It ends up as a tag of the AWS session.
	Source string
	// Issued is the time of the request.
	Issued time.Time
}

type claims struct {
	ID       string `json:"jti"`
	Method   string `json:"htm"`
	URL      string `json:"htu"`
	IssuedAt int64  `json:"iat"`
	Token    string `json:"ath,omitempty"`
	Nonce    string `json:"nonce,omitempty"`
	Source   string `json:"source,omitempty"`
}

// Sign returns a proof as the value of a DPoP header. Each call makes another
// one: a server takes a proof once, so that a retry needs a new one.
//
// Errors: ErrProof, and those of key.Sign.
func (p Proof) Sign(key *p256.Key) (string, error) {
	target, err := targetURL(p.URL)
	switch {
	case err != nil:
		return "", err
	case !ascii.Only(p.Method, ascii.Upper):
		return "", fmt.Errorf("%w: method is not one in capitals", ErrProof)
	case p.Nonce != "" && !isNonce(p.Nonce):
		return "", fmt.Errorf("%w: nonce breaks the grammar of RFC 9449 section 8.1", ErrProof)
	case p.Source != "" && (len(p.Source) > maxSourceBytes || !ascii.Only(p.Source, ascii.Alphanumeric+ascii.TagMarks)):
		return "", fmt.Errorf("%w: source is no value for an STS tag", ErrProof)
	}
	public := key.PublicJWK()
	return key.JWS(p256.Header{Type: "dpop+jwt", JWK: &public}, claims{
		ID:       rand.Text(), // 128 bits: a jti that was seen before is taken for a replay
		Method:   p.Method,
		URL:      target,
		IssuedAt: p.Issued.Unix(),
		Token:    tokenHash(p.Token),
		Nonce:    p.Nonce,
		Source:   p.Source,
	})
}

// targetURL returns htu: the URL without query and fragment, otherwise byte for
// byte as it is sent.
func targetURL(text string) (string, error) {
	u, err := url.Parse(text) // its error quotes the URL
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || !isVisible(text) {
		return "", fmt.Errorf("%w: URL is not a plain absolute http or https URL", ErrProof)
	}
	if end := strings.IndexAny(text, "?#"); end >= 0 {
		text = text[:end]
	}
	return text, nil
}

// tokenHash returns ath, the SHA-256 of the token in base64url. It keeps a proof
// from being used with another token of the same key.
func tokenHash(token secret.String) string {
	if token.IsEmpty() {
		return ""
	}
	sum := sha256.Sum256([]byte(token.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Nonce returns the nonce that an answer hands out in its DPoP-Nonce header (RFC
// 9449 section 8), or "" if there is none, more than one, or one that breaks the
// grammar.
func Nonce(answer http.Header) string {
	values := answer.Values("DPoP-Nonce")
	if len(values) != 1 || !isNonce(values[0]) {
		return ""
	}
	return values[0]
}

// isNonce reports whether s is a nonce: visible ASCII without quotation mark and
// backslash (RFC 9449 section 8.1).
func isNonce(s string) bool {
	return s != "" && len(s) <= maxNonceBytes && isVisible(s) && !strings.ContainsAny(s, `"\`)
}

// isVisible reports whether s is visible ASCII, which JSON takes as it is.
func isVisible(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
