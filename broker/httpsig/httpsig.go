// Package httpsig signs the requests that the broker sends with HTTP message
// signatures (RFC 9421), algorithm ecdsa-p256-sha256.
//
// It promises that what is signed is what the request holds: a component that is
// missing, ambiguous, or that a host would rewrite on its way out is an error.
// It verifies no signatures, and knows neither responses, nor trailers, nor
// components with parameters.
package httpsig

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/p256"
)

const (
	label     = "sig1"
	algorithm = "ecdsa-p256-sha256"
	// maxNonceBytes is several times what servers send.
	maxNonceBytes = 512
)

// The reasons why a request is not signed. None has a header's value in it.
var (
	// ErrURL says that the URL is not one that every host sends as it is written.
	ErrURL = errors.New("URL cannot be signed")
	// ErrComponent says that a component is unknown, named twice, or missing in
	// the request, that its value cannot be signed, or that none is named.
	ErrComponent = errors.New("component cannot be signed")
	// ErrNonce says that a nonce is not one that Nonce returns.
	ErrNonce = errors.New("nonce cannot be signed")
)

// A Message is the request to sign.
type Message struct {
	Method string
	// URL is absolute, http or https, exactly as it is sent.
	URL string
	// Header is not nil: it gets the signature.
	Header http.Header
}

// Params say what is signed, and the parameters of the signature (RFC 9421
// section 2.3).
type Params struct {
	// Components are the covered components in their order: @method, @authority,
	// @path, @query, or the name of a header field in lower case.
	Components []string
	Created    time.Time
	// Nonce is what Nonce found in an answer of the same server, or empty.
	Nonce string
}

// Sign signs m and sets its Signature-Input and Signature fields, in place of
// any that an earlier try left. The keyid is the key's thumbprint. The order of
// parameters is alg, created, keyid, nonce: Vouch puts them together again in
// that order.
//
// Errors: ErrURL, ErrComponent, ErrNonce, and those of key.Sign. The header is
// then unchanged.
func Sign(key *p256.Key, m Message, p Params) error {
	if p.Nonce != "" && !isNonce(p.Nonce) {
		return ErrNonce
	}
	lines, err := m.lines(p.Components)
	if err != nil {
		return err
	}
	input := signatureParams(p, key.Thumbprint())
	signature, err := key.Sign(signatureBase(lines, input))
	if err != nil {
		return err
	}
	m.Header.Set("Signature-Input", label+"="+input)
	m.Header.Set("Signature", label+"="+byteSequence(signature))
	return nil
}

// ContentDigest returns the value of a Content-Digest field for body (RFC 9530
// section 2), with SHA-256.
func ContentDigest(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha-256=" + byteSequence(sum[:])
}

// Nonce returns the nonce that an answer hands out in its Signature-Nonce field,
// or "" if there is none, more than one, or one that would need escapes.
func Nonce(answer http.Header) string {
	values := answer.Values("Signature-Nonce")
	if len(values) != 1 || !isNonce(values[0]) {
		return ""
	}
	return values[0]
}

// isNonce reports whether s can stand between quotation marks as it is (RFC 8941
// section 3.3.3). A quotation mark in it would let the server that chose it add
// parameters to our signature.
func isNonce(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= maxNonceBytes
}

// signatureParams returns the covered components and the parameters as an inner
// list (RFC 9421 section 2.3).
func signatureParams(p Params, keyID string) string {
	params := `("` + strings.Join(p.Components, `" "`) + `");alg="` + algorithm + `"` +
		`;created=` + strconv.FormatInt(p.Created.Unix(), 10) + `;keyid="` + keyID + `"`
	if p.Nonce != "" {
		params += `;nonce="` + p.Nonce + `"`
	}
	return params
}

// signatureBase returns the text to sign (RFC 9421 section 2.5): the lines of the
// components, the parameters as the last one, no line feed after it.
func signatureBase(lines, params string) string {
	return lines + `"@signature-params": ` + params
}

// byteSequence encodes b for a structured field (RFC 8941 section 3.3.5).
func byteSequence(b []byte) string {
	return ":" + base64.StdEncoding.EncodeToString(b) + ":"
}
