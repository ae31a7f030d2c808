package authserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
)

const (
	// maxVouchCodeBytes bounds Vouch's code, which ours wraps.
	maxVouchCodeBytes = 1024
	// maxAccessTokenBytes bounds what clients must carry.
	maxAccessTokenBytes = 3 << 10
)

var (
	errNoTransaction = errors.New("there is no such transaction in this browser")
	errIssuer        = errors.New("answer names another issuer")
	errVouchCode     = errors.New("vouch's code is missing or too long")
	errVouchRefused  = errors.New("vouch ended the sign-in with an error")
)

// callback takes Vouch's answer to our authorization request and gives the
// client its own.
func (s *Server) callback(_ context.Context, r *http.Request, e *Event) (*answer, error) {
	stale := invalid("invalid_request", "This sign-in was not begun in this browser, or took longer than 10 minutes, or is over already. Start again from your app.")
	query, err := readQuery(r)
	if err != nil || query.repeated() {
		return nil, stale.because(errMalformed)
	}
	name := transactionCookie + query.get("state")
	cookie, err := r.Cookie(s.Config.cookieName(name))
	if err != nil {
		return nil, stale.because(errNoTransaction)
	}
	// Whatever comes of it, the transaction is over.
	over := []*http.Cookie{s.Config.clear(name)}
	stale.cookies = over
	t, err := s.openTransaction(r, cookie.Value, query.get("state"))
	if err != nil {
		return nil, stale.because(err)
	}
	e.client(t.clientIDHash, t.clientName, t.clientHost)
	e.RedirectHost = redirectHost(t.redirectURI)
	a, err := s.finish(t, query)
	if err != nil {
		fault := *asRefusal(err)
		fault.cookies = over
		return nil, &fault
	}
	a.cookies = over
	return a, nil
}

// openTransaction proves that this browser began the sign-in that state names.
// With somebody else's state and code an attacker could sign a victim's client in
// as the attacker, or the reverse (RFC 9700 section 4.7).
func (s *Server) openTransaction(r *http.Request, sealed, state string) (*transaction, error) {
	payload, err := s.Sealer.Open(purposeTransaction, sealed, s.Config.Now())
	if err != nil {
		return nil, err
	}
	t := &transaction{}
	if err := t.decode(payload); err != nil {
		return nil, err
	}
	if t.id != state {
		return nil, errNoTransaction
	}
	if !s.Config.isBrowser(r, t.browser) {
		return nil, errBrowser
	}
	return t, nil
}

// finish reads Vouch's answer and wraps its code in ours.
func (s *Server) finish(t *transaction, query params) (*answer, error) {
	// An answer of another server, which has learned our state, would carry that
	// server's code to Vouch, or ours to it (RFC 9207). Whose answer this is then
	// is unknown: the client is not told.
	if query.get("iss") != s.Config.VouchIssuer {
		return nil, invalid("invalid_request", "The answer did not come from Vouch. Start again from your app.").because(errIssuer)
	}
	switch text := query.get("error"); text {
	case "":
	case "access_denied":
		return nil, invalid("access_denied", "Vouch did not let the person sign in.").because(errVouchRefused).to(&t.request)
	case "temporarily_unavailable":
		return nil, invalid(text, "Vouch is busy; try again in a moment.").because(errVouchRefused).to(&t.request)
	default: // its text is not passed on: it may come from anybody
		return nil, invalid("server_error", "Vouch ended the sign-in with an error.").because(errVouchRefused).to(&t.request)
	}
	vouchCode := query.get("code")
	if vouchCode == "" || len(vouchCode) > maxVouchCodeBytes {
		return nil, invalid("server_error", "Vouch ended the sign-in without a usable code.").because(errVouchCode).to(&t.request)
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

// isVerifier reports whether a client's PKCE verifier has the form of RFC 7636
// section 4.1.
func isVerifier(text string) bool {
	return len(text) >= 43 && len(text) <= 128 && strings.Trim(text, alphanumeric+"-._~") == ""
}
