package authserver

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

var (
	errOrigin  = errors.New("origin is not our own")
	errBrowser = errors.New("form or transaction belongs to another browser, or the browser takes no cookies")
)

// consent answers the consent page's form: to Vouch, or back to the client.
func (s *Server) consent(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	form, ticked, err := s.readConsent(r)
	if err != nil {
		return nil, err
	}
	req := &form.request
	e.client(req.clientIDHash, req.clientName, req.clientHost)
	e.RedirectHost = redirectHost(req.redirectURI)
	granted := ParseScopes(strings.Join(ticked["scope"], " ")) & req.asked
	if ticked.get("decision") != "allow" || granted == 0 {
		return nil, s.Config.toUnasked(invalid("access_denied", "The person refused, so that nothing was given."), req)
	}
	now := s.Config.Now()
	t := &transaction{request: *req, granted: granted, browser: form.browser, id: transactionID(now), pushed: now}
	_, _ = rand.Read(t.verifier[:]) // never fails
	sealed, err := s.Sealer.Seal(purposeTransaction, now.Add(signInTime), t.encode())
	if err != nil {
		return nil, asRefusal(err).to(req)
	}
	// From here on Vouch is asked, so the answer depends on it.
	location, err := s.Vouch.Push(ctx, PushRequest{
		State: t.id, CodeChallenge: challengeOf(verifierText(t.verifier)), RedirectURI: s.Config.Issuer + CallbackPath,
	})
	if err != nil {
		fault := vouchRefusal(err)
		if errors.As(err, new(*WaitError)) {
			return nil, fault // on a page: the person can go back and press the button again
		}
		return nil, fault.to(req)
	}
	cookies := append(s.Config.clearOldTransactions(r), s.Config.cookie(transactionCookie+t.id, sealed, signInTime))
	return &answer{status: http.StatusSeeOther, location: location, cookies: cookies}, nil
}

// readConsent proves that the form is one of ours, sent from our page by the
// browser that it was shown to. Without that a page elsewhere could press the
// button in the person's name, or an attacker could have a victim finish what
// the attacker began.
func (s *Server) readConsent(r *http.Request) (*consentForm, params, error) {
	forbidden := &refusal{status: http.StatusForbidden, code: "access_denied",
		sentence: "This page was not opened in this browser, or is older than 10 minutes, or the browser takes no cookies. Start again from your app."}
	if origin := r.Header.Values("Origin"); len(origin) != 1 || origin[0] != s.Config.Issuer {
		return nil, nil, forbidden.because(errOrigin)
	}
	ticked, err := readForm(r)
	if err != nil {
		return nil, nil, forbidden.because(err)
	}
	payload, err := s.Sealer.Open(purposeConsent, ticked.get("request"), s.Config.Now())
	if err != nil {
		return nil, nil, forbidden.because(err)
	}
	form := &consentForm{}
	if err := form.decode(payload); err != nil {
		return nil, nil, forbidden.because(err)
	}
	if !s.Config.isBrowser(r, form.browser) {
		return nil, nil, forbidden.because(errBrowser)
	}
	return form, ticked, nil
}

// equal compares in constant time.
func equal(a, b hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// verifierText is our PKCE verifier as it is sent (RFC 7636 section 4.1).
func verifierText(raw [verifierBytes]byte) string {
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// challengeOf is the S256 challenge of a verifier (RFC 7636 section 4.2).
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
