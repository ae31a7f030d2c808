// Package ststest is a strict AWS STS for tests and for the development stack. It
// promises to refuse what the real one refuses and to answer in its shapes; the
// credentials that it hands out open nothing.
package ststest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/vouchtest/fault"
)

const (
	contentTypeForm = "application/x-www-form-urlencoded"
	version         = "2011-06-15"
	action          = "AssumeRoleWithWebIdentity"
	maxBodyBytes    = 64 << 10

	// RoleARN is the one role there is. It trusts Vouch by the policy that
	// Vouch documents: the session is named after the token's sub, the token is
	// pinned to the role, and a session lasts an hour at most.
	RoleARN = "arn:aws:iam::123456789012:role/vouch/developer"
)

// STS is an AWS Security Token Service: AssumeRoleWithWebIdentity over the
// query protocol, for any region. It is an http.Handler and safe for concurrent
// use. Its Tap works on the path "/".
type STS struct {
	*fault.Tap
	issuer string
	key    jwt.Keyfunc
	now    func() time.Time
}

// New returns an STS to which the issuer is the one OIDC provider of every account.
// key finds the public key that a token of the issuer's names.
func New(issuer string, key jwt.Keyfunc, now func() time.Time) *STS {
	s := &STS{issuer: issuer, key: key, now: now}
	s.Tap = fault.NewTap(http.HandlerFunc(s.serve), failWith)
	return s
}

// refusal is a refusal of STS.
type refusal struct {
	Status        int
	Code, Message string
}

func denied() *refusal {
	return &refusal{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:" + action}
}

func invalidParameter(why string) *refusal {
	return &refusal{http.StatusBadRequest, "ValidationError", why}
}

func (s *STS) serve(w http.ResponseWriter, r *http.Request) {
	form, refused := readQuery(r)
	var session *assumed
	if refused == nil {
		session, refused = s.assumeRole(form)
	}
	if refused != nil {
		writeRefusal(w, *refused)
		return
	}
	writeAssumed(w, session)
}

// failWith answers the way STS's own failures look.
func failWith(w http.ResponseWriter, _ *http.Request, status int, code string) {
	if code == "" {
		code = "InternalFailure"
	}
	writeRefusal(w, refusal{status, code, "made to fail"})
}

// readQuery reads a request of the query protocol.
func readQuery(r *http.Request) (url.Values, *refusal) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		return nil, &refusal{http.StatusMethodNotAllowed, "InvalidAction", "the request must be a POST to /"}
	case r.ContentLength < 0:
		return nil, &refusal{http.StatusLengthRequired, "MissingContentLength", "Content-Length is required"}
	case r.ContentLength > maxBodyBytes:
		return nil, &refusal{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the request is too large"}
	case r.Header.Get("Authorization") != "":
		return nil, &refusal{http.StatusBadRequest, "IncompleteSignature", "the action is not signed"}
	case r.URL.RawQuery != "":
		return nil, invalidParameter("parameters belong in the body")
	case err != nil || media != contentTypeForm:
		return nil, &refusal{http.StatusBadRequest, "MissingAction", "no action in a body of this type"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, invalidParameter("the body could not be read")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, invalidParameter("the body is not a form")
	}
	switch {
	case form.Get("Action") == "":
		return nil, &refusal{http.StatusBadRequest, "MissingAction", "Action is missing"}
	case form.Get("Action") != action || form.Get("Version") != version:
		return nil, &refusal{http.StatusBadRequest, "InvalidAction", "could not find that operation for that version"}
	}
	return form, nil
}

// assumed is a role session.
type assumed struct {
	identity     *identity
	role         roleARN
	name         string
	expires      time.Time
	packedPolicy int // percent
}

// assumeRole makes its checks in this order: parameters, token, role, trust
// policy, duration.
func (s *STS) assumeRole(form url.Values) (*assumed, *refusal) {
	p, refused := readParameters(form)
	if refused != nil {
		return nil, refused
	}
	who, refused := s.identify(p.token)
	if refused != nil {
		return nil, refused
	}
	// The condition's value is the token's sub, in which * and ? are no wildcards, so
	// that StringLike is equality here. All refusals are alike: STS names no roles.
	if p.role.text != RoleARN || !slices.Contains(who.Roles, RoleARN) || p.sessionName != who.Subject {
		return nil, denied()
	}
	if p.duration > maxRoleDuration {
		return nil, invalidParameter("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	return &assumed{
		identity: who, role: p.role, name: p.sessionName, packedPolicy: p.packedPolicy,
		expires: s.now().Add(time.Duration(p.duration) * time.Second),
	}, nil
}

// roleARN is the ARN of an IAM role.
type roleARN struct {
	text, partition, account, name string
}

// roleForm is arn:<partition>:iam::<account>:role/<path/><name>.
var roleForm = regexp.MustCompile(`^arn:(aws[^:]*):iam::([0-9]{12}):role/(?:[!-~]*/)?([\w+=,.@-]{1,64})$`)

func parseRoleARN(text string) (roleARN, bool) {
	parts := roleForm.FindStringSubmatch(text)
	if parts == nil || len(text) > maxARNBytes {
		return roleARN{}, false
	}
	return roleARN{text: text, partition: parts[1], account: parts[2], name: parts[3]}, true
}
