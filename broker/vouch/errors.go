package vouch

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/upstream"
)

var (
	// ErrRequest says that the request was not sent because Vouch could not
	// read it, or would read it as asking for more.
	ErrRequest = errors.New("vouch request is not valid")
	// ErrRequestTooLarge says that the request was not sent because its body is
	// above the 8 KiB that Vouch takes.
	ErrRequestTooLarge = errors.New("vouch request is too large")
	// ErrMalformed says that Vouch reported success with an answer that cannot
	// be read, lacks a field, or holds a certificate for another key.
	ErrMalformed = errors.New("malformed vouch answer")
)

// An Error is a refusal by Vouch. The sentence that came with it is dropped: it
// may name logins or quote the request.
type Error struct {
	// Status is the HTTP status, outside 200 to 299.
	Status int
	// Code is Vouch's name for the reason, e.g. "hardware_required"; at most
	// upstream.MaxCodeBytes lower-case letters, digits and underscores. It is empty when
	// there was none to read.
	Code string
	// RetryAfter is the wait that Vouch asks for, 0 to 1 hour.
	RetryAfter time.Duration
	// Unsigned says that this Vouch, v2026.6.3 or later, demands requests signed
	// by a registered client (RFC 9421) and so never takes a relayed token.
	Unsigned bool
}

// Error implements error.
func (e *Error) Error() string {
	text := "vouch answered with status " + strconv.Itoa(e.Status)
	switch {
	case e.Code != "":
		text += " (" + e.Code + ")"
	case e.Unsigned:
		text += " (signature required)"
	}
	return text
}

// readError reads a refusal. The credential API writes {"code", "message"}, the
// OAuth endpoints {"error", "error_description"}; either may answer.
func readError(resp *upstream.Response, now time.Time) *Error {
	e := &Error{
		Status:     resp.Status,
		RetryAfter: upstream.RetryAfter(resp.Header, now),
	}
	body := readAnswer(resp.Body).body // without members if it is no JSON object
	for _, key := range [...]string{"code", "error"} {
		if code := body.Member(key).Str; e.Code == "" && len(code) <= upstream.MaxCodeBytes && isCode(code) {
			e.Code = code
		}
	}
	// A failed signature check is the one refusal in plain text; a token or a
	// proof at fault is told in JSON.
	mediaType, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	e.Unsigned = resp.Status == http.StatusUnauthorized && e.Code == "" &&
		strings.EqualFold(strings.TrimSpace(mediaType), "text/plain")
	return e
}

// isCode reports whether s can be an error code or the name of a permission.
func isCode(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
