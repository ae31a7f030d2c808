package authserver

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"
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
	t := &transaction{*req, granted, newTrip(form.browser, s.Config.Now())}
	a, err := s.sendToVouch(ctx, r, &t.trip, purposeTransaction, t.encode())
	switch {
	case errors.As(err, new(*WaitError)):
		return nil, err // on a page: the person can go back and press the button again
	case err != nil:
		return nil, asRefusal(err).to(req)
	}
	return a, nil
}

func newTrip(browser hash, now time.Time) trip {
	t := trip{browser: browser, id: transactionID(now), pushed: now}
	t.verifier = newVerifier()
	return t
}

// sendToVouch sends the browser to Vouch, with a cookie that holds the payload of
// the trip until it comes back.
func (s *Server) sendToVouch(ctx context.Context, r *http.Request, t *trip, purpose string, payload []byte) (*answer, error) {
	sealed, err := s.Sealer.Seal(purpose, t.pushed.Add(signInTime), payload)
	if err != nil {
		return nil, err
	}
	// From here on Vouch is asked, so the answer depends on it.
	location, err := s.Vouch.Push(ctx, PushRequest{
		State: t.id, CodeChallenge: challengeOf(verifierText(t.verifier)), RedirectURI: s.Config.Issuer + CallbackPath,
	})
	if err != nil {
		return nil, vouchRefusal(err)
	}
	cookies := append(s.Config.clearOldTransactions(r), s.Config.cookie(transactionCookie+t.id, sealed, signInTime))
	return &answer{status: http.StatusSeeOther, location: location, cookies: cookies}, nil
}

// readConsent proves that the form is one of ours, sent from our page by the
// browser that it was shown to. Without that a page elsewhere could press the
// button in the person's name, or an attacker could have a victim finish what
// the attacker began.
func (s *Server) readConsent(r *http.Request) (*consentForm, params, error) {
	form := &consentForm{}
	ticked, err := s.readOwnForm(r, purposeConsent, form.decode)
	if err == nil && !s.Config.isBrowser(r, form.browser) {
		err = errBrowser
	}
	if err != nil {
		return nil, nil, notOurPage().because(err)
	}
	return form, ticked, nil
}

func notOurPage() *refusal {
	return &refusal{status: http.StatusForbidden, code: "access_denied",
		sentence: "This page was not opened in this browser, or is older than 10 minutes, or the browser takes no cookies. Start again from your app."}
}

// readOwnForm reads a form that was sent from a page of ours, and decodes what was
// sealed in it for that purpose. Whose browser it is the caller checks.
func (s *Server) readOwnForm(r *http.Request, purpose string, decode func([]byte) error) (params, error) {
	if origin := r.Header.Values("Origin"); len(origin) != 1 || origin[0] != s.Config.Issuer {
		return nil, errOrigin
	}
	form, err := readForm(r)
	if err != nil {
		return nil, err
	}
	payload, err := s.Sealer.Open(purpose, form.get("request"), s.Config.Now())
	if err != nil {
		return nil, err
	}
	return form, decode(payload)
}

// equal compares in constant time.
func equal(a, b hash) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }
