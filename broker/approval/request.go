package approval

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// A Request is what a person is asked to approve.
type Request struct {
	Call
	// Email is the requester's where Vouch has verified it, or "": an approver may
	// not be the same person under another sub.
	Email string
	// Person is how the requester is called on the page: an e-mail, else the sub.
	Person string
	// ClientName is how the client calls itself, cleaned, and ClientHost where its
	// metadata lies; "" for a client that registered itself.
	ClientName, ClientHost string
	// Facts are what the page shows besides, in order.
	Facts []Fact
	// Rule is the rule of the policy that wants the approval.
	Rule string
	// Approvers are those who may approve, as the rule names them. None: the
	// requester.
	Approvers []string
}

// A Fact is one line of what is asked for: plain text, no HTML.
type Fact struct {
	Name, Value string
	// Claimed says that nobody has checked it: the client's words.
	Claimed bool
}

const payloadVersion = "\x01"

var errPayload = errors.New("approval payload is malformed")

// Encode returns the request as Decode reads it, to be sealed.
func (r *Request) Encode() []byte {
	e := encoder{data: []byte(payloadVersion)}
	e.call(r.Call)
	for _, text := range []string{r.Email, r.Person, r.ClientName, r.ClientHost, r.Rule} {
		e.text(text)
	}
	e.number(len(r.Facts))
	for _, f := range r.Facts {
		e.text(f.Name)
		e.text(f.Value)
		claimed := ""
		if f.Claimed {
			claimed = "y"
		}
		e.text(claimed)
	}
	e.number(len(r.Approvers))
	for _, name := range r.Approvers {
		e.text(name)
	}
	return e.data
}

// Decode reads what Encode wrote, and nothing else.
func Decode(data []byte) (*Request, error) {
	d := decoder{rest: string(data)}
	if d.fixed(len(payloadVersion)) != payloadVersion {
		return nil, errPayload
	}
	r := &Request{Call: d.call()}
	for _, to := range []*string{&r.Email, &r.Person, &r.ClientName, &r.ClientHost, &r.Rule} {
		*to = d.text()
	}
	for n := d.number(); n > 0 && !d.failed; n-- {
		r.Facts = append(r.Facts, Fact{d.text(), d.text(), d.text() != ""})
	}
	for n := d.number(); n > 0 && !d.failed; n-- {
		r.Approvers = append(r.Approvers, d.text())
	}
	if d.failed || d.rest != "" {
		return nil, errPayload
	}
	return r, nil
}

// An encoder writes texts behind their lengths, so that no two lists of texts give
// the same bytes.
type encoder struct{ data []byte }

func (e *encoder) number(n int) { e.data = binary.AppendUvarint(e.data, uint64(n)) }

func (e *encoder) text(s string) {
	e.number(len(s))
	e.data = append(e.data, s...)
}

func (e *encoder) call(c Call) {
	for _, text := range []string{c.Subject, string(c.ClientIDHash[:]), c.Tool, string(c.Arguments[:])} {
		e.text(text)
	}
}

// A decoder reads what an encoder wrote. After a fault it returns zero values.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if d.failed || size <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *decoder) fixed(n int) string {
	if d.failed || len(d.rest) < n {
		d.failed = true
		return ""
	}
	text := d.rest[:n]
	d.rest = d.rest[n:]
	return text
}

func (d *decoder) text() string {
	n := d.number()
	if n > uint64(len(d.rest)) {
		d.failed = true
		return ""
	}
	return d.fixed(int(n))
}

func (d *decoder) hash() (h [sha256.Size]byte) {
	text := d.text()
	d.failed = d.failed || len(text) != len(h)
	copy(h[:], text)
	return h
}

func (d *decoder) call() Call {
	return Call{Subject: d.text(), ClientIDHash: d.hash(), Tool: d.text(), Arguments: d.hash()}
}
