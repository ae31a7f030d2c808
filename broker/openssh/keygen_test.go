package openssh_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mcp-credential-broker/broker/openssh"
)

// keygen reads a public key file as OpenSSH does. It returns "" for what is none.
func keygen(t testing.TB, path, text string) (fingerprint string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-l", "-f", path).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if fields := strings.Fields(string(out)); len(fields) > 2 { // bits, fingerprint, and a comment of any kind
		return fields[1]
	}
	t.Fatalf("ssh-keygen says %q", out)
	return ""
}

func needKeygen(t *testing.T) (path string) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("no ssh-keygen here")
	}
	return filepath.Join(t.TempDir(), "key.pub")
}

// Truth is ssh-keygen: what it reads as one key, we read as that key.
func TestKeysThatKeygenReads(t *testing.T) {
	path := needKeygen(t)
	keys := map[string]string{
		"sk in UTF-8":       line("sk-ssh-ed25519@openssh.com", wire("sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:дом-ключ-é")),
		"sk in Latin-1":     line("sk-ssh-ed25519@openssh.com", wire("sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:\xe9")),
		"sk with a tab":     line("sk-ssh-ed25519@openssh.com", wire("sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:\t")),
		"sk with no origin": line("sk-ssh-ed25519@openssh.com", wire("sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "")),
	}
	for name, key := range newKeys(t) {
		keys[name] = trimmed(key)
	}
	one := big.NewInt(1)
	for _, bits := range []uint{2, 5, 17, 24, 25, 31, 32, 33, 40, 64, 65, 256, 1023, 1025} {
		e := new(big.Int).Add(new(big.Int).Lsh(one, bits-1), one)
		n := new(big.Int).Add(new(big.Int).Lsh(one, 1023), one)
		keys["RSA exponent of "+e.String()] = line("ssh-rsa", wire("ssh-rsa", mpint(e), mpint(n)))
	}
	around := []func(string) string{
		func(s string) string { return s },
		func(s string) string { return s + "\n" },
		func(s string) string { return s + " \t\r\n\n \n" },
		func(s string) string { return "\n\t\n \r\n\t " + s },
		func(s string) string { return strings.ReplaceAll(s, " ", "\t") },
		func(s string) string { return strings.ReplaceAll(s, " ", "  \t ") + "\t\tAlice's key\tof Tuesday \n" },
		func(s string) string { return s + " # backend private key\r\n" },
	}
	for name, key := range keys {
		for i, change := range around {
			text := change(key)
			want := keygen(t, path, text)
			got, err := openssh.ParsePublicKey(text)
			if want == "" {
				t.Errorf("%s, %d: ssh-keygen does not read it", name, i)
			} else if err != nil || got.Fingerprint() != want || got.Line() != key {
				t.Errorf("%s, %d: %v, ssh-keygen reads %s", name, i, err, want)
			}
		}
	}
}

// What we read of a mangled key, ssh-keygen reads as the same one; and what only
// it reads has its reason.
func TestMangledKeysAgainstKeygen(t *testing.T) {
	path := needKeygen(t)
	var lines []string
	types := ""
	for _, key := range newKeys(t) {
		types += key.Type() + " "
		lines = append(lines, trimmed(key)+" alice@laptop")
	}
	taken, refused := 0, 0
	for range 300 {
		text := []byte(lines[rand.IntN(len(lines))])
		for range 1 + rand.IntN(2) {
			at := rand.IntN(len(text))
			if gap := strings.IndexAny(string(text[at:]), " \t"); gap > 0 && rand.IntN(2) == 0 {
				at += gap // most keys survive what happens there
			}
			switch piece := []string{" ", "\t", "\r", "A", "=", "#", "\"", "-", "+", "ü"}[rand.IntN(10)]; rand.IntN(3) {
			case 0:
				text = append(text[:at:at], text[at+1:]...)
			case 1:
				text = append(text[:at:at], append([]byte(piece), text[at:]...)...)
			default:
				text = append(text[:at:at], append([]byte(piece), text[at+1:]...)...)
			}
		}
		want := keygen(t, path, string(text))
		got, err := openssh.ParsePublicKey(string(text))
		switch {
		case err == nil && got.Fingerprint() != want:
			t.Errorf("%q is %s here, and %q for ssh-keygen", text, got.Fingerprint(), want)
		case err == nil:
			taken++
		case want == "":
			refused++
		case strings.HasPrefix(string(text), "ssh-rsa") && err == openssh.ErrMalformed: // the modulus has become even
		case err == openssh.ErrMultipleLines: // a carriage return, which only its decoder of base64 skips
		case !strings.Contains(types, strings.Fields(string(text))[0]+" "): // it skipped options, known or not
		default:
			t.Errorf("%q: %v, and ssh-keygen reads %s", text, err, want)
		}
	}
	if taken < 10 || refused < 10 {
		t.Errorf("%d taken, %d refused: too few to tell", taken, refused)
	}
}

// The keys that only an attacker makes: with exponent 1 every text signs itself.
func TestKeysThatOnlyKeygenReads(t *testing.T) {
	path := needKeygen(t)
	n := new(big.Int).SetBit(big.NewInt(1), 1023, 1)
	var tests = map[string]string{
		"exponent 1":    line("ssh-rsa", wire("ssh-rsa", "\x01", mpint(n))),
		"even exponent": line("ssh-rsa", wire("ssh-rsa", "\x02", mpint(n))),
		"padded twice":  line("ssh-rsa", wire("ssh-rsa", "\x00\x00\x03", mpint(n))), // another line, the same fingerprint
	}
	for name, text := range tests {
		if keygen(t, path, text) == "" {
			t.Errorf("%s: ssh-keygen does not read it either", name)
		}
		if _, err := openssh.ParsePublicKey(text); err != openssh.ErrMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
}
