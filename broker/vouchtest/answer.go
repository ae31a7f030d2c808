package vouchtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	contentTypeJSON = "application/json"
	contentTypeForm = "application/x-www-form-urlencoded"
)

// apiError is a refusal of the credential API: {"code", "message"}.
type apiError struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// oauthError is a refusal of the OAuth endpoints (RFC 6749 section 5.2).
type oauthError struct {
	Status      int    `json:"-"`
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func badRequest(code, description string) *oauthError {
	return &oauthError{http.StatusBadRequest, code, description}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentTypeJSON)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone
}

func writeText(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// refuseOAuth answers as the OAuth endpoints do.
func (v *Vouch) refuseOAuth(w http.ResponseWriter, e *oauthError) {
	v.offerNonce(w, e.Code)
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", "vouch"))
	}
	writeJSON(w, e.Status, e)
}

// offerNonce sends the nonce that an error code asks for (RFC 9449 section 8).
func (v *Vouch) offerNonce(w http.ResponseWriter, code string) {
	if v.latest() && code == codeUseNonce {
		w.Header().Set("DPoP-Nonce", v.newNonce())
	}
}

// refuse answers as the credential API does. Its 401s point at the protected
// resource metadata (RFC 9728 section 5.1).
func (v *Vouch) refuse(w http.ResponseWriter, e apiError) {
	if e.Status == http.StatusUnauthorized {
		v.challenge(w, e)
	}
	writeJSON(w, e.Status, e)
}

// challenge writes the headers of a resource's 401.
func (v *Vouch) challenge(w http.ResponseWriter, e apiError) {
	v.offerNonce(w, e.Code)
	var parts []string
	if e.Code != "" && e.Code != "unauthorized" { // RFC 6750 section 3.1: no error without a token
		parts = append(parts, fmt.Sprintf("error=%q", e.Code), fmt.Sprintf("error_description=%q", e.Message))
	}
	scheme := "Bearer "
	if v.latest() {
		scheme = "DPoP "
		parts = append(parts, fmt.Sprintf("algs=%q", clientAlg))
	}
	parts = append(parts, fmt.Sprintf("resource_metadata=%q", v.options.Issuer+"/.well-known/oauth-protected-resource"))
	w.Header().Set("WWW-Authenticate", scheme+strings.Join(parts, ", "))
}

// failWith answers the way Vouch's own failures look.
func (v *Vouch) failWith(w http.ResponseWriter, r *http.Request, status int, code string) {
	if code == "" {
		code = "server_error"
	}
	if strings.HasPrefix(r.URL.Path, "/oauth/") {
		v.refuseOAuth(w, &oauthError{status, code, "made to fail"})
		return
	}
	v.refuse(w, apiError{status, code, "made to fail"})
}

func cacheable(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "public, max-age=3600")
}

// digest stands for a secret in the tables, as in Vouch's own.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

// newUUID returns a UUID of version 7 (RFC 9562 section 5.7).
func newUUID(now time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(now.UnixMilli()))
	copy(b[:6], ms[2:])
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newSecret returns an unguessable text of 52 letters and digits.
func newSecret() string { return rand.Text() + rand.Text() }
