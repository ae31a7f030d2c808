package grant

import (
	"cmp"
	"strings"
	"time"

	"mcp-credential-broker/broker/mcp"
)

// A record is the audit line of one tool call. It is filled on the way and
// written once. It names what was issued by reference only, and holds no token,
// key, certificate or header.
type record struct {
	Event      string      `json:"event"` // "tool_call"
	Time       time.Time   `json:"time"`
	RequestID  string      `json:"request_id"`
	Subject    string      `json:"sub"`
	Email      string      `json:"email,omitempty"`
	ClientID   string      `json:"client_id"`
	ClientName string      `json:"client_name,omitempty"` // as the client calls itself
	Tool       string      `json:"tool"`
	Target     target      `json:"target"`
	Outcome    string      `json:"outcome"` // issued, refused (before anything was asked for), failed or canceled
	Status     int         `json:"status"`
	Error      string      `json:"error,omitempty"`  // the sentence that the client got
	Reason     string      `json:"reason,omitempty"` // upstream's code, or the kind of failure
	Issued     *issued     `json:"issued,omitempty"`
	Hops       []hopRecord `json:"hops,omitempty"`
}

// A target is what the credential is for. Only checked arguments come here.
type target struct {
	RoleARN        string   `json:"role_arn,omitempty"`
	Owner          string   `json:"owner,omitempty"`
	Repositories   []string `json:"repositories,omitempty"`
	KeyFingerprint string   `json:"key_fingerprint,omitempty"`
}

// issued refers to a credential so that it can be found in AWS's, GitHub's and
// Vouch's own logs.
type issued struct {
	AccessKeyID       string `json:"access_key_id,omitempty"`
	TokenSHA256       string `json:"token_sha256,omitempty"` // hex
	CertificateSerial string `json:"certificate_serial,omitempty"`
}

type hopRecord struct {
	To           hopName `json:"to"`
	Milliseconds int64   `json:"ms"`
}

func newRecord(now time.Time, who Caller, in *mcp.Call) *record {
	return &record{
		Event: "tool_call", Time: now.UTC(), RequestID: who.RequestID,
		Subject: who.Subject, Email: who.Email, ClientID: who.ClientID,
		ClientName: cleanName(cmp.Or(who.ClientName, in.ClientName)), Tool: in.Tool, Outcome: "failed", Status: 500,
	}
}

func (r *record) fail(f failure, err error) {
	r.Outcome, r.Status, r.Error, r.Reason = f.outcome, f.Status, f.Message, reasonOf(err)
}

// cleanName is a name that a client chose for itself, if it looks like one. What
// does not may be a secret that slipped into the wrong place.
func cleanName(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _.:/()+-@"
	if len(name) > 64 || strings.Trim(name, letters) != "" || strings.Contains(name, "--") {
		return ""
	}
	return name
}
