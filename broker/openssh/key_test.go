package openssh_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/openssh"
)

func TestParsePublicKeyAgreesWithReference(t *testing.T) {
	for name, want := range newKeys(t) {
		t.Run(name, func(t *testing.T) {
			canonical := trimmed(want)
			for _, tail := range []string{"", "\n", "\r\n", " ", " alice@laptop", " a comment, \"quoted\" – ü\n"} {
				got, err := openssh.ParsePublicKey(canonical + tail)
				if err != nil {
					t.Fatalf("tail %q: %v", tail, err)
				}
				if got.Type != want.Type() || !bytes.Equal(got.Blob, want.Marshal()) {
					t.Errorf("tail %q: another key", tail)
				}
				if got.Line() != canonical {
					t.Errorf("Line() = %q, want %q", got.Line(), canonical)
				}
				if got.Fingerprint() != ssh.FingerprintSHA256(want) {
					t.Errorf("Fingerprint() = %q", got.Fingerprint())
				}
			}
		})
	}
}

func TestEqual(t *testing.T) {
	keys := newKeys(t)
	parse := func(key ssh.PublicKey) *openssh.PublicKey {
		parsed, err := openssh.ParsePublicKey(trimmed(key))
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	a, b := parse(keys["ed25519"]), parse(newKeys(t)["ed25519"])
	if !a.Equal(parse(keys["ed25519"])) || a.Equal(b) || a.Equal(parse(keys["rsa"])) {
		t.Error("Equal is wrong")
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	keys := newKeys(t)
	ed, p256 := trimmed(keys["ed25519"]), keys["ecdsa P-256"]
	edBlob, q := keys["ed25519"].Marshal(), point(t, p256)
	offCurve := bytes.Clone(q)
	offCurve[len(offCurve)-1] ^= 1
	compressed := elliptic.MarshalCompressed(elliptic.P256(), p256Key(p256).X, p256Key(p256).Y)
	const nist256, sk256 = "ecdsa-sha2-nistp256", "sk-ecdsa-sha2-nistp256@openssh.com"
	zeros := make([]byte, 32)
	odd := append([]byte{0, 0xff}, bytes.Repeat([]byte{0xff}, 255)...)

	tests := []struct {
		name, line string
		want       error
	}{
		{"empty", "", openssh.ErrMalformed},
		{"line end only", "\n", openssh.ErrMalformed},
		{"type only", "ssh-ed25519", openssh.ErrMalformed},
		{"type and space", "ssh-ed25519 ", openssh.ErrMalformed},
		{"no type", strings.Fields(ed)[1], openssh.ErrMalformed},
		{"no-break space", strings.Replace(ed, " ", "\u00a0", 1), openssh.ErrMalformed},
		{"no-break space before", "\u00a0" + ed, openssh.ErrMalformed},
		{"vertical tab", strings.Replace(ed, " ", "\v", 1), openssh.ErrMalformed},
		{"form feed before", "\f" + ed, openssh.ErrMalformed},
		{"byte order mark", "\ufeff" + ed, openssh.ErrMalformed},
		{"spaces only", " \t \n", openssh.ErrMalformed},
		{"NUL in the comment", ed + " a\x00b", openssh.ErrMalformed},
		{"C1 control in the comment", ed + " a\u0085b", openssh.ErrMalformed},
		{"invalid UTF-8 in the comment", ed + " a\xffb", openssh.ErrMalformed},
		{"comment line", "# " + ed, openssh.ErrMalformed},
		{"comment sign", "#" + ed, openssh.ErrMalformed},
		{"two keys", ed + "\n" + ed, openssh.ErrMultipleLines},
		{"two keys, CR", ed + "\r" + ed, openssh.ErrMultipleLines},
		{"two keys, blank lines", "\n" + ed + "\n\n" + ed + "\n", openssh.ErrMultipleLines},
		{"a comment's line before", "# mine\n" + ed, openssh.ErrMultipleLines},
		{"line end in the data", ed[:30] + "\n" + ed[30:], openssh.ErrMultipleLines},
		{"PEM public key", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n", openssh.ErrNotOneLine},
		{"RFC 4716", "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n---- END SSH2 PUBLIC KEY ----\n", openssh.ErrNotOneLine},
		{"option", "restrict " + ed, openssh.ErrOptions},
		{"options", `restrict,command="echo ssh-rsa x",from="10.0.0.0/8" ` + ed, openssh.ErrOptions},
		{"certificate authority", "cert-authority " + ed, openssh.ErrOptions},
		{"certificate", "ssh-ed25519-cert-v01@openssh.com AAAA", openssh.ErrCertificate},
		{"sk certificate", "sk-ssh-ed25519-cert-v01@openssh.com AAAA", openssh.ErrCertificate},
		{"DSA", "ssh-dss AAAAB3NzaC1kc3MAAACB", openssh.ErrUnsupported},
		{"ML-DSA hybrid", "ssh-mldsa44-ed25519@openssh.com AAAA", openssh.ErrUnsupported},
		{"signature algorithm", "rsa-sha2-256 AAAA", openssh.ErrUnsupported},
		{"WebAuthn algorithm", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com AAAA", openssh.ErrUnsupported},
		{"other curve", "ecdsa-sha2-nistp224 AAAA", openssh.ErrUnsupported},
		{"upper case type", strings.Replace(ed, "ssh-ed", "SSH-ED", 1), openssh.ErrMalformed},
		{"unknown type", "bogus AAAA", openssh.ErrMalformed},
		{"too long", ed + " " + strings.Repeat("c", 8<<10), openssh.ErrTooLong},
		{"base64 cut", ed[:len(ed)-1], openssh.ErrMalformed},
		{"base64 URL alphabet", "ssh-ed25519 __" + strings.Fields(ed)[1][2:], openssh.ErrMalformed},
		{"no padding", strings.TrimRight(line(sk256, wire(sk256, "nistp256", q, "ssh:x")), "="), openssh.ErrMalformed},
		{"spare bits", spareBits(line(sk256, wire(sk256, "nistp256", q, "ssh:"))), openssh.ErrMalformed},
		{"blob cut", line("ssh-ed25519", edBlob[:len(edBlob)-1]), openssh.ErrMalformed},
		{"blob with a tail", line("ssh-ed25519", append(bytes.Clone(edBlob), 0)), openssh.ErrMalformed},
		{"length beyond the end", line("ssh-ed25519", []byte{0xff, 0xff, 0xff, 0xff, 'a'}), openssh.ErrMalformed},
		{"inner type differs", line("ssh-ed25519", wire("ssh-rsa", zeros)), openssh.ErrMalformed},
		{"outer type differs", line("ssh-rsa", edBlob), openssh.ErrMalformed},
		{"key of 31 bytes", line("ssh-ed25519", wire("ssh-ed25519", zeros[1:])), openssh.ErrMalformed},
		{"key of 33 bytes", line("ssh-ed25519", wire("ssh-ed25519", string(zeros)+"a")), openssh.ErrMalformed},
		{"inner curve differs", line(nist256, wire(nist256, "nistp384", q)), openssh.ErrMalformed},
		{"off the curve", line(nist256, wire(nist256, "nistp256", offCurve)), openssh.ErrMalformed},
		{"compressed point", line(nist256, wire(nist256, "nistp256", compressed)), openssh.ErrMalformed},
		{"point at infinity", line(nist256, wire(nist256, "nistp256", []byte{0})), openssh.ErrMalformed},
		{"sk off the curve", line(sk256, wire(sk256, "nistp256", offCurve, "ssh:")), openssh.ErrMalformed},
		{"sk without application", line(sk256, wire(sk256, "nistp256", q)), openssh.ErrMalformed},
		{"NUL in the application", line(sk256, wire(sk256, "nistp256", q, "ssh:\x00")), openssh.ErrMalformed},
		{"RSA 1023 bits", rsaLine(1023, 65537), openssh.ErrKeySize},
		{"RSA 16385 bits", rsaLine(16385, 65537), openssh.ErrKeySize},
		{"RSA exponent 1", rsaLine(2048, 1), openssh.ErrMalformed},
		{"RSA exponent even", rsaLine(2048, 4), openssh.ErrMalformed},
		{"RSA exponent even, five bytes", rsaLine(2048, 1<<33), openssh.ErrMalformed},
		{"RSA exponent beyond any modulus", line("ssh-rsa", wire("ssh-rsa", "\x01"+strings.Repeat("\x01", 2048), odd)), openssh.ErrMalformed},
		{"RSA exponent empty", line("ssh-rsa", wire("ssh-rsa", "", odd)), openssh.ErrMalformed},
		{"RSA exponent zero", line("ssh-rsa", wire("ssh-rsa", "\x00", odd)), openssh.ErrMalformed},
		{"RSA modulus negative", line("ssh-rsa", wire("ssh-rsa", "\x03", odd[1:])), openssh.ErrMalformed},
		{"RSA modulus padded twice", line("ssh-rsa", wire("ssh-rsa", "\x03", append([]byte{0}, odd...))), openssh.ErrMalformed},
		{"RSA modulus padded for nothing", line("ssh-rsa", wire("ssh-rsa", "\x03", append([]byte{0, 0x7f}, odd[1:]...))), openssh.ErrMalformed},
		{"RSA modulus even", line("ssh-rsa", wire("ssh-rsa", "\x03", append(bytes.Clone(odd), 0xfe))), openssh.ErrMalformed},
		{"RSA modulus missing", line("ssh-rsa", wire("ssh-rsa", "\x03")), openssh.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if key, err := openssh.ParsePublicKey(test.line); err != test.want || key != nil {
				t.Errorf("got %v, %v, want %v", key, err, test.want)
			}
		})
	}
}

// spareBits sets one of the bits that the padding of a line leaves unused.
func spareBits(line string) string {
	text := strings.TrimRight(line, "=")
	last := len(text) - 1
	return text[:last] + string(text[last]+1) + line[len(text):]
}

func p256Key(key ssh.PublicKey) *ecdsa.PublicKey {
	return key.(ssh.CryptoPublicKey).CryptoPublicKey().(*ecdsa.PublicKey)
}

func TestRSASizes(t *testing.T) {
	for _, bits := range []int{1024, 1025, 2048, 3072, 4096, 16384} {
		for _, e := range []int64{3, 35, 65537, 1<<24 - 1, 1<<24 + 1, 1<<31 + 1, 1<<32 + 1, 1<<40 - 1, 1<<62 + 1} {
			if _, err := openssh.ParsePublicKey(rsaLine(bits, e)); err != nil {
				t.Errorf("%d bits, exponent %d: %v", bits, e, err)
			}
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	for _, key := range newKeys(f) {
		f.Add(trimmed(key) + " comment\n")
	}
	for _, text := range privateKeys(f) {
		f.Add(text)
	}
	f.Add(rsaLine(1024, 3))
	f.Add(`command="x" ssh-ed25519 AAAA`)
	f.Fuzz(func(t *testing.T, text string) {
		key, err := openssh.ParsePublicKey(text)
		if err != nil {
			return
		}
		if wide(key) {
			return // the reference takes exponents of 24 bits
		}
		reference, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil || len(options) > 0 || len(rest) > 0 {
			t.Fatalf("accepted what the reference reads otherwise: %v", err)
		}
		if key.Line() != trimmed(reference) || key.Fingerprint() != ssh.FingerprintSHA256(reference) {
			t.Fatal("the reference reads another key")
		}
		again, err := openssh.ParsePublicKey(key.Line())
		if err != nil || !again.Equal(key) {
			t.Fatalf("canonical form is not read back: %v", err)
		}
	})
}

// wide reports whether a key is of RSA with an exponent of more than three bytes.
func wide(key *openssh.PublicKey) bool {
	var fields struct {
		Type string
		E    *big.Int
		Rest []byte `ssh:"rest"`
	}
	return key.Type == "ssh-rsa" && ssh.Unmarshal(key.Blob, &fields) == nil && fields.E.BitLen() > 24
}
