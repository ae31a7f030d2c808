package authserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
)

var (
	errStale         = errors.New("answer fits no trip of this browser")
	errNoTransaction = errors.New("there is no such transaction in this browser")
	errIssuer        = errors.New("answer names another issuer")
	errVouchCode     = errors.New("vouch's code is missing or too long")
	errVouchRefused  = errors.New("vouch ended the sign-in with an error")
)

// callback takes Vouch's answer to our authorization request and gives the
// client its own.
func (s *Server) callback(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	stale := invalid("invalid_request", "This was not begun in this browser, or took longer than 10 minutes, or is over already. Start again from your app.")
	query, err := readQuery(r)
	if err != nil || query.repeated() {
		return nil, stale.because(errMalformed)
	}
	state := query.get("state")
	name := transactionCookie + state
	cookie, err := r.Cookie(s.Config.cookieName(name))
	if err != nil {
		return nil, stale.because(errNoTransaction)
	}
	// Whatever comes of it, the transaction is over.
	over := []*http.Cookie{s.Config.clear(name)}
	stale.cookies = over
	var a *answer
	if isApproval(state) {
		e.Route = RouteApproved
		a, err = s.finishApproval(ctx, r, cookie.Value, query, e)
	} else {
		a, err = s.finishSignIn(r, cookie.Value, query, e)
	}
	if errors.Is(err, errStale) {
		return nil, stale.because(err)
	}
	if err != nil {
		fault := *asRefusal(err)
		fault.cookies = over
		return nil, &fault
	}
	a.cookies = over
	return a, nil
}

func (s *Server) finishSignIn(r *http.Request, sealed string, query params, e *Event) (*answer, error) {
	t := &transaction{}
	if err := s.openTrip(r, purposeTransaction, sealed, t.decode, &t.trip, query.get("state")); err != nil {
		return nil, err
	}
	e.client(t.clientIDHash, t.clientName, t.clientHost)
	e.RedirectHost = redirectHost(t.redirectURI)
	return s.finish(t, query)
}

// openTrip proves that this browser began the trip that state names. With somebody
// else's state and code an attacker could sign a victim's client in as the
// attacker, or the reverse (RFC 9700 section 4.7). Its error wraps errStale.
func (s *Server) openTrip(r *http.Request, purpose, sealed string, decode func([]byte) error, t *trip, state string) error {
	payload, err := s.Sealer.Open(purpose, sealed, s.Config.Now())
	if err == nil {
		err = decode(payload)
	}
	switch {
	case err != nil:
	case t.id != state:
		err = errNoTransaction
	case !s.Config.isBrowser(r, t.browser):
		err = errBrowser
	default:
		return nil
	}
	return fmt.Errorf("%w: %w", errStale, err)
}

// vouchCode reads Vouch's answer.
func (s *Server) vouchCode(query params) (string, *refusal) {
	// An answer of another server, which has learned our state, would carry that
	// server's code to Vouch, or ours to it (RFC 9207). Whose answer this is then
	// is unknown: the client is not told.
	if query.get("iss") != s.Config.VouchIssuer {
		return "", invalid("invalid_request", "The answer did not come from Vouch. Start again from your app.").because(errIssuer)
	}
	switch text := query.get("error"); text {
	case "":
	case "access_denied":
		return "", invalid("access_denied", "Vouch did not let the person sign in.").because(errVouchRefused)
	case "temporarily_unavailable":
		return "", invalid(text, "Vouch is busy; try again in a moment.").because(errVouchRefused)
	default: // its text is not passed on: it may come from anybody
		return "", invalid("server_error", "Vouch ended the sign-in with an error.").because(errVouchRefused)
	}
	code := query.get("code")
	if code == "" || len(code) > maxVouchCodeBytes {
		return "", invalid("server_error", "Vouch ended the sign-in without a usable code.").because(errVouchCode)
	}
	return code, nil
}

// finish wraps the code of Vouch's answer in ours.
func (s *Server) finish(t *transaction, query params) (*answer, error) {
	vouchCode, fault := s.vouchCode(query)
	switch {
	case fault == nil:
	case errors.Is(fault, errIssuer):
		return nil, fault
	default:
		return nil, fault.to(&t.request)
	}
	c := code{
		vouchCode: vouchCode, verifier: t.verifier, pushed: t.pushed,
		clientIDHash: t.clientIDHash, clientName: t.clientName, clientHost: t.clientHost, redirectHost: redirectHost(t.redirectURI),
		redirectURIHash: sha256.Sum256([]byte(t.redirectURI)),
		challenge:       t.challenge, asked: t.asked, granted: t.granted,
	}
	sealed, err := s.Sealer.Seal(purposeCode, s.Config.Now().Add(codeTime), c.encode())
	if err != nil {
		return nil, asRefusal(err).to(&t.request)
	}
	return &answer{status: http.StatusSeeOther, location: s.backTo(&t.request, parameter{"code", sealed})}, nil
}
