package authserver

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/policy"
)

// The routes of an Event about an approval: its page and form, and Vouch's answer.
const (
	RouteApprove  = "approve"
	RouteApproved = "approved"
)

// approvalSuffix ends the state of a trip that is an approval. A trip of one kind
// does not open as one of the other; this only says which to try.
const approvalSuffix = "-approval"

var errApprover = errors.New("somebody else touched a key, who may not approve this")

func isApproval(state string) bool { return strings.HasSuffix(state, approvalSuffix) }

// An approvalTrip is an approval that is under way: on our page, and then at Vouch.
type approvalTrip struct {
	wanted approval.Request
	trip
}

func (a *approvalTrip) encode() []byte {
	e := newEncoder()
	e.text(string(a.wanted.Encode()))
	a.trip.append(e)
	return e.data
}

func (a *approvalTrip) decode(data []byte) error {
	d := newDecoder(data)
	text := d.text()
	a.trip.read(d)
	if err := d.end(); err != nil {
		return err
	}
	wanted, err := approval.Decode([]byte(text))
	if err != nil {
		return err
	}
	a.wanted = *wanted
	return nil
}

// approval fills in which call waits for somebody.
func (e *Event) approval(r *approval.Request) {
	e.client(r.ClientIDHash, r.ClientName, r.ClientHost)
	e.Tool, e.Requester, e.Rule = r.Tool, r.Subject, r.Rule
}

// askToApprove shows what a link asks for. Whoever holds the link may look: who may
// approve is seen at the end.
func (s *Server) askToApprove(_ context.Context, r *http.Request, e *Event) (*answer, error) {
	stale := invalid("invalid_request", "This link is not one of this broker, or older than 30 minutes. Have the app call again for a new one.")
	query, err := readQuery(r)
	if err != nil || query.repeated() {
		return nil, stale.because(errMalformed)
	}
	now := s.Config.Now()
	wanted, err := s.Approvals.OpenLink(query.get("r"), now)
	if err != nil {
		return nil, stale.because(err)
	}
	e.approval(wanted)
	browser, cookies := s.Config.ensureBrowser(r)
	form := approvalTrip{*wanted, trip{browser: browser}}
	sealed, err := s.Sealer.Seal(purposeApprovalForm, now.Add(signInTime), form.encode())
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, page: s.Config.approvalPage(wanted, sealed), cookies: cookies}, nil
}

// sendToApprove answers the form of that page: to Vouch, for a touch of the key. A
// page elsewhere cannot press its button in the person's name.
func (s *Server) sendToApprove(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	t := &approvalTrip{}
	pressed, err := s.readOwnForm(r, purposeApprovalForm, t.decode)
	if err == nil && !s.Config.isBrowser(r, t.browser) {
		err = errBrowser
	}
	if err != nil {
		return nil, notOurPage().because(err)
	}
	e.approval(&t.wanted)
	if pressed.get("decision") != "allow" {
		e.Reason = "somebody who has the link pressed Refuse" // who, only Vouch could say
		return &answer{status: http.StatusOK, page: refusedPage(&t.wanted)}, nil
	}
	t.trip = newTrip(t.browser, s.Config.Now())
	t.id += approvalSuffix
	return s.sendToVouch(ctx, r, &t.trip, purposeApproval, t.encode())
}

// finishApproval takes Vouch's answer. Its token is for nothing but what it says of
// the person and the touch, and is revoked whatever comes of it.
func (s *Server) finishApproval(ctx context.Context, r *http.Request, sealed string, query params, e *Event) (*answer, error) {
	t := &approvalTrip{}
	if err := s.openTrip(r, purposeApproval, sealed, t.decode, &t.trip, query.get("state")); err != nil {
		return nil, err
	}
	e.approval(&t.wanted)
	vouchCode, fault := s.vouchCode(query)
	if fault != nil {
		return nil, fault
	}
	grant, err := s.Vouch.Redeem(ctx, vouchCode, verifierText(t.verifier), s.Config.Issuer+CallbackPath)
	var code string
	if err != nil {
		err = vouchRefusal(err)
	} else {
		e.Subject, e.Email = grant.Subject, grant.Email
		code, err = s.approve(t, grant, e)
	}
	if err != nil {
		return nil, s.discard(ctx, grant.Token, err)
	}
	if err := s.Vouch.Revoke(context.WithoutCancel(ctx), grant.Token); err != nil {
		e.Reason = reasonText(notRevoked(err).Error()) // the person did approve
	}
	return &answer{status: http.StatusOK, page: codePage(&t.wanted, code)}, nil
}

// approve decides whether a touch of the key is the approval that was asked for, and
// writes its code.
func (s *Server) approve(t *approvalTrip, grant Grant, e *Event) (code string, err error) {
	if !Fresh(grant.AuthTime, t.pushed) {
		return "", invalid("access_denied", "Vouch let the browser pass without the hardware key, so that nothing was approved. Sign out at Vouch and open the link again; if it recurs, the operator should look at the log.").because(errNotFresh)
	}
	person := policy.Caller{Subject: grant.Subject}
	if grant.EmailVerified {
		person.Email = grant.Email
	}
	requester := policy.Caller{Subject: t.wanted.Subject, Email: t.wanted.Email}
	name, ok := policy.MayApprove(t.wanted.Approvers, requester, person)
	if !ok {
		sentence := "Only " + t.wanted.Person + " may approve this, and somebody else signed in at Vouch. Nothing was approved; sign in as that person."
		if len(t.wanted.Approvers) > 0 {
			sentence = "You may not approve this: the policy names who may, and whoever asks never may. Nothing was approved; send the link to an approver."
		}
		return "", (&refusal{status: http.StatusForbidden, code: "access_denied", sentence: sentence}).because(errApprover)
	}
	e.ApprovedBy = name
	return s.Approvals.Code(t.wanted.Call, name, s.Config.Now())
}
