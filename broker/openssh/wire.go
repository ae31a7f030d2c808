package openssh

import (
	"bytes"
	"crypto/ecdh"
	"encoding/binary"
	"math/bits"
)

// A wireReader takes SSH wire data (RFC 4251 section 5) apart. The first fault
// sticks: every later read returns nothing, so that callers check err once.
type wireReader struct {
	rest []byte
	err  error
}

func (r *wireReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// take returns the next n bytes.
func (r *wireReader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.rest)) {
		r.fail(ErrMalformed)
		return nil
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *wireReader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *wireReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *wireReader) string() []byte { return r.take(uint64(r.uint32())) }

// expect reads a string that must be want.
func (r *wireReader) expect(want string) {
	if string(r.string()) != want {
		r.fail(ErrMalformed)
	}
}

// end says that nothing may be left.
func (r *wireReader) end() {
	if len(r.rest) != 0 {
		r.fail(ErrMalformed)
	}
}

// key reads the fields of a public key that follow its type (RFC 4253 section
// 6.6, RFC 5656 section 3.1, RFC 8709 section 4, OpenSSH's PROTOCOL.u2f).
func (r *wireReader) key(keyType string) {
	switch keyType {
	case typeEd25519:
		r.ed25519()
	case typeECDSA256:
		r.point("nistp256", ecdh.P256())
	case typeECDSA384:
		r.point("nistp384", ecdh.P384())
	case typeECDSA521:
		r.point("nistp521", ecdh.P521())
	case typeRSA:
		r.rsa()
	case typeSKEd25519:
		r.ed25519()
		r.application()
	case typeSKECDSA256:
		r.point("nistp256", ecdh.P256())
		r.application()
	default:
		r.fail(ErrUnsupported)
	}
}

func (r *wireReader) ed25519() {
	if len(r.string()) != 32 {
		r.fail(ErrMalformed)
	}
}

// point reads a curve's name and a point on it. A point off the curve is no key
// at all, and the signer is not the one to find out.
func (r *wireReader) point(name string, curve ecdh.Curve) {
	r.expect(name)
	if _, err := curve.NewPublicKey(r.string()); err != nil {
		r.fail(ErrMalformed)
	}
}

// application reads the origin of a security key, a C string such as "ssh:" in
// whatever letters its owner writes.
func (r *wireReader) application() {
	if bytes.IndexByte(r.string(), 0) >= 0 {
		r.fail(ErrMalformed)
	}
}

// rsa reads exponent and modulus. Both are odd in every RSA key. Exponents are
// 65537 nearly always; cards exist that make larger ones, up to the size of the
// modulus.
func (r *wireReader) rsa() {
	e, n := r.positive(), r.positive()
	if r.err != nil {
		return
	}
	small := len(e) == 1 && e[0] < 3
	if small || len(e) > maxRSABits/8 || e[len(e)-1]&1 == 0 || n[len(n)-1]&1 == 0 {
		r.fail(ErrMalformed)
		return
	}
	if size := (len(n)-1)*8 + bits.Len8(n[0]); size < minRSABits || size > maxRSABits {
		r.fail(ErrKeySize)
	}
}

// positive reads an mpint above zero and returns its magnitude, without a
// leading zero. Only the shortest encoding passes: a key has one fingerprint.
func (r *wireReader) positive() []byte {
	b := r.string()
	padded := len(b) > 1 && b[0] == 0 && b[1]&0x80 != 0
	switch {
	case padded:
		return b[1:]
	case len(b) == 0, b[0] == 0, b[0]&0x80 != 0:
		r.fail(ErrMalformed)
		return nil
	default:
		return b
	}
}
