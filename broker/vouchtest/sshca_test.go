package vouchtest_test

import (
	"bytes"
	"crypto/dsa" //nolint:staticcheck // the key type that must be refused
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/vouchtest"
)

func newPublicKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return toSSH(t, public)
}

func toSSH(t *testing.T, public any) ssh.PublicKey {
	t.Helper()
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func line(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

func publicKeyBody(t *testing.T, key ssh.PublicKey) string { return publicKeyText(t, line(key)) }

func publicKeyText(t *testing.T, text string) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"public_key": text})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// securityKey builds sk-ssh-ed25519@openssh.com, which x/crypto/ssh parses and
// does not make.
func securityKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestCertificate(t *testing.T) {
	person := vouchtest.DefaultPerson()
	person.Email = "Alice@Example.com"
	s := start(t, vouchtest.Options{Person: person})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	ca, _, _, _, err := ssh.ParseAuthorizedKey([]byte(get(t, s.VouchURL+caPath).decode(t)["public_key"].(string)))
	if err != nil {
		t.Fatal(err)
	}
	ec := func(c elliptic.Curve) ssh.PublicKey {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return toSSH(t, &key.PublicKey)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []ssh.PublicKey{
		newPublicKey(t), ec(elliptic.P256()), ec(elliptic.P384()), ec(elliptic.P521()),
		toSSH(t, &rsaKey.PublicKey), securityKey(t),
	} {
		t.Run(key.Type(), func(t *testing.T) {
			r := postJSON(t, s.VouchURL+sshPath, publicKeyText(t, line(key)+" a comment\r\n"), token...)
			answer := r.decode(t)
			if r.status != http.StatusOK || answer["valid_for_seconds"] != json.Number("28800") {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			text := answer["certificate"].(string)
			parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			certificate := parsed.(*ssh.Certificate)
			checker := ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), ca.Marshal()) }}
			for _, principal := range []string{"alice@example.com", "alice"} {
				if err := checker.CheckCert(principal, certificate); err != nil {
					t.Error(err)
				}
			}
			if checker.CheckCert("root", certificate) == nil {
				t.Error("the certificate is good for root")
			}
			if !bytes.Equal(certificate.Key.Marshal(), key.Marshal()) || certificate.CertType != ssh.UserCert ||
				certificate.KeyId != "Alice@Example.com@127.0.0.1" || len(certificate.Extensions) != 5 ||
				len(certificate.CriticalOptions) != 0 || certificate.ValidBefore-certificate.ValidAfter != 28800 ||
				answer["serial"].(json.Number).String() != new(big.Int).SetUint64(certificate.Serial).String() {
				t.Errorf("certificate %+v", certificate)
			}
			checkWithOpenSSH(t, text)
		})
	}
}

// checkWithOpenSSH lets OpenSSH read the certificate, where there is one.
func checkWithOpenSSH(t *testing.T, certificate string) {
	t.Helper()
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Log("no ssh-keygen here")
		return
	}
	path := filepath.Join(t.TempDir(), "key-cert.pub")
	if err := os.WriteFile(path, []byte(certificate+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), program, "-L", "-f", path).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, want := range []string{"user certificate", "Signing CA: ED25519", "permit-pty", "alice@example.com"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("ssh-keygen does not say %q: %s", want, out)
		}
	}
}

func TestBadPublicKeys(t *testing.T) {
	s := start(t, vouchtest.Options{})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	good := line(newPublicKey(t))
	_, blob, _ := strings.Cut(good, " ")
	certificate := postJSON(t, s.VouchURL+sshPath, publicKeyText(t, good), token...).decode(t)["certificate"].(string)
	old := dsa.PublicKey{Y: big.NewInt(7)}
	old.P = new(big.Int).SetBit(big.NewInt(1), 1023, 1)
	old.Q = new(big.Int).SetBit(big.NewInt(1), 159, 1)
	old.G = big.NewInt(2)
	tests := []struct{ name, key string }{
		{"empty", ""},
		{"text", "hello"},
		{"type only", "ssh-ed25519"},
		{"other type", "ssh-rsa " + blob},
		{"options", `command="sh" ` + good},
		{"type as an option", "ssh-ed25519 " + good},
		{"comment line first", "# x\n" + good},
		{"two keys", good + "\n" + good},
		{"tab", strings.Replace(good, " ", "\t", 1)},
		{"carriage return in the comment", good + " a\rb"},
		{"NUL in the comment", good + " a\x00b"},
		{"leading space", " " + good},
		{"cut", good[:len(good)-8]},
		{"certificate", certificate},
		{"ssh-dss", line(toSSH(t, &old))},
		{"private key", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := postJSON(t, s.VouchURL+sshPath, publicKeyText(t, test.key), token...)
			if r.status != http.StatusBadRequest || r.code(t) != "signing_failed" {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
		})
	}
	for _, body := range []string{`{}`, `{"public_key":null}`, `{"public_key":1}`, `{"Public_Key":"x"}`} {
		if r := postJSON(t, s.VouchURL+sshPath, body, token...); r.status != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", body, r.status)
		}
	}
}

func TestCertificateFollowsTheClock(t *testing.T) {
	now := newClock()
	now.advance(-100 * 24 * time.Hour)
	s := start(t, vouchtest.Options{Now: now.Now})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	text := postJSON(t, s.VouchURL+sshPath, publicKeyBody(t, newPublicKey(t)), token...).decode(t)["certificate"].(string)
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := []uint64{parsed.(*ssh.Certificate).ValidAfter, parsed.(*ssh.Certificate).ValidBefore}
	if want := []uint64{uint64(now.Now().Unix()), uint64(now.Now().Unix()) + 28800}; !slices.Equal(got, want) {
		t.Errorf("valid %v, want %v", got, want)
	}
}
