package authserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/page"
	"mcp-credential-broker/broker/upstream"
)

// A refusal is why a request goes no further, and how that is told.
type refusal struct {
	status    int    // of a page or a JSON answer; a redirect has its own
	code      string // OAuth error code
	sentence  string // text for people, and error_description: of ours, but for a host
	wait      time.Duration
	allow     string   // methods, for status 405
	back      *request // tell its client by a redirect; nil: a page or JSON
	cookies   []*http.Cookie
	challenge bool  // the client authenticated itself, in vain
	cause     error // for the log alone
}

// Error implements error.
func (r *refusal) Error() string { return r.code + ": " + r.sentence }

// Unwrap returns the cause.
func (r *refusal) Unwrap() error { return r.cause }

// reason is the text for the log.
func (r *refusal) reason() string {
	if r.cause == nil {
		return r.sentence
	}
	return reasonText(r.sentence + " (" + r.cause.Error() + ")")
}

func reasonText(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxReasonBytes)], "")
}

// invalid is a refusal with status 400.
func invalid(code, sentence string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, sentence: sentence}
}

// because returns r with a cause.
func (r *refusal) because(cause error) *refusal {
	r.cause = cause
	return r
}

// to returns r as told to the client of req, whose redirect URI is proven.
func (r *refusal) to(req *request) *refusal {
	r.back = req
	return r
}

// asRefusal makes a refusal of any error: what is not one is a fault of ours.
func asRefusal(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	return (&refusal{status: http.StatusInternalServerError, code: "server_error", sentence: "The broker failed; try again."}).because(err)
}

// vouchRefusal is for the errors of the interface Vouch.
func vouchRefusal(err error) *refusal {
	var wait *WaitError
	switch {
	case errors.As(err, &wait):
		what, pause := "has had too many sign-ins", max(wait.RetryAfter, time.Second)
		if wait.Failed {
			what = "failed"
		}
		return (&refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			sentence: fmt.Sprintf("Vouch %s; try again in %d s.", what, wholeSeconds(pause)), wait: pause}).because(err)
	case errors.Is(err, ErrCodeUsed):
		return invalid("invalid_grant", "The code was used already or has expired; sign in again.").because(err)
	case errors.Is(err, upstream.ErrTimeout), errors.Is(err, upstream.ErrUnreachable), errors.Is(err, upstream.ErrNoTime), errors.Is(err, context.Canceled):
		return (&refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			sentence: "Vouch could not be reached; try again in a moment.", wait: time.Second}).because(err)
	case errors.As(err, new(*oauth.UnavailableError)):
		return (&refusal{status: http.StatusServiceUnavailable, code: "temporarily_unavailable",
			sentence: "The keys of Vouch cannot be fetched now, so that nothing was given; sign in again in a moment.", wait: time.Second}).because(err)
	case errors.Is(err, oauth.ErrInvalidToken):
		return (&refusal{status: http.StatusBadGateway, code: "server_error",
			sentence: "Vouch's answer does not prove a sign-in with the hardware key for this broker, so that nothing was given. Sign in again with the key; if it recurs, the operator should look at the log."}).because(err)
	default:
		return (&refusal{status: http.StatusBadGateway, code: "server_error",
			sentence: "Vouch refused the broker; its operator should look at the log."}).because(err)
	}
}

// tell turns a refusal into an answer, the one place where that is decided.
func (s *Server) tell(route, path string, r *refusal) *answer {
	a := &answer{status: r.status, wait: r.wait, allow: r.allow, cookies: r.cookies, challenge: r.challenge}
	switch {
	case r.back != nil:
		a.status, a.wait = http.StatusSeeOther, 0
		a.location = s.backTo(r.back, parameter{"error", r.code}, parameter{"error_description", r.sentence})
	case isJSON(path):
		a.json = oauthError{r.code, r.sentence}
		if r.code == "invalid_client" {
			a.status = http.StatusUnauthorized // RFC 6749 section 5.2
		}
	default:
		what := "sign-in"
		if route == RouteApprove || route == RouteApproved {
			what = "approval"
		}
		a.page = page.Fault{Title: "The " + what + " stopped", Heading: "This " + what + " cannot go on", Sentence: r.sentence, RequestID: s.RequestID}.Document()
	}
	return a
}

// oauthError is the error answer of RFC 6749 section 5.2 and RFC 7591 section 3.2.2.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// wholeSeconds rounds a wait up.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
