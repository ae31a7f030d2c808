package vouchtest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	signatureAlg       = "ecdsa-p256-sha256"
	signatureBytes     = 64 // r and s; v2026.10.1 refuses ASN.1 DER
	maxSignatureAge    = 300 * time.Second
	maxSignatureAhead  = 60 * time.Second
	signatureText      = "signature verification failed"
	digestAlg          = "sha-256"
	componentDigest    = "content-digest"
	acceptedComponents = `sig1=("@method" "@authority" "@path" "@query" "authorization"`
)

var (
	errUncovered      = errors.New("request is unsigned, or its signature leaves out what it must cover")
	errSignature      = errors.New("request signature is not valid")
	errSignatureNonce = errors.New("request signature has a nonce that is unknown or used")
)

// checkSignature verifies the signature of a request to the credential API, as
// far as this version wants one. The errors are errUncovered, errSignature and
// errSignatureNonce.
func (v *Vouch) checkSignature(r *http.Request, body []byte) error {
	if !v.latest() && !v.options.RequireSignatures {
		return nil
	}
	signature, input := joined(r.Header, "Signature"), joined(r.Header, "Signature-Input")
	switch {
	case signature == "" || input == "":
		return errUncovered
	case !v.latest():
		return errSignature
	}
	inputs, err := parseSignatureInput(input)
	if err != nil {
		return errSignature
	}
	signatures, err := parseByteMembers(signature)
	if err != nil {
		return errSignature
	}
	first := inputs[0] // Vouch looks at no other
	if err := v.checkInput(r, &first, body); err != nil {
		return err
	}
	base, ok := v.signatureBase(r, &first)
	key := v.signatureKey(r, first.keyID)
	if !ok || key == nil || !verifyES256(key, base, signatures[first.label]) {
		return errSignature
	}
	// Last, so that only the holder of the key can use a nonce up.
	if slices.Contains(first.given, "nonce") && !v.nonces.take(first.nonce, v.now()) {
		return errSignatureNonce
	}
	return nil
}

// checkInput judges what a signature covers, its parameters, and the digest of
// the body.
func (v *Vouch) checkInput(r *http.Request, in *signatureInput, body []byte) error {
	required := []string{"@method", "@path"}
	if len(body) > 0 {
		required = append(required, componentDigest)
	}
	for _, name := range required {
		if !slices.Contains(in.components, name) {
			return errUncovered
		}
	}
	sorted := slices.Sorted(slices.Values(in.components))
	if len(slices.Compact(sorted)) != len(in.components) { // RFC 9421 section 2
		return errSignature
	}
	// A parameter that is left out reads as zero, which is too old, no algorithm
	// and no key's id.
	age := v.now().Sub(time.Unix(in.created, 0))
	if in.alg != signatureAlg || age > maxSignatureAge || age < -maxSignatureAhead {
		return errSignature
	}
	if !digestFits(r.Header, body) {
		return errSignature
	}
	return nil
}

// digestFits holds a Content-Digest against the body (RFC 9530 section 2), the
// empty one too: without that, a body could be stripped.
func digestFits(h http.Header, body []byte) bool {
	field := joined(h, "Content-Digest")
	if field == "" {
		return len(body) == 0
	}
	members, err := parseByteMembers(field)
	sum := sha256.Sum256(body)
	return err == nil && len(members) == 1 && bytes.Equal(members[digestAlg], sum[:])
}

// signatureBase returns the text that the signature is over (RFC 9421 section
// 2.5). It fails when the request lacks a component.
func (v *Vouch) signatureBase(r *http.Request, in *signatureInput) (string, bool) {
	var b strings.Builder
	for _, name := range in.components {
		value, ok := v.component(r, name)
		if !ok {
			return "", false
		}
		fmt.Fprintf(&b, "\"%s\": %s\n", name, value)
	}
	b.WriteString(`"@signature-params": ` + in.params)
	return b.String(), true
}

// component returns the value of a covered component (RFC 9421 sections 2.1 and
// 2.2).
func (v *Vouch) component(r *http.Request, name string) (string, bool) {
	if !strings.HasPrefix(name, "@") {
		if name == "" || strings.ToLower(name) != name || len(r.Header.Values(name)) == 0 {
			return "", false
		}
		return joined(r.Header, name), true
	}
	scheme, _, _ := strings.Cut(v.options.Issuer, ":")
	origin, ok := originOf(&url.URL{Scheme: scheme, Host: r.Host})
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	target := path
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		target += "?" + r.URL.RawQuery
	}
	switch name {
	case "@method":
		return r.Method, true
	case "@authority":
		return strings.TrimPrefix(origin, scheme+"://"), ok
	case "@scheme":
		return scheme, true
	case "@target-uri":
		return origin + target, ok
	case "@request-target":
		return target, true
	case "@path":
		return path, true
	case "@query":
		return "?" + r.URL.RawQuery, true
	}
	return "", false
}

// joined returns a field's lines as one value.
func joined(h http.Header, name string) string {
	var values []string
	for _, value := range h.Values(name) {
		values = append(values, strings.TrimSpace(value))
	}
	return strings.Join(values, ", ")
}

// signatureKey finds a key by its id among those of the client that the access
// token names. The token is verified later: who lies about the client gets a
// key that is not the liar's.
func (v *Vouch) signatureKey(r *http.Request, id string) *ecdsa.PublicKey {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 || id == "" {
		return nil
	}
	_, token, _ := strings.Cut(headers[0], " ")
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		ClientID string `json:"client_id"`
	}
	if err != nil || json.Unmarshal(text, &claims) != nil {
		return nil
	}
	c := v.client(claims.ClientID)
	if c == nil {
		return nil
	}
	key := keyByID(c.metadata.keys, id)
	if key == nil || !key.signs() {
		return nil
	}
	return key.public
}

func verifyES256(key *ecdsa.PublicKey, text string, signature []byte) bool {
	if len(signature) != signatureBytes {
		return false
	}
	sum := sha256.Sum256([]byte(text))
	r := new(big.Int).SetBytes(signature[:signatureBytes/2])
	s := new(big.Int).SetBytes(signature[signatureBytes/2:])
	return ecdsa.Verify(key, sum[:], r, s)
}

// refuseSignature answers a request whose signature is missing or wrong. Only
// what is missing is hinted at.
func (v *Vouch) refuseSignature(w http.ResponseWriter, why error, body []byte) {
	switch {
	case errors.Is(why, errUncovered):
		components := acceptedComponents
		if len(body) > 0 {
			components += ` "` + componentDigest + `"`
		}
		w.Header().Set("Accept-Signature", components+`);alg="`+signatureAlg+`"`)
	case errors.Is(why, errSignatureNonce):
		w.Header().Set("Signature-Nonce", v.newNonce())
	}
	v.challenge(w, apiError{})
	writeText(w, http.StatusUnauthorized, signatureText)
}

// signedWriter adds the nonce for the next signature to a success.
type signedWriter struct {
	http.ResponseWriter
	vouch *Vouch
}

func (w *signedWriter) WriteHeader(status int) {
	if status < http.StatusMultipleChoices {
		w.Header().Set("Signature-Nonce", w.vouch.newNonce())
	}
	w.ResponseWriter.WriteHeader(status)
}
