package openssh

import (
	"crypto/ed25519"
	"strings"
)

// The kinds of certificate (OpenSSH's PROTOCOL.certkeys).
const (
	UserCertificate uint32 = 1
	HostCertificate uint32 = 2
)

const certificateSuffix = "-cert-v01@openssh.com"

// A Certificate is what one parsed certificate says. Nothing here proves who
// signed it.
type Certificate struct {
	// Type is the name of the certificate type, e.g.
	// "ssh-ed25519-cert-v01@openssh.com".
	Type string
	// Key is the certified key.
	Key *PublicKey
	// Serial is the number that the signer gave it, all 64 bits.
	Serial uint64
	// Kind is UserCertificate or HostCertificate.
	Kind  uint32
	KeyID string
	// Principals are the names that the holder may log in as, at most 256. An
	// empty list meant every name before OpenSSH 10.3.
	Principals []string
	// ValidAfter and ValidBefore are Unix times in seconds; it is valid at the
	// first and no longer at the second. All bits set means for ever.
	ValidAfter, ValidBefore uint64
	// CriticalOptions are the names of what narrows its use; a server refuses a
	// certificate with one that it does not know.
	CriticalOptions []string

	signed, authority, signature []byte
}

// ParseCertificate reads "type base64 [comment]" as in a -cert.pub file; one LF
// or CRLF may end it. All fields must be whole and in place, down to the last
// byte, but the signature is not verified.
//
// Its error is ErrTooLong, ErrNotOneLine, ErrMultipleLines, ErrUnsupported,
// ErrKeySize or ErrMalformed.
func ParseCertificate(line string) (*Certificate, error) {
	fields, err := splitLine(line, maxCertificateLine)
	if err != nil {
		return nil, err
	}
	keyType, known := certifiedType(fields[0])
	if !known {
		return nil, ErrUnsupported
	}
	blob, err := decodeBlob(fields[1])
	if err != nil {
		return nil, err
	}
	r := wireReader{rest: blob}
	r.expect(fields[0])
	r.string() // nonce
	cert := &Certificate{
		Type:   fields[0],
		Key:    r.certifiedKey(keyType),
		Serial: r.uint64(),
		Kind:   r.uint32(),
		KeyID:  string(r.string()),
	}
	cert.Principals = r.principals()
	cert.ValidAfter, cert.ValidBefore = r.uint64(), r.uint64()
	cert.CriticalOptions = r.options()
	r.options() // extensions
	r.string()  // reserved
	cert.authority = r.string()
	cert.signed = blob[:len(blob)-len(r.rest)] // all that precedes the signature
	cert.signature = r.string()
	if len(cert.authority) == 0 || len(cert.signature) == 0 {
		r.fail(ErrMalformed)
	}
	r.end()
	if r.err != nil {
		return nil, r.err
	}
	if cert.Kind != UserCertificate && cert.Kind != HostCertificate {
		return nil, ErrMalformed
	}
	return cert, nil
}

// certifiedKey reads the fields of the key inside a certificate and puts its
// type in front again, as in the key's own encoding.
func (r *wireReader) certifiedKey(keyType string) *PublicKey {
	before := r.rest
	r.key(keyType)
	if r.err != nil {
		return nil
	}
	blob := []byte{0, 0, 0, byte(len(keyType))}
	blob = append(blob, keyType...)
	blob = append(blob, before[:len(before)-len(r.rest)]...)
	return &PublicKey{Type: keyType, Blob: blob}
}

func (r *wireReader) principals() []string {
	var names []string
	list := wireReader{rest: r.string()}
	for len(list.rest) > 0 {
		names = append(names, string(list.string()))
	}
	if list.err != nil || len(names) > maxPrincipals {
		r.fail(ErrMalformed)
		return nil
	}
	return names
}

// options reads the names of a list of pairs of name and value.
func (r *wireReader) options() []string {
	var names []string
	list := wireReader{rest: r.string()}
	for len(list.rest) > 0 {
		names = append(names, string(list.string()))
		list.string()
	}
	if list.err != nil {
		r.fail(ErrMalformed)
	}
	return names
}

// Damaged reports whether the certificate's signature is not that of the
// authority that it names, so that no server would take it. Of authorities with
// keys of other types than Ed25519 it knows nothing and says false.
func (c *Certificate) Damaged() bool {
	key := wireReader{rest: c.authority}
	if string(key.string()) != typeEd25519 {
		return false
	}
	public := key.string()
	key.end()
	signature := wireReader{rest: c.signature}
	signature.expect(typeEd25519)
	bytes := signature.string()
	signature.end()
	return key.err != nil || signature.err != nil || len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, c.signed, bytes)
}

func isCertificateType(name string) bool { return strings.HasSuffix(name, certificateSuffix) }

// certifiedType returns the type of the keys that certificates of type name
// are for. An "@openssh.com" at the end of a key's type is dropped in the name.
func certifiedType(name string) (keyType string, known bool) {
	base, isCertificate := strings.CutSuffix(name, certificateSuffix)
	if !isCertificate || strings.HasSuffix(base, "@openssh.com") {
		return "", false
	}
	for _, keyType := range [...]string{base, base + "@openssh.com"} {
		if isKeyType(keyType) {
			return keyType, true
		}
	}
	return "", false
}
