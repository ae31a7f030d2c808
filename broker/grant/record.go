package grant

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/clientname"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
)

// A record is the audit line of one tool call. It is filled on the way and
// written once. It names what was issued by reference only, and holds no token,
// key, certificate or header.
type record struct {
	Event      string `json:"event"` // "tool_call"
	Time       string `json:"time"`  // RFC 3339, in UTC; a time.Time would be written and then read to be checked
	RequestID  string `json:"request_id"`
	SignIn     string `json:"sign_in,omitempty"`
	Subject    string `json:"sub"`
	Email      string `json:"email,omitempty"`
	ClientID   string `json:"client_id"`
	ClientName string `json:"client_name,omitempty"` // as the client calls itself
	ClientHost string `json:"client_host,omitempty"`
	Tool       string `json:"tool"`
	Target     target `json:"target"`
	// Decision is allow, deny, would-deny or approval_wanted; empty when it did
	// not come to that.
	Decision    string            `json:"decision,omitempty"`
	Rule        string            `json:"rule,omitempty"` // that decided
	Level       policy.Level      `json:"level,omitempty"`
	Seconds     int               `json:"seconds,omitempty"`     // life of the credential
	Region      string            `json:"region,omitempty"`      // of STS
	Permissions map[string]string `json:"permissions,omitempty"` // of the GitHub token
	Purpose     string            `json:"purpose,omitempty"`     // as the client tells it
	ApprovedBy  string            `json:"approved_by,omitempty"`
	SealedTo    string            `json:"sealed_to,omitempty"`
	Outcome     string            `json:"outcome"` // issued, answered, refused (before anything was asked for), failed or canceled
	Status      int               `json:"status"`
	Error       string            `json:"error,omitempty"`  // the sentence that the client got
	Reason      string            `json:"reason,omitempty"` // upstream's code, or the kind of failure
	Issued      *issued           `json:"issued,omitempty"`
	Hops        []hopRecord       `json:"hops,omitempty"`
}

// A target is what the credential is for. Only checked arguments come here.
type target struct {
	Profile        string   `json:"profile,omitempty"`
	RoleARN        string   `json:"role_arn,omitempty"`
	Owner          string   `json:"owner,omitempty"`
	Repositories   []string `json:"repositories,omitempty"`
	KeyFingerprint string   `json:"key_fingerprint,omitempty"`
}

// String names the target in a sentence.
func (t target) String() string {
	switch {
	case t.Profile != "":
		return "the profile " + t.Profile
	case t.RoleARN != "":
		return t.RoleARN
	case t.KeyFingerprint != "":
		return "the key " + t.KeyFingerprint
	case len(t.Repositories) == 0:
		return "all repositories of " + cmp.Or(t.Owner, "the installation")
	case len(t.Repositories) > 3:
		return strconv.Itoa(len(t.Repositories)) + " repositories of " + t.Owner
	}
	return t.Owner + "/" + strings.Join(t.Repositories, ", "+t.Owner+"/")
}

// issued refers to a credential so that it can be found in AWS's, GitHub's and
// Vouch's own logs.
type issued struct {
	AccessKeyID       string `json:"access_key_id,omitempty"`
	TokenSHA256       string `json:"token_sha256,omitempty"` // base64, as GitHub's audit log writes hashed_token
	CertificateSerial string `json:"certificate_serial,omitempty"`
}

type hopRecord struct {
	To           hopName `json:"to"`
	Milliseconds int64   `json:"ms"`
}

func newRecord(now time.Time, who Caller, in *mcp.Call) *record {
	return &record{
		Event: "tool_call", Time: now.UTC().Format(time.RFC3339Nano), RequestID: who.RequestID,
		Subject: who.Subject, Email: who.Email, ClientID: who.ClientID,
		ClientName: clientname.Clean(cmp.Or(who.ClientName, in.ClientName)), ClientHost: who.ClientHost,
		SignIn: who.SignIn, Tool: in.Tool, Outcome: "failed", Status: 500,
	}
}

func (r *record) decided(d policy.Decision) {
	r.Rule, r.Level, r.Seconds = d.Rule, d.Level, d.Seconds
	switch {
	case !d.Allow:
		r.Decision = deny
	case d.WouldDeny:
		r.Decision = wouldDeny
	default:
		r.Decision = allow
	}
}

func (r *record) fail(f failure, err error) {
	r.Outcome, r.Status, r.Error, r.Reason = f.outcome, f.Status, cmp.Or(f.logged, f.Message), reasonOf(err)
}
