package vouchtest

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	contentTypeForm = "application/x-www-form-urlencoded"
	stsVersion      = "2011-06-15"
	stsAction       = "AssumeRoleWithWebIdentity"
	maxSTSBodyBytes = 64 << 10

	// DefaultRoleARN is the one role there is. It trusts Vouch by the policy that
	// Vouch documents: the session is named after the token's sub, the token is
	// pinned to the role, and a session lasts an hour at most.
	DefaultRoleARN = "arn:aws:iam::123456789012:role/vouch/developer"
)

// STS is an AWS Security Token Service: AssumeRoleWithWebIdentity over the
// query protocol, for any region. It is an http.Handler and safe for concurrent
// use. Its Tap works on the path "/".
type STS struct {
	*Tap
	vouch *Vouch
	now   func() time.Time
}

// NewSTS returns an STS to which Vouch is the one OIDC provider of every account.
func NewSTS(v *Vouch) *STS {
	s := &STS{vouch: v, now: v.options.Now}
	s.Tap = newTap(tapOptions{next: http.HandlerFunc(s.serve), fail: s.failWith})
	return s
}

// stsError is a refusal of STS.
type stsError struct {
	Status        int
	Code, Message string
}

func denied() *stsError {
	return &stsError{http.StatusForbidden, "AccessDenied", "Not authorized to perform sts:" + stsAction}
}

func invalidParameter(why string) *stsError {
	return &stsError{http.StatusBadRequest, "ValidationError", why}
}

func (s *STS) serve(w http.ResponseWriter, r *http.Request) {
	form, refused := readQuery(r)
	var session *assumed
	if refused == nil {
		session, refused = s.assumeRole(form)
	}
	if refused != nil {
		writeSTSError(w, newUUID(s.now()), *refused)
		return
	}
	writeAssumed(w, newUUID(s.now()), session)
}

// failWith answers the way STS's own failures look. See Fault.
func (s *STS) failWith(w http.ResponseWriter, _ *http.Request, status int, code string) {
	if code == "" {
		code = "InternalFailure"
	}
	writeSTSError(w, newUUID(s.now()), stsError{status, code, "made to fail"})
}

// readQuery reads a request of the query protocol.
func readQuery(r *http.Request) (url.Values, *stsError) {
	media, _, err := mime.ParseMediaType(r.Header.Get(contentTypeField))
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/":
		return nil, &stsError{http.StatusMethodNotAllowed, "InvalidAction", "the request must be a POST to /"}
	case r.ContentLength < 0:
		return nil, &stsError{http.StatusLengthRequired, "MissingContentLength", "Content-Length is required"}
	case r.ContentLength > maxSTSBodyBytes:
		return nil, &stsError{http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "the request is too large"}
	case r.Header.Get("Authorization") != "":
		return nil, &stsError{http.StatusBadRequest, "IncompleteSignature", "the action is not signed"}
	case r.URL.RawQuery != "":
		return nil, invalidParameter("parameters belong in the body")
	case err != nil || media != contentTypeForm:
		return nil, &stsError{http.StatusBadRequest, "MissingAction", "no action in a body of this type"}
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
		return nil, &stsError{http.StatusBadRequest, "MissingAction", "Action is missing"}
	case form.Get("Action") != stsAction || form.Get("Version") != stsVersion:
		return nil, &stsError{http.StatusBadRequest, "InvalidAction", "could not find that operation for that version"}
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
func (s *STS) assumeRole(form url.Values) (*assumed, *stsError) {
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
	if p.role.text != DefaultRoleARN || !slices.Contains(who.Roles, DefaultRoleARN) || p.sessionName != who.Subject {
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

// parseRoleARN reads arn:<partition>:iam::<account>:role/<path/><name>.
func parseRoleARN(text string) (roleARN, bool) {
	parts := strings.SplitN(text, ":", 6)
	if len(text) > maxRoleARNBytes || len(parts) != 6 || parts[0] != "arn" ||
		!strings.HasPrefix(parts[1], "aws") || parts[2] != "iam" || parts[3] != "" || !isAccount(parts[4]) {
		return roleARN{}, false
	}
	path, ok := strings.CutPrefix(parts[5], "role/")
	name := path[strings.LastIndexByte(path, '/')+1:]
	if !ok || len(name) > maxSessionName || !isNameText(name) || name == "" || !isPath(path) {
		return roleARN{}, false
	}
	return roleARN{text: text, partition: parts[1], account: parts[4], name: name}, true
}

func isPath(path string) bool {
	for _, c := range []byte(path) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}
