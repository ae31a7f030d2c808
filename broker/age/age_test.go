package age

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	judge "filippo.io/age"

	"mcp-credential-broker/broker/age/agetest"
)

// TestTheReferenceOpensWhatIsSealed: every length around the borders of a chunk.
func TestTheReferenceOpensWhatIsSealed(t *testing.T) {
	identity := agetest.NewIdentity(t)
	r, err := ParseRecipient(identity.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []int{0, 1, 47, 48, 49, 1000, chunkBytes - 1, chunkBytes, chunkBytes + 1, 2 * chunkBytes, 3*chunkBytes + 5} {
		plaintext := bytes.Repeat([]byte("secret\x00\n"), length/8+1)[:length]
		text, err := r.Seal(plaintext)
		if err != nil {
			t.Fatalf("%d bytes: %v", length, err)
		}
		got, err := agetest.Open(text, identity)
		if err != nil || got != string(plaintext) {
			t.Errorf("%d bytes: %d came back, %v", length, len(got), err)
		}
		if _, err := agetest.Open(text, agetest.NewIdentity(t)); err == nil {
			t.Errorf("%d bytes: another identity opened it", length)
		}
		if again, _ := r.Seal(plaintext); again == text {
			t.Errorf("%d bytes: sealed twice, the same file", length)
		}
	}
}

// TestEachFileHasKeysOfItsOwn: neither the file key nor the nonce of the payload is a
// constant, nor that of the file before.
func TestEachFileHasKeysOfItsOwn(t *testing.T) {
	r, _ := ParseRecipient(agetest.NewIdentity(t).Recipient().String())
	nonces := map[string]bool{string(make([]byte, nonceBytes)): true}
	for range 3 {
		text, err := r.Seal([]byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		file := unarmor(t, text)
		top, rest, _ := bytes.Cut(file, []byte("\n--- "))
		mac, payload, _ := bytes.Cut(rest, []byte("\n"))
		stanza := strings.TrimPrefix(string(top), "age-encryption.org/v1\n") + "\n"
		guessed, err := header(make([]byte, fileKeyBytes), stanza)
		if err != nil || strings.Contains(guessed, string(mac)) {
			t.Errorf("the file key is zero, %v", err)
		}
		nonce := string(payload[:nonceBytes])
		if nonces[nonce] {
			t.Errorf("nonce %x is zero, or was used before", nonce)
		}
		nonces[nonce] = true
	}
}

// unarmor takes a file out of its armor.
func unarmor(t *testing.T, text string) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	file, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestNothingInTheFileIsThePlaintext(t *testing.T) {
	identity := agetest.NewIdentity(t)
	r, _ := ParseRecipient(identity.Recipient().String())
	const plaintext = "AKIAIOSFODNN7EXAMPLE"
	text, err := r.Seal([]byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	file := unarmor(t, text)
	for _, form := range []string{plaintext, encode([]byte(plaintext)), r.String(), r.point} {
		if strings.Contains(text, form) || bytes.Contains(file, []byte(form)) {
			t.Errorf("the file holds %q", form)
		}
	}
}

// TestEveryChangedByteIsNoticed: the judge refuses the file wherever it is changed,
// so the MAC and the tags cover all of it.
func TestEveryChangedByteIsNoticed(t *testing.T) {
	identity := agetest.NewIdentity(t)
	r, _ := ParseRecipient(identity.Recipient().String())
	text, err := r.Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	file := unarmor(t, text)
	for at := range file {
		changed := bytes.Clone(file)
		changed[at] ^= 1
		if out, err := judge.Decrypt(bytes.NewReader(changed), identity); err == nil {
			if _, err := io.ReadAll(out); err == nil {
				t.Errorf("byte %d of %d can be changed", at, len(file))
			}
		}
	}
}

func TestTheZeroRecipientSealsNothing(t *testing.T) {
	if text, err := (Recipient{}).Seal([]byte("secret")); err == nil || text != "" {
		t.Errorf("%q, %v", text, err)
	}
	// Nor does a point that got past ParseRecipient.
	for _, point := range weakPoints {
		r := Recipient{"age1...", string(littleEndian(t, point))}
		if text, err := r.Seal([]byte("secret")); err == nil || text != "" {
			t.Errorf("%s: %q, %v", point, text, err)
		}
	}
}

// TestStockAgeOpensWhatIsSealed asks the program that people have.
func TestStockAgeOpensWhatIsSealed(t *testing.T) {
	identity := agetest.NewIdentity(t)
	r, _ := ParseRecipient(identity.Recipient().String())
	for _, plaintext := range []string{"", "secret\n", strings.Repeat("a line of a secret\n", 8000)} {
		text, err := r.Seal([]byte(plaintext))
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := agetest.OpenByProgram(t, text, identity); err != nil || opened != plaintext {
			t.Errorf("%d bytes: %d came back, %v", len(plaintext), len(opened), err)
		}
	}
}
