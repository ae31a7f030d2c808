package authserver

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"
)

// What a value is sealed for. A value of one purpose never opens for another.
const (
	purposeConsent     = "consent"
	purposeTransaction = "transaction"
	purposeCode        = "code"
	purposeAccess      = "access"

	purposeApprovalForm = "approval form"
	purposeApproval     = "approval transaction"
)

// payloadVersion is the first byte of each payload. A new layout needs a new one, so
// that values which an older version sealed are refused, not misread.
const payloadVersion = 2

var errPayload = errors.New("sealed payload is malformed")

// A hash is a SHA-256. Client ids and cookies are kept as hashes: they are only
// ever compared.
type hash = [sha256.Size]byte

// A request is an authorization request whose client and redirect URI are
// proven.
type request struct {
	clientIDHash hash
	clientName   string
	clientHost   string // of its metadata document; empty for a registered client
	redirectURI  string
	state        string // the client's; may be empty
	challenge    hash   // S256: the SHA-256 of the client's verifier
	asked        Scopes
}

func (r *request) append(e *encoder) {
	e.fixed(r.clientIDHash[:])
	e.text(r.clientName)
	e.text(r.clientHost)
	e.text(r.redirectURI)
	e.text(r.state)
	e.fixed(r.challenge[:])
	e.fixed([]byte{byte(r.asked)})
}

func (r *request) read(d *decoder) {
	r.clientIDHash = d.hash()
	r.clientName = d.text()
	r.clientHost = d.text()
	r.redirectURI = d.text()
	r.state = d.text()
	r.challenge = d.hash()
	r.asked = d.scopes()
}

// A consentForm is the hidden field of the consent page.
type consentForm struct {
	request
	browser hash // of the cookie
}

func (c *consentForm) encode() []byte {
	e := newEncoder()
	c.append(e)
	e.fixed(c.browser[:])
	return e.data
}

func (c *consentForm) decode(data []byte) error {
	d := newDecoder(data)
	c.read(d)
	c.browser = d.hash()
	return d.end()
}

// A transaction is a sign-in that is under way at Vouch.
type transaction struct {
	request
	granted Scopes
	trip
}

func (t *transaction) encode() []byte {
	e := newEncoder()
	t.request.append(e)
	e.fixed([]byte{byte(t.granted)})
	t.trip.append(e)
	return e.data
}

func (t *transaction) decode(data []byte) error {
	d := newDecoder(data)
	t.request.read(d)
	t.granted = d.scopes()
	t.trip.read(d)
	return d.end()
}

// A trip is a browser's way to Vouch and back.
type trip struct {
	browser  hash
	id       string // the state that Vouch returns
	verifier [verifierBytes]byte
	pushed   time.Time // when Vouch was asked, in seconds
}

func (t *trip) append(e *encoder) {
	e.fixed(t.browser[:])
	e.text(t.id)
	e.fixed(t.verifier[:])
	e.time(t.pushed)
}

func (t *trip) read(d *decoder) {
	t.browser = d.hash()
	t.id = d.text()
	copy(t.verifier[:], d.fixed(verifierBytes))
	t.pushed = d.time()
}

// A code is what a client redeems. It wraps Vouch's, which makes it single-use.
type code struct {
	vouchCode       string
	verifier        [verifierBytes]byte // ours towards Vouch
	pushed          time.Time           // when Vouch was asked, in seconds
	clientIDHash    hash
	clientName      string
	clientHost      string
	redirectHost    string
	redirectURIHash hash
	challenge       hash // the client's
	asked, granted  Scopes
}

func (c *code) encode() []byte {
	e := newEncoder()
	e.text(c.vouchCode)
	e.fixed(c.verifier[:])
	e.time(c.pushed)
	e.fixed(c.clientIDHash[:])
	e.text(c.clientName)
	e.text(c.clientHost)
	e.text(c.redirectHost)
	e.fixed(c.redirectURIHash[:])
	e.fixed(c.challenge[:])
	e.fixed([]byte{byte(c.asked), byte(c.granted)})
	return e.data
}

func (c *code) decode(data []byte) error {
	d := newDecoder(data)
	c.vouchCode = d.text()
	copy(c.verifier[:], d.fixed(verifierBytes))
	c.pushed = d.time()
	c.clientIDHash = d.hash()
	c.clientName = d.text()
	c.clientHost = d.text()
	c.redirectHost = d.text()
	c.redirectURIHash = d.hash()
	c.challenge = d.hash()
	c.asked = d.scopes()
	c.granted = d.scopes()
	return d.end()
}

// An encoder writes a payload: fields in order, those of variable length behind
// their length.
type encoder struct{ data []byte }

func newEncoder() *encoder { return &encoder{[]byte{payloadVersion}} }

func (e *encoder) fixed(b []byte) { e.data = append(e.data, b...) }

func (e *encoder) text(s string) {
	e.data = binary.AppendUvarint(e.data, uint64(len(s)))
	e.data = append(e.data, s...)
}

func (e *encoder) time(t time.Time) {
	e.data = binary.BigEndian.AppendUint64(e.data, uint64(t.Unix()))
}

// A decoder reads a payload. After a fault it returns zero values; end tells.
type decoder struct {
	rest   []byte
	failed bool
}

func newDecoder(data []byte) *decoder {
	d := &decoder{rest: data}
	if version := d.fixed(1); !d.failed && version[0] != payloadVersion {
		d.failed = true
	}
	return d
}

func (d *decoder) fixed(n int) []byte {
	if d.failed || len(d.rest) < n {
		d.failed = true
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) hash() hash { return hash(d.fixed(sha256.Size)) }

func (d *decoder) time() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(d.fixed(8))), 0)
}

func (d *decoder) text() string {
	length, n := binary.Uvarint(d.rest)
	if d.failed || n <= 0 || length > uint64(len(d.rest)-n) {
		d.failed = true
		return ""
	}
	d.rest = d.rest[n:]
	return string(d.fixed(int(length)))
}

func (d *decoder) scopes() Scopes {
	s := Scopes(d.fixed(1)[0])
	d.failed = d.failed || !AllScopes.Has(s)
	return s
}

// end tells whether all fields were there, and nothing else.
func (d *decoder) end() error {
	if d.failed || len(d.rest) > 0 {
		return errPayload
	}
	return nil
}
