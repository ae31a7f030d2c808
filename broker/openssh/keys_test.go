package openssh_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// wire joins fields in SSH wire encoding: strings with their length, integers
// as they are.
func wire(fields ...any) []byte {
	var b []byte
	for _, field := range fields {
		switch v := field.(type) {
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		case []byte:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, v)
		default:
			panic("wire: unknown type of field")
		}
	}
	return b
}

func line(keyType string, blob []byte) string {
	return keyType + " " + base64.StdEncoding.EncodeToString(blob)
}

// newKeys makes one key of each supported type, read by the reference.
func newKeys(t testing.TB) map[string]ssh.PublicKey {
	t.Helper()
	keys := map[string]ssh.PublicKey{}
	add := func(name string, public crypto.PublicKey, err error) {
		if err != nil {
			t.Fatal(err)
		}
		key, err := ssh.NewPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		keys[name] = key
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", edwards, err)
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		private, err := ecdsa.GenerateKey(curve, rand.Reader)
		add("ecdsa "+curve.Params().Name, &private.PublicKey, err)
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	add("rsa", &private.PublicKey, err)

	security := map[string][]byte{
		"sk-ed25519": wire("sk-ssh-ed25519@openssh.com", []byte(edwards), "ssh:"),
		"sk-ecdsa": wire("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256",
			point(t, keys["ecdsa P-256"]), "ssh:work"),
	}
	for name, blob := range security {
		if keys[name], err = ssh.ParsePublicKey(blob); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func point(t testing.TB, key ssh.PublicKey) []byte {
	t.Helper()
	encoded, err := key.(ssh.CryptoPublicKey).CryptoPublicKey().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}

// rsaLine makes a line with a modulus of that many bits. It is no real modulus:
// no factor is known.
func rsaLine(bits int, e int64) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	n.SetBit(n, 0, 1)
	return line("ssh-rsa", wire("ssh-rsa", mpint(big.NewInt(e)), mpint(n)))
}

func mpint(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) > 0 && b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func trimmed(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
