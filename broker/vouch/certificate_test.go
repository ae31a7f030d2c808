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
		ValidAfter:      uint64(now().Unix()),
		ValidBefore:     uint64(now().Unix()) + 28800,
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
	if string(cert.Reserved) == "damaged" { // after it was signed
		cert.ValidBefore++
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
				if got.Line.Reveal() != line+tail {
					t.Errorf("the line is %q, want %q", got.Line.Reveal(), line+tail)
				}
				if got.ValidForSeconds != 28800 || got.Serial != 1<<64-1 {
					t.Errorf("valid for %d s, serial %d; want 28800 s, and all of its 64 bits set", got.ValidForSeconds, got.Serial)
				}
				if want := []string{"alice@example.com", "alice"}; !slices.Equal(got.Principals, want) {
					t.Errorf("principals %q, want %q", got.Principals, want)
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
	type issue struct {
		key  *openssh.PublicKey
		line string
	}
	changed := func(change func(*ssh.Certificate)) issue {
		key, line := certified(t, change)
		return issue{key, line}
	}
	start := uint64(now().Unix())
	tests := map[string]issue{
		"more principals":     changed(func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "root") }),
		"fewer principals":    changed(func(c *ssh.Certificate) { c.ValidPrincipals = c.ValidPrincipals[:1] }),
		"other principals":    changed(func(c *ssh.Certificate) { c.ValidPrincipals[1] = "root" }),
		"principal's case":    changed(func(c *ssh.Certificate) { c.ValidPrincipals[1] = "Alice" }),
		"for ever":            changed(func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, ssh.CertTimeInfinity }),
		"longer":              changed(func(c *ssh.Certificate) { c.ValidBefore = start + 28800 + 301 }),
		"shorter":             changed(func(c *ssh.Certificate) { c.ValidBefore = start + 28800 - 301 }),
		"over":                changed(func(c *ssh.Certificate) { c.ValidBefore = start - 1 }),
		"end at 0":            changed(func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 0, 0 }),
		"not yet valid":       changed(func(c *ssh.Certificate) { c.ValidAfter = start + 301 }),
		"never valid":         changed(func(c *ssh.Certificate) { c.ValidAfter = ssh.CertTimeInfinity }),
		"forced command":      changed(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "sh"} }),
		"unknown option":      changed(func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x@vouch.sh": ""} }),
		"damaged":             changed(func(c *ssh.Certificate) { c.Reserved = []byte("damaged") }),
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

// Clocks differ, and what narrows a certificate is nobody's surprise.
func TestCertificateThatIsAsTold(t *testing.T) {
	start := uint64(now().Unix())
	for name, change := range map[string]func(*ssh.Certificate){
		"fast clock":   func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = start+300, start+28800+300 },
		"slow clock":   func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = start-300, start+28800-300 },
		"dated back":   func(c *ssh.Certificate) { c.ValidAfter = 0 },
		"other order":  func(c *ssh.Certificate) { slices.Reverse(c.ValidPrincipals) },
		"from one net": func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "10.0.0.0/8"} },
		"with a touch": func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"verify-required": ""} },
		"extensions":   func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": "", "x@vouch.sh": "y"} },
	} {
		t.Run(name, func(t *testing.T) {
			key, line := certified(t, change)
			if issued, err := newServer(t, http.StatusOK, sshBody(t, line, nil)).callSSH(key); err != nil {
				t.Errorf("got %v, %v", issued, err)
			}
		})
	}
}
