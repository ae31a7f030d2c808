package ststest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	minDuration     = 900
	defaultDuration = 3600
	maxDuration     = 43200
	maxRoleDuration = 3600 // of the one role
	minARNBytes     = 20
	maxARNBytes     = 2048
	minTokenBytes   = 4
	maxTokenBytes   = 20000
	maxPolicyChars  = 2048
	maxPolicyARNs   = 10
	maxSessionToken = 4096
	percent         = 100
)

var (
	nameForm  = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`) // of sessions and source identities
	printable = regexp.MustCompile(`^[!-~]+$`)
)

// parameters are the checked parameters of a request.
type parameters struct {
	role         roleARN
	sessionName  string
	token        string
	duration     int // seconds
	packedPolicy int // percent of the limit
}

// readParameters checks every parameter against its constraint. Parameters of
// other actions are refused: tags and source identity of a web identity come
// from its token alone.
func readParameters(form url.Values) (*parameters, *refusal) {
	for name, values := range form {
		switch {
		case len(values) != 1:
			return nil, invalidParameter(name + " is repeated")
		case !isParameter(name):
			return nil, invalidParameter(name + " is not a parameter of " + action)
		}
	}
	p := &parameters{sessionName: form.Get("RoleSessionName"), token: form.Get("WebIdentityToken")}
	role, ok := parseRoleARN(form.Get("RoleArn"))
	switch {
	case !ok:
		return nil, invalidParameter("RoleArn is invalid")
	case !nameForm.MatchString(p.sessionName):
		return nil, invalidParameter("RoleSessionName is invalid")
	case len(p.token) < minTokenBytes || len(p.token) > maxTokenBytes:
		return nil, invalidParameter("WebIdentityToken is invalid")
	}
	p.role = role
	if p.duration, ok = number(form, "DurationSeconds", defaultDuration, minDuration, maxDuration); !ok {
		return nil, invalidParameter("DurationSeconds must be 900 to 43200")
	}
	if _, ok := number(form, "MinimumSessionTokenSize", 0, 0, maxSessionToken); !ok {
		return nil, invalidParameter("MinimumSessionTokenSize must be 0 to 4096")
	}
	chars, refused := readPolicies(form, role)
	p.packedPolicy = chars * percent / maxPolicyChars
	return p, refused
}

func isParameter(name string) bool {
	switch name {
	case "Action", "Version", "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds",
		"Policy", "MinimumSessionTokenSize", "PolicyArns": // the last is an SDK's empty list
		return true
	}
	n, ok := policyIndex(name)
	return ok && n >= 1 && n <= maxPolicyARNs
}

// number returns an integer parameter, or the default when it is left out.
func number(form url.Values, name string, absent, least, most int) (int, bool) {
	if !form.Has(name) {
		return absent, true
	}
	n, err := strconv.Atoi(form.Get(name))
	return n, err == nil && n >= least && n <= most && strconv.Itoa(n) == form.Get(name)
}

// policyIndex returns the N of PolicyArns.member.N.arn.
func policyIndex(name string) (int, bool) {
	rest, ok := strings.CutPrefix(name, "PolicyArns.member.")
	if !ok {
		return 0, false
	}
	digits, ok := strings.CutSuffix(rest, ".arn")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && strconv.Itoa(n) == digits
}

// readPolicies checks the session policies and returns their size together.
func readPolicies(form url.Values, role roleARN) (chars int, refused *refusal) {
	if form.Get("PolicyArns") != "" {
		return 0, invalidParameter("PolicyArns is invalid")
	}
	members := 0
	for name := range form {
		if _, ok := policyIndex(name); ok {
			members++
		}
	}
	for n := 1; n <= members; n++ {
		arn := form.Get("PolicyArns.member." + strconv.Itoa(n) + ".arn")
		if len(arn) < minARNBytes || len(arn) > maxARNBytes || !isPolicyARN(arn, role) {
			return 0, invalidParameter("PolicyArns is invalid")
		}
		chars += len(arn)
	}
	if policy := form.Get("Policy"); form.Has("Policy") {
		if !isPolicyText(policy) {
			return 0, invalidParameter("Policy is invalid")
		}
		var document struct {
			Statement json.RawMessage
		}
		if json.Unmarshal([]byte(policy), &document) != nil || len(document.Statement) == 0 {
			return 0, &refusal{http.StatusBadRequest, "MalformedPolicyDocument", "Policy is not a policy"}
		}
		chars += utf8.RuneCountInString(policy)
	}
	if chars > maxPolicyChars {
		return 0, &refusal{http.StatusBadRequest, "PackedPolicyTooLarge", "the session policies are too large"}
	}
	return chars, nil
}

// isPolicyARN reports whether arn is a managed policy of the role's account or
// of AWS, in the role's partition.
func isPolicyARN(arn string, role roleARN) bool {
	head := "arn:" + role.partition + ":iam::"
	for _, owner := range []string{"aws", role.account} {
		if name, ok := strings.CutPrefix(arn, head+owner+":policy/"); ok {
			return printable.MatchString(name)
		}
	}
	return false
}

func isPolicyText(policy string) bool {
	for _, c := range policy {
		if c > 0xff || c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
	}
	n := utf8.RuneCountInString(policy)
	return utf8.ValidString(policy) && n >= 1 && n <= maxPolicyChars
}
