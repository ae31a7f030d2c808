package openssh_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/openssh"
)

func newCertificate(t testing.TB, key ssh.PublicKey, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{
		Key:             key,
		Serial:          math.MaxUint64 - 1,
		CertType:        ssh.UserCert,
		KeyId:           "alice@example.com@us.vouch.sh",
		ValidPrincipals: []string{"alice@example.com", "alice"},
		ValidAfter:      1_790_000_000,
		ValidBefore:     1_790_028_800,
		Permissions: ssh.Permissions{
			CriticalOptions: map[string]string{"source-address": "10.0.0.0/8"},
			Extensions:      map[string]string{"permit-pty": "", "permit-user-rc": ""},
		},
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, newSigner(t)); err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestParseCertificateAgreesWithReference(t *testing.T) {
	for name, key := range newKeys(t) {
		t.Run(name, func(t *testing.T) {
			want := newCertificate(t, key, nil)
			for _, tail := range []string{"", "\n", "\r\n", " alice@example.com\n"} {
				got, err := openssh.ParseCertificate(trimmed(want) + tail)
				if err != nil {
					t.Fatalf("tail %q: %v", tail, err)
				}
				compare(t, got, want)
			}
		})
	}
}

func compare(t *testing.T, got *openssh.Certificate, want *ssh.Certificate) {
	t.Helper()
	if got.Type != want.Type() || got.Key.Type != want.Key.Type() || !bytes.Equal(got.Key.Blob, want.Key.Marshal()) {
		t.Errorf("type %q of a key %q, want %q of %q", got.Type, got.Key.Type, want.Type(), want.Key.Type())
	}
	if got.Serial != want.Serial || got.Kind != want.CertType || got.KeyID != want.KeyId ||
		!slices.Equal(got.Principals, want.ValidPrincipals) ||
		got.ValidAfter != want.ValidAfter || got.ValidBefore != want.ValidBefore {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestParseCertificateReadsEdges(t *testing.T) {
	key := newKeys(t)["ed25519"]
	tests := []struct {
		name   string
		change func(*ssh.Certificate)
	}{
		{"host", func(c *ssh.Certificate) { c.CertType = ssh.HostCert }},
		{"no principals", func(c *ssh.Certificate) { c.ValidPrincipals = nil }},
		{"256 principals", func(c *ssh.Certificate) { c.ValidPrincipals = slices.Repeat([]string{"a"}, 256) }},
		{"no options", func(c *ssh.Certificate) { c.Permissions = ssh.Permissions{} }},
		{"for ever", func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity }},
		{"largest serial", func(c *ssh.Certificate) { c.Serial = math.MaxUint64 }},
		{"serial zero", func(c *ssh.Certificate) { c.Serial = 0 }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := newCertificate(t, key, test.change)
			got, err := openssh.ParseCertificate(trimmed(want))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, want)
		})
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	const certType = "ssh-ed25519-cert-v01@openssh.com"
	keys := newKeys(t)
	good := newCertificate(t, keys["ed25519"], nil)
	goodLine, blob := trimmed(good), good.Marshal()
	pub := strings.Repeat("k", 32)
	// raw builds a certificate field by field from the kind on.
	raw := func(fields ...any) string {
		head := []any{certType, "nonce", pub, uint64(1)}
		return line(certType, wire(append(head, fields...)...))
	}
	names := string(wire("alice"))
	tests := []struct {
		name, line string
		want       error
	}{
		{"empty", "", openssh.ErrMalformed},
		{"type only", certType, openssh.ErrMalformed},
		{"a key", trimmed(keys["ed25519"]), openssh.ErrUnsupported},
		{"DSA", "ssh-dss-cert-v01@openssh.com AAAA", openssh.ErrUnsupported},
		{"suffix twice", "sk-ssh-ed25519@openssh.com-cert-v01@openssh.com AAAA", openssh.ErrUnsupported},
		{"suffix only", "-cert-v01@openssh.com AAAA", openssh.ErrUnsupported},
		{"type of another key", strings.Replace(goodLine, "ssh-ed25519", "ssh-rsa", 1), openssh.ErrMalformed},
		{"inner type differs", line(certType, append(wire("ssh-rsa-cert-v01@openssh.com"), blob[4+len(certType):]...)), openssh.ErrMalformed},
		{"two lines", goodLine + "\n" + goodLine, openssh.ErrMultipleLines},
		{"PEM", "-----BEGIN CERTIFICATE-----\n", openssh.ErrNotOneLine},
		{"control", goodLine + " \x1b[2J", openssh.ErrMalformed},
		{"too long", goodLine + " " + strings.Repeat("c", 32<<10), openssh.ErrTooLong},
		{"not base64", certType + " !!!!", openssh.ErrMalformed},
		{"tail", line(certType, append(bytes.Clone(blob), 0)), openssh.ErrMalformed},
		{"kind 0", raw(uint32(0), "id", names, uint64(0), uint64(1), "", "", "", "ca", "sig"), openssh.ErrMalformed},
		{"kind 3", raw(uint32(3), "id", names, uint64(0), uint64(1), "", "", "", "ca", "sig"), openssh.ErrMalformed},
		{"principals cut", raw(uint32(1), "id", names[:7], uint64(0), uint64(1), "", "", "", "ca", "sig"), openssh.ErrMalformed},
		{"257 principals", raw(uint32(1), "id", strings.Repeat(names, 257), uint64(0), uint64(1), "", "", "", "ca", "sig"), openssh.ErrMalformed},
		{"option without value", raw(uint32(1), "id", names, uint64(0), uint64(1), names, "", "", "ca", "sig"), openssh.ErrMalformed},
		{"extension without value", raw(uint32(1), "id", names, uint64(0), uint64(1), "", names, "", "ca", "sig"), openssh.ErrMalformed},
		{"no CA key", raw(uint32(1), "id", names, uint64(0), uint64(1), "", "", "", "", "sig"), openssh.ErrMalformed},
		{"no signature", raw(uint32(1), "id", names, uint64(0), uint64(1), "", "", "", "ca", ""), openssh.ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if cert, err := openssh.ParseCertificate(test.line); !errors.Is(err, test.want) || cert != nil {
				t.Errorf("got %v, %v, want %v", cert, err, test.want)
			}
		})
	}
	if _, err := openssh.ParseCertificate(raw(uint32(1), "id", names, uint64(0), uint64(1), "", "", "", "ca", "sig")); err != nil {
		t.Errorf("the table's own form is refused: %v", err)
	}
	t.Run("every cut", func(t *testing.T) {
		for n := range blob {
			if _, err := openssh.ParseCertificate(line(certType, blob[:n])); err == nil {
				t.Errorf("first %d of %d bytes accepted", n, len(blob))
			}
		}
	})
}

func FuzzParseCertificate(f *testing.F) {
	for _, key := range newKeys(f) {
		f.Add([]byte(newCertificate(f, key, nil).Marshal()), " c\n")
	}
	f.Fuzz(func(t *testing.T, blob []byte, tail string) {
		// The type in front is the blob's own, so that the fuzzer gets past it.
		var head struct {
			Type string
			Rest []byte `ssh:"rest"`
		}
		if ssh.Unmarshal(blob, &head) != nil {
			return
		}
		got, err := openssh.ParseCertificate(head.Type + " " + base64.StdEncoding.EncodeToString(blob) + tail)
		if err != nil {
			return
		}
		// The reference also knows which CA keys and signatures exist.
		if reference, err := ssh.ParsePublicKey(blob); err == nil {
			compare(t, got, reference.(*ssh.Certificate))
		}
		if key, err := openssh.ParsePublicKey(got.Key.Line()); err != nil || !key.Equal(got.Key) {
			t.Fatalf("certified key is no key: %v", err)
		}
	})
}
