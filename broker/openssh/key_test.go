package openssh_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode"

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
		{"leading space", " " + ed, openssh.ErrMalformed},
		{"two spaces", strings.Replace(ed, " ", "  ", 1), openssh.ErrMalformed},
		{"tab", strings.Replace(ed, " ", "\t", 1), openssh.ErrMalformed},
		{"tab in the comment", ed + " a\tb", openssh.ErrMalformed},
		{"NUL in the comment", ed + " a\x00b", openssh.ErrMalformed},
		{"C1 control in the comment", ed + " a\u0085b", openssh.ErrMalformed},
		{"invalid UTF-8 in the comment", ed + " a\xffb", openssh.ErrMalformed},
		{"comment line", "# " + ed, openssh.ErrMalformed},
		{"comment sign", "#" + ed, openssh.ErrMalformed},
		{"two keys", ed + "\n" + ed, openssh.ErrMultipleLines},
		{"two keys, CR", ed + "\r" + ed, openssh.ErrMultipleLines},
		{"blank line after", ed + "\n\n", openssh.ErrMultipleLines},
		{"blank line before", "\n" + ed, openssh.ErrMultipleLines},
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
		{"RSA exponent huge", rsaLine(2048, 1<<24+1), openssh.ErrMalformed},
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
		for _, e := range []int64{3, 35, 65537, 1<<24 - 1} {
			if _, err := openssh.ParsePublicKey(rsaLine(bits, e)); err != nil {
				t.Errorf("%d bits, exponent %d: %v", bits, e, err)
			}
		}
	}
}

// privateKeys returns private keys in every form that tools write.
func privateKeys(t testing.TB) map[string]string {
	t.Helper()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ssh.MarshalPrivateKey(edwards, "comment")
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(edwards)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	block := func(label string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
	}
	return map[string]string{
		"OpenSSH":         string(pem.EncodeToMemory(own)),
		"PKCS #8":         block("PRIVATE KEY", pkcs8),
		"encrypted":       block("ENCRYPTED PRIVATE KEY", pkcs8),
		"RSA":             block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)),
		"EC":              block("EC PRIVATE KEY", sec1),
		"DSA":             block("DSA PRIVATE KEY", pkcs8),
		"ssh.com":         "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"x\"\nP2/56wAAA\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n",
		"PuTTY 2":         "PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nComment: c\n",
		"PuTTY 3":         "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: c\n",
		"OpenSSH, base64": string(bytes.Join(bytes.Split(pem.EncodeToMemory(own), []byte("\n"))[1:4], nil)),
		"OpenSSH, label":  "it begins with this, and the rest was far too long to paste: -----BEGIN OPENSSH PRIVATE KEY-----",
		"OpenSSH, tail":   strings.SplitN(string(pem.EncodeToMemory(own)), "\n", 3)[2],
	}
}

func TestPrivateKeyIsFoundFirst(t *testing.T) {
	public := trimmed(newKeys(t)["ed25519"])
	mangled := map[string]func(string) string{
		"as it is":         func(s string) string { return s },
		"lower case":       strings.ToLower,
		"upper case":       strings.ToUpper,
		"spaces for lines": func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
		"lines lost":       func(s string) string { return strings.ReplaceAll(s, "\n", "") },
		"white space lost": func(s string) string { return strings.Join(strings.Fields(s), "") },
		"CRLF":             func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"escaped lines":    func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) },
		"escaped as URL":   url.PathEscape,
		"spread":           func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
		"no-break spaces":  func(s string) string { return strings.ReplaceAll(s, " ", "\u00a0") },
		"behind a key":     func(s string) string { return public + " " + s },
		"behind lines":     func(s string) string { return strings.Repeat("\n", 9000) + s },
		"hyphens lost":     func(s string) string { return strings.ReplaceAll(s, "-----", "") },
		"not UTF-8":        func(s string) string { return "\xff\xfe" + s },
		"control":          func(s string) string { return "\x00\x1b" + s },
		"letters only": func(s string) string {
			return strings.Map(func(r rune) rune {
				if unicode.IsLetter(r) || unicode.IsDigit(r) {
					return r
				}
				return -1
			}, s)
		},
	}
	for name, text := range privateKeys(t) {
		for how, mangle := range mangled {
			_, err := openssh.ParsePublicKey(mangle(text))
			if err != openssh.ErrPrivateKey {
				t.Errorf("%s, %s: %v, want ErrPrivateKey", name, how, err)
			}
		}
	}
}

func TestPublicKeyIsNotTakenForPrivate(t *testing.T) {
	for name, key := range newKeys(t) {
		for _, comment := range []string{"begin", "the end of my private parts", "alice@private-keycloak", "put your key here",
			"the beginning of a comment that goes on and on and comes to private keys late"} {
			if _, err := openssh.ParsePublicKey(trimmed(key) + " " + comment); err != nil {
				t.Errorf("%s with comment %q: %v", name, comment, err)
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

// FuzzPrivateKeyMarker hides the marks of private keys in other text.
func FuzzPrivateKeyMarker(f *testing.F) {
	for _, text := range privateKeys(f) {
		f.Add("", text)
	}
	marks := []string{
		"-----BEGIN OPENSSH PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----",
		"PuTTY-User-Key-File-3:", "b3BlbnNzaC1rZXktdjE",
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, mark := range marks {
			// A letter or digit that touches the mark does not hide it either.
			if _, err := openssh.ParsePublicKey(before + mark + after); !errors.Is(err, openssh.ErrPrivateKey) {
				t.Fatalf("mark %q is not found: %v", mark, err)
			}
		}
	})
}
