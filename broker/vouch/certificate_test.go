package vouch_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/openssh"
	"mcp-credential-broker/broker/vouch"
)

// certified makes a key and a certificate for it, or for what change puts in.
func certified(t testing.TB, change func(*ssh.Certificate)) (*openssh.PublicKey, string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return certify(t, public, change)
}

func certify(t testing.TB, public any, change func(*ssh.Certificate)) (*openssh.PublicKey, string) {
	t.Helper()
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{
		Key:             key,
		CertType:        ssh.UserCert,
		Serial:          1<<64 - 1,
		ValidPrincipals: []string{"alice@example.com", "alice"},
		ValidBefore:     1_790_028_800,
	}
	if change != nil {
		change(cert)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	parsed, err := openssh.ParsePublicKey(string(ssh.MarshalAuthorizedKey(key)))
	if err != nil {
		t.Fatal(err)
	}
	return parsed, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert)))
}

// sshBody is the answer that hands line out.
func sshBody(t testing.TB, line string, change func(map[string]any)) string {
	t.Helper()
	body := map[string]any{
		"certificate":       line,
		"valid_for_seconds": 28800,
		"principals":        []string{"alice@example.com", "alice"},
		"serial":            uint64(1<<64 - 1),
	}
	if change != nil {
		change(body)
	}
	// The order of the fields is that of their names: the tests of bad answers
	// cut at these.
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	ordered := strings.Replace(string(encoded), `,"valid_for_seconds":28800`, "", 1)
	return strings.Replace(ordered, `{`, `{"valid_for_seconds":28800,`, 1)
}

func TestSSHCertificate(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, public := range map[string]any{"ed25519": small, "ecdsa": &curve.PublicKey, "rsa": &big.PublicKey} {
		for _, tail := range []string{"", "\n", " alice@example.com"} {
			t.Run(name+tail, func(t *testing.T) {
				key, line := certify(t, public, nil)
				s := newServer(t, http.StatusOK, sshBody(t, line+tail, nil))
				got, err := s.client().SSHCertificate(context.Background(), relayed, key)
				if err != nil {
					t.Fatal(err)
				}
				s.checkRequest(t, http.MethodPost, "/v1/credentials/ssh")
				var sent map[string]string
				if err := json.Unmarshal([]byte(s.sent), &sent); err != nil || len(sent) != 1 || sent["public_key"] != key.Line() {
					t.Errorf("sent %s", s.sent)
				}
				if got.Line.Reveal() != line+tail || got.ValidForSeconds != 28800 || got.Serial != 1<<64-1 ||
					!slices.Equal(got.Principals, []string{"alice@example.com", "alice"}) {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

func TestCertificateThatWasNotAskedFor(t *testing.T) {
	key, line := certified(t, nil)
	_, foreign := certified(t, nil)
	hostKey, host := certified(t, func(c *ssh.Certificate) { c.CertType = ssh.HostCert })
	anyKey, anyName := certified(t, func(c *ssh.Certificate) { c.ValidPrincipals = nil })
	renumberedKey, renumbered := certified(t, func(c *ssh.Certificate) { c.Serial = 7 })
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, otherType := certify(t, &curve.PublicKey, nil)
	tests := map[string]struct {
		key  *openssh.PublicKey
		line string
	}{
		"another key":         {key, foreign},
		"another type of key": {key, otherType},
		"host":                {hostKey, host},
		"no principals":       {anyKey, anyName},
		"another serial":      {renumberedKey, renumbered},
		"the key itself":      {key, key.Line()},
		"cut":                 {key, line[:len(line)-8]},
		"two":                 {key, line + "\n" + foreign},
		"with options":        {key, "cert-authority " + line},
		"not a certificate":   {key, "certificate"},
		"escape sequence":     {key, line + " \x1b[2J"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			issued, err := newServer(t, http.StatusOK, sshBody(t, test.line, nil)).callSSH(test.key)
			if !errors.Is(err, vouch.ErrMalformed) || issued != nil {
				t.Fatalf("got %v, %v", issued, err)
			}
			// Else a fault of Vouch would be told as a fault of the caller's key.
			if errors.Is(err, openssh.ErrMalformed) || errors.Is(err, openssh.ErrUnsupported) {
				t.Errorf("%v wraps a sentinel of openssh", err)
			}
		})
	}
}
