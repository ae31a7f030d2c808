package grant

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/seal"
)

// An approvalError says that a person must approve first, and by which link. The
// link is for that person's eyes: it goes into the answer and not into the log.
type approvalError struct {
	sentence, link, then string
}

func (e approvalError) Error() string { return "approval is wanted" }

// errAsked says that the client is asked to ask its person.
var errAsked = errors.New("the client's person is asked")

const answerKey = "approve"

// answerForm asks for a yes. A box that a client sends back as it was shown is a no.
var answerForm = json.RawMessage(`{"type":"object","properties":{"approve":{"type":"boolean","title":"Hand it out","default":false}},"required":["approve"]}`)

// approve sees to it that the person has approved what a rule wants approved, and
// that the decision after it is still a yes. With errAsked the question is in
// the Ask that it returns.
func (c *call) approve(t *tool, in arguments, wanted credential, q *mcp.Call) (*mcp.Ask, error) {
	if c.decision.Approve == policy.ApproveNone || c.decision.Approve == "" {
		if q.RequestState != "" { // the answer to a question that nobody asked
			return nil, errState
		}
		return nil, nil
	}
	notary := c.caller.Approvals
	if notary == nil {
		c.record.Decision = deny
		return nil, deniedError("a rule wants an approval for this, which relay mode has no way to ask for; the operator must run the broker in sign-in mode or change the rule")
	}
	arguments, err := approval.Canonical(in, approvalArgument, sealToArgument)
	if err != nil {
		return nil, invalid("the arguments must be texts, numbers and lists of texts")
	}
	wantedCall := approval.Call{Subject: c.caller.Subject, ClientIDHash: c.caller.ClientIDHash, Tool: t.name, Arguments: arguments}
	now := c.desk.config.Now()
	if code := c.options.approval; code != "" {
		if by, ok := notary.Verify(code, wantedCall, c.approvers(), now); ok {
			return nil, c.approved(by)
		}
	}
	c.record.Decision = approvalWanted
	request := c.approvalRequest(wantedCall, wanted)
	why := ""
	switch {
	case c.options.approval != "":
		why = "this code is not good for this call (it has expired, or the arguments or the app have changed); "
	case c.decision.Approve == policy.ApproveAsk && (q.AsksPeople || q.RequestState != ""):
		ask, yes, err := c.ask(notary, wantedCall, request, q)
		if yes {
			return nil, c.approved(c.caller.Subject)
		}
		if ask != nil || err != nil {
			return ask, err
		}
		why = "the person, or the app by itself, said no; "
	case q.RequestState != "":
		return nil, errState
	}
	link, err := notary.Link(request, now)
	if errors.Is(err, approval.ErrTooLong) {
		return nil, invalid("this asks for more than fits on the page of an approval; name fewer repositories at once, or shorten the purpose")
	}
	if err != nil {
		return nil, err
	}
	return nil, c.askByLink(request, wanted.target, why, link)
}

// approvers are the names under which an approval counts. Where a rule names some, the
// requester is none of them: a link from before the rule did so would have let
// requesters who are approvers too touch for themselves.
func (c *call) approvers() []string {
	if len(c.decision.Approvers) == 0 {
		return []string{c.caller.Subject}
	}
	own := []string{c.caller.Subject, glob.Lower(c.caller.known().Email)}
	return slices.DeleteFunc(slices.Clone(c.decision.Approvers), func(name string) bool { return slices.Contains(own, name) })
}

// approved goes on with what the rules say of an approved call: it may still be for
// a seal alone.
func (c *call) approved(by string) error {
	c.record.ApprovedBy = by
	c.decision = c.decision.Approved()
	c.record.decided(c.decision)
	if !c.decision.Allow {
		return deniedError(c.decision.Reason)
	}
	return nil
}

// ask is for clients that can ask their person. A no is neither an answer nor an
// error: some clients say no without asking anybody, so that the link remains.
func (c *call) ask(notary *approval.Notary, wanted approval.Call, request *approval.Request, q *mcp.Call) (ask *mcp.Ask, yes bool, err error) {
	now := c.desk.config.Now()
	if q.RequestState != "" {
		err := notary.CheckState(q.RequestState, wanted, now)
		switch {
		case err == nil:
			answer := gjson.GetBytes(q.InputResponses, answerKey)
			return nil, answer.Get("action").Str == "accept" && answer.Get("content.approve").Type == gjson.True, nil
		case !errors.Is(err, seal.ErrExpired) || !q.AsksPeople:
			return nil, false, errState
		}
	}
	state, err := notary.State(wanted, now)
	if err != nil {
		return nil, false, err
	}
	return &mcp.Ask{Key: answerKey, Message: question(request), Schema: answerForm, State: state}, false, errAsked
}

// question is the request in one paragraph, for a client to show. What nobody checked
// stands at its end and in quotes, so that it cannot pose as one of our words.
func question(r *approval.Request) string {
	parts := []string{"Hand this out? In the name of: " + r.Person, "Tool: " + r.Tool}
	var claimed []string
	for _, f := range r.Facts {
		if f.Claimed {
			claimed = append(claimed, f.Name+" (the app's own words, not checked): \""+strings.ReplaceAll(f.Value, "\"", "'")+"\"")
			continue
		}
		parts = append(parts, f.Name+": "+f.Value)
	}
	return strings.Join(append(parts, claimed...), ". ") + "."
}

// approvalRequest is what a person is shown.
func (c *call) approvalRequest(wanted approval.Call, w credential) *approval.Request {
	known := c.caller.known()
	person := known.Email
	if person == "" {
		person = c.caller.Subject
	}
	r := &approval.Request{
		Call: wanted, Email: known.Email, Person: person, ClientName: c.record.ClientName, ClientHost: c.caller.ClientHost,
		Rule: c.decision.Rule, Approvers: c.decision.Approvers,
	}
	add := func(name, value string) {
		if value != "" {
			r.Facts = append(r.Facts, approval.Fact{Name: name, Value: value})
		}
	}
	add("AWS profile", w.target.Profile)
	add("AWS role", w.target.RoleARN)
	switch c.decision.Level {
	case policy.View:
		add("What it may do there", "see names and settings, no stored data")
	case policy.Read:
		add("What it may do there", "read, stored data too")
	case policy.Write:
		add("What it may do there", "everything that the role may do: change and delete, too")
	}
	if w.target.Owner != "" {
		what := "all of them"
		if w.target.Repositories != nil {
			what = strings.Join(w.target.Repositories, ", ")
		}
		add("GitHub repositories of "+w.target.Owner, what)
		add("What it may do there", "read and write their contents")
	}
	add("SSH key", w.target.KeyFingerprint)
	add("For how long", lifeOf(c.decision.Seconds, w.request.Kind))
	r.Facts = append(r.Facts, w.facts...)
	if c.options.purpose != "" {
		r.Facts = append(r.Facts, approval.Fact{Name: "Purpose", Value: c.options.purpose, Claimed: true})
	}
	return r
}

// lifeOf says how long the credential lives.
func lifeOf(seconds int, kind policy.Kind) string {
	life := time.Duration(seconds) * time.Second
	switch {
	case kind == policy.GitHub:
		return "about an hour"
	case seconds == 0:
		return "as long as the issuer gives it"
	case life%time.Hour == 0:
		return plural(int(life/time.Hour), "hour")
	case life%time.Minute == 0:
		return plural(int(life/time.Minute), "minute")
	}
	return plural(seconds, "second")
}

func plural(n int, unit string) string {
	if n != 1 {
		unit += "s"
	}
	return strconv.Itoa(n) + " " + unit
}

// askByLink tells the client who can approve what, and how. It tells a model to hand
// the link on, and never to open it.
func (c *call) askByLink(r *approval.Request, of target, why, link string) error {
	who := r.Person + ", in whose name you call,"
	if len(r.Approvers) > 0 {
		who = "one of the approvers (" + strings.Join(r.Approvers, ", ") + "), and not " + r.Person + ", in whose name you call,"
	}
	then := "They open it themselves, best on another device, and get a code. Then call " + r.Tool +
		" again with the same arguments and the code as " + approvalArgument + ". Do not open the link yourself"
	if c.decision.Sealed && c.options.sealTo.String() == "" {
		then += ". It is given sealed only: " + c.decision.HowToSeal()
	}
	return approvalError{sentence: why + "nothing was handed out: " + who + " must approve this call of " + r.Tool + " for " + of.String() + " with a touch of their hardware key, on the page of this link", link: link, then: then}
}
