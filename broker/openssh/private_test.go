package openssh_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/openssh"
)

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
	const puttyBody = "Encryption: none\nComment: rsa-key\nPublic-Lines: 1\nAAAAB3NzaC1yc2EAAAADAQABAAABAQ\nPrivate-Lines: 1\nAAABAQCq\nPrivate-MAC: 8a2f21bd1a1a0c2c2c2ab9d84b5e18ae4ed5b5c1f5a8a9a9dd0c5b4c6f3a2b1c\n"
	return map[string]string{
		"PuTTY, no first line": puttyBody,
		"PuTTY, end":           puttyBody[strings.Index(puttyBody, "Private-Lines"):],
		"age":                  "AGE-SECRET-KEY-1" + strings.Repeat("QPZRY9X8GF2T", 5)[:58],
		"age-keygen":           "# created: 2026-11-25T05:00:00Z\n# public key: age1" + strings.Repeat("q", 58) + "\nAGE-SECRET-KEY-1" + strings.Repeat("Q", 58) + "\n",
		"age, post-quantum":    "AGE-SECRET-KEY-PQ-1" + strings.Repeat("QPZRY9X8GF2T", 5)[:58],
		"PGP":                  block("PGP PRIVATE KEY BLOCK", pkcs8),
		"OpenSSH":              string(pem.EncodeToMemory(own)),
		"PKCS #8":              block("PRIVATE KEY", pkcs8),
		"encrypted":            block("ENCRYPTED PRIVATE KEY", pkcs8),
		"RSA":                  block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small)),
		"EC":                   block("EC PRIVATE KEY", sec1),
		"DSA":                  block("DSA PRIVATE KEY", pkcs8),
		"ssh.com":              "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"x\"\nP2/56wAAA\n---- END SSH2 ENCRYPTED PRIVATE KEY ----\n",
		"PuTTY 2":              "PuTTY-User-Key-File-2: ssh-ed25519\nEncryption: none\nComment: c\n",
		"PuTTY 3":              "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: c\n",
		"OpenSSH, base64":      string(bytes.Join(bytes.Split(pem.EncodeToMemory(own), []byte("\n"))[1:4], nil)),
		"OpenSSH, label":       "it begins with this, and the rest was far too long to paste: -----BEGIN OPENSSH PRIVATE KEY-----",
		"OpenSSH, tail":        strings.SplitN(string(pem.EncodeToMemory(own)), "\n", 3)[2],
	}
}

// encodedKeys returns private keys in base64 whose case matters.
func encodedKeys(t testing.TB) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for name, text := range privateKeys(t) {
		if block, _ := pem.Decode([]byte(text)); block != nil && strings.HasPrefix(text, "-----BEGIN ") && !strings.Contains(name, "PGP") {
			lines := strings.Split(strings.TrimSpace(text), "\n")
			keys[name+", body"] = strings.Join(lines[1:len(lines)-1], "\n")
			keys[name+", body of one line"] = base64.StdEncoding.EncodeToString(block.Bytes)
			keys[name+", body as base64url"] = base64.RawURLEncoding.EncodeToString(block.Bytes)
			keys[name+", body's start"] = base64.StdEncoding.EncodeToString(block.Bytes)[:24]
		}
		whole := base64.StdEncoding.EncodeToString([]byte(text))
		keys[name+", file in base64"] = whole
		keys[name+", file in base64url"] = base64.RawURLEncoding.EncodeToString([]byte(text))
		keys[name+", file in base64, wrapped"] = whole[:len(whole)/4] + "\n" + whole[len(whole)/4:]
		keys[name+", file in base64 twice"] = base64.StdEncoding.EncodeToString([]byte(whole))
	}
	for _, size := range []int{1024, 2048, 3072} {
		key, err := rsa.GenerateKey(rand.Reader, size)
		if err != nil {
			t.Fatal(err)
		}
		keys["PKCS #1 body of "+strconv.Itoa(size)] = base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key))
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		keys["PKCS #8 body of "+strconv.Itoa(size)] = base64.StdEncoding.EncodeToString(pkcs8)
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		sec1, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		keys["SEC 1 body on "+curve.Params().Name] = base64.StdEncoding.EncodeToString(sec1)
	}
	// openssl pkcs8 -topk8 with PBES2, with PBES1, and with a cipher of PKCS #12.
	keys["encrypted PKCS #8, PBES2"] = "MIIC3TBXBgkqhkiG9w0BBQ0wSjApBgkqhkiG9w0BBQwwHAQI"
	keys["encrypted PKCS #8, PBES1"] = base64.StdEncoding.EncodeToString([]byte("\x30\x82\x02\xa1\x30\x1b\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x03\x30\x0e"))
	keys["encrypted PKCS #8, PKCS #12"] = base64.StdEncoding.EncodeToString([]byte("\x30\x82\x02\xa1\x30\x1c\x06\x0a\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01\x03\x30\x0e"))
	keys["JWK"] = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`
	return keys
}

func TestEncodedPrivateKeyIsFoundFirst(t *testing.T) {
	public := trimmed(newKeys(t)["ed25519"])
	mangled := map[string]func(string) string{
		"as it is":         func(s string) string { return s },
		"spaces for lines": func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
		"white space lost": func(s string) string { return strings.Join(strings.Fields(s), "") },
		"CRLF":             func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"spread":           func(s string) string { return strings.Join(strings.Split(s, ""), " ") },
		"behind a key":     func(s string) string { return public + " " + s },
		"as a comment":     func(s string) string { return public + " # " + s + "\n" },
		"behind a name":    func(s string) string { return "key: " + s },
		"not UTF-8":        func(s string) string { return "\xff\xfe" + s },
		"quoted":           func(s string) string { return `"` + s + `"` },
		"padding lost":     func(s string) string { return strings.TrimRight(s, "=") },
	}
	for name, text := range encodedKeys(t) {
		for how, mangle := range mangled {
			if name == "JWK" && how == "spread" {
				continue // no more than JSON that lost its names
			}
			if _, err := openssh.ParsePublicKey(mangle(text)); err != openssh.ErrPrivateKey {
				t.Errorf("%s, %s: %v, want ErrPrivateKey", name, how, err)
			}
		}
	}
}

// publicKeys returns public keys in the forms that tools write, with a comment
// where the form has one.
func publicKeys(key ssh.PublicKey, comment string) map[string]string {
	whole := trimmed(key)
	forms := map[string]string{
		"line":        whole + " " + comment,
		"options":     `restrict,command="end" ` + whole + " " + comment,
		"known_hosts": "host.example " + whole + " " + comment,
		"cut off":     whole[:len(whole)-9] + " " + comment,
		"two":         whole + " " + comment + "\n" + whole + " " + comment,
		"remark":      "# " + comment + "\n" + whole,
		"tabs":        strings.ReplaceAll(whole, " ", "\t") + "\t" + comment,
		"RFC 4716":    "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"" + comment + "\"\n" + strings.Fields(whole)[1] + "\n---- END SSH2 PUBLIC KEY ----\n",
		"certificate": "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t " + comment,
	}
	if public, ok := key.(ssh.CryptoPublicKey); ok {
		if der, err := x509.MarshalPKIXPublicKey(public.CryptoPublicKey()); err == nil {
			forms["PEM"] = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
			forms["DER in base64"] = base64.StdEncoding.EncodeToString(der)
			forms["PEM in base64"] = base64.StdEncoding.EncodeToString([]byte(forms["PEM"]))
		}
		if key, ok := public.CryptoPublicKey().(*rsa.PublicKey); ok {
			forms["PKCS #1"] = base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(key))
		}
	}
	return forms
}

func TestPublicKeyIsNotTakenForPrivate(t *testing.T) {
	comments := []string{
		"begin", "the end of my private parts", "alice@private-keycloak", "brendan@private-keycloak", "put your key here",
		"the beginning of a comment that goes on and on and comes to private keys late",
		"backend private key", "BACKEND PRIVATE KEY", "end private key", "begin private key", "weekend-private-keys",
		"not the private key -- begin here", "frontend--private--key", "private-key-of-the-backend",
		"alice@age-secret-key-backup", "age-secret-key", "putty-user-key-file", "PuTTY user key file 2", "my-private-mac:2",
		"RSA-PRIVATE-KEY", "openssh-key-v1", "",
	}
	for name, key := range newKeys(t) {
		for _, comment := range comments {
			for form, text := range publicKeys(key, comment) {
				_, err := openssh.ParsePublicKey(text)
				if err == openssh.ErrPrivateKey || form == "line" && err != nil {
					t.Errorf("%s as %s with comment %q: %v", name, form, comment, err)
				}
			}
		}
	}
}

// The base64 of a key holds "end" or "begin" now and then, and a comment may go on
// with the rest of a label.
func TestPublicKeyMaySpellALabel(t *testing.T) {
	for _, word := range []string{"begin", "BEGIN", "END+", "End/", "endprivatekey", "beginprivatekey", "puttyuserkeyfile", "agesecretkey"} {
		data := append(bytes.Repeat([]byte{7}, 32-18), "123456789012345678"...)
		encoded := []byte(strings.Fields(line("ssh-ed25519", wire("ssh-ed25519", data)))[1])
		copy(encoded[len(encoded)-17:], word)
		text := "ssh-ed25519 " + string(encoded) + " private key of alice@private-keycloak"
		if _, err := openssh.ParsePublicKey(text); err != nil {
			t.Errorf("key with %q in it: %v", word, err)
		}
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
