// Package approval is how a person says yes to one call: the link by which they
// are asked, the code that they bring back, and the state of a question that a
// client asks for us.
//
// It promises that a code and a state are good for one call of one person by one
// client with one set of arguments, at one broker, for minutes, and that whoever
// holds the link can change nothing in it. It stores nothing: within its minutes
// the same call may be made again with the same code. Whether somebody did say yes,
// and who may, is decided by who calls it.
package approval

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/seal"
)

// Path is where a link leads, on the broker's origin.
const Path = "/approve"

const (
	// CodeTime is how long a code is good for; up to a minute less, since its
	// expiry is a whole minute.
	CodeTime = 5 * time.Minute
	// StateTime is how long a person may look at a client's question.
	StateTime = 2 * time.Minute
	// LinkTime is how long a link can be opened: an approver may have to be found.
	LinkTime = 30 * time.Minute
	// MaxRequestBytes bounds what a link says, so that it fits into a message, and
	// into a cookie while the person is at Vouch.
	MaxRequestBytes = 1500
)

const (
	purposeLink  seal.Purpose = "approval link"
	purposeState seal.Purpose = "approval state"

	keyInfo     = "mcp-credential-broker approval code v1"
	expiryBytes = 2
	macBytes    = 8
	groupChars  = 4
)

var (
	// ErrTooLong says that a request has more to say than a page should show.
	ErrTooLong = errors.New("request is too long for an approval")
	// ErrState says that a state is not for this call, or not ours.
	ErrState = errors.New("state is not for this call")
)

// A Call is what an approval is for. Two calls are the same if all of it is.
type Call struct {
	Subject      string // of the person in whose name the client calls
	ClientIDHash [sha256.Size]byte
	Tool         string
	Arguments    [sha256.Size]byte // see Canonical
}

// A Notary makes and checks links, codes and states with the keys of its box. It
// does not change and may be used concurrently.
type Notary struct {
	// Box is the broker's; its Issuer is where links lead to.
	Box seal.Box
}

// Link returns the URL of the page that asks for the approval of r.
//
// Errors: ErrTooLong, and those of seal.Box.
func (n Notary) Link(r *Request, now time.Time) (string, error) {
	payload := r.Encode()
	if len(payload) > MaxRequestBytes {
		return "", ErrTooLong
	}
	sealed, err := n.Box.Seal(purposeLink, now.Add(LinkTime), payload)
	if err != nil {
		return "", err
	}
	return n.Box.Issuer + Path + "?r=" + sealed, nil
}

// OpenLink returns what the parameter r of a link holds.
//
// Errors: those of seal.Box and Decode.
func (n Notary) OpenLink(sealed string, now time.Time) (*Request, error) {
	payload, _, err := n.Box.Open(purposeLink, sealed, now)
	if err != nil {
		return nil, err
	}
	return Decode(payload)
}

// Code returns the code by which approver, a name of Verify's, has approved a call.
// It is no secret: without the caller's token it does nothing.
func (n Notary) Code(c Call, approver string, now time.Time) (string, error) {
	expires := now.Add(CodeTime).Unix() / 60
	mac, err := n.mac(n.Box.Current, c, approver, expires)
	if err != nil {
		return "", err
	}
	raw := append(binary.BigEndian.AppendUint16(nil, uint16(expires)), mac...)
	text := base32.StdEncoding.EncodeToString(raw)
	var groups []string
	for ; text != ""; text = text[groupChars:] {
		groups = append(groups, text[:groupChars])
	}
	return strings.Join(groups, "-"), nil
}

// Verify returns who of the approvers has approved a call with this code. People
// type codes: case, spaces and hyphens do not count. Every key and every approver
// is tried, in a time that tells nothing of how near a wrong code is.
func (n Notary) Verify(code string, c Call, approvers []string, now time.Time) (approver string, ok bool) {
	raw, err := base32.StdEncoding.DecodeString(strings.Map(typed, code))
	if err != nil || len(raw) != expiryBytes+macBytes {
		return "", false
	}
	// Of the minute of expiry a code has the last 16 bits only. Those above are of
	// the one time within reach; the MAC is over all of them, so that a code does
	// not come back to life after 45 days.
	minute := now.Unix() / 60
	left := int64(int16(binary.BigEndian.Uint16(raw) - uint16(minute)))
	if left <= 0 || left > int64(CodeTime/time.Minute) {
		return "", false
	}
	for _, key := range []*p256.Key{n.Box.Current, n.Box.Previous} {
		if key == nil {
			continue
		}
		for _, name := range approvers {
			mac, err := n.mac(key, c, name, minute+left)
			if err == nil && hmac.Equal(mac, raw[expiryBytes:]) {
				approver, ok = name, true
			}
		}
	}
	return approver, ok
}

// typed is a character of a code as a person may type it.
func typed(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z':
		return r - 'a' + 'A'
	case r == '-' || r == ' ':
		return -1
	case r < ' ': // the decoder would skip line ends
		return '!'
	}
	return r
}

// mac authenticates an approval: of which call, by whom, until when, at which
// broker.
func (n Notary) mac(key *p256.Key, c Call, approver string, expires int64) ([]byte, error) {
	derived, err := key.Derive(keyInfo)
	if err != nil {
		return nil, err
	}
	e := encoder{}
	for _, part := range []string{n.Box.Issuer, n.Box.VouchIssuer, n.Box.Resource} {
		e.text(part)
	}
	e.call(c)
	e.text(approver)
	e.text(string(binary.BigEndian.AppendUint64(nil, uint64(expires))))
	h := hmac.New(sha256.New, derived)
	h.Write(e.data)
	return h.Sum(nil)[:macBytes], nil
}

// State returns what a client keeps while it asks its person about a call.
func (n Notary) State(c Call, now time.Time) (string, error) {
	e := encoder{}
	e.call(c)
	return n.Box.Seal(purposeState, now.Add(StateTime), e.data)
}

// CheckState reports whether a state is of a question about this very call.
//
// Errors: ErrState; seal.ErrExpired when it was, and the person took too long.
func (n Notary) CheckState(state string, c Call, now time.Time) error {
	payload, _, err := n.Box.Open(purposeState, state, now)
	if errors.Is(err, seal.ErrExpired) {
		return seal.ErrExpired
	}
	e := encoder{}
	e.call(c)
	if err != nil || !hmac.Equal(payload, e.data) {
		return ErrState
	}
	return nil
}
