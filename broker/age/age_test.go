package age

import (
	"bytes"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	judge "filippo.io/age"
	judgearmor "filippo.io/age/armor"
)

// TestTheReferenceOpensWhatIsSealed: every length around the borders of a chunk.
func TestTheReferenceOpensWhatIsSealed(t *testing.T) {
	identity := newIdentity(t)
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
		got, err := open(text, identity)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("%d bytes: %d came back, %v", length, len(got), err)
		}
		if _, err := open(text, newIdentity(t)); err == nil {
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
	r, _ := ParseRecipient(newIdentity(t).Recipient().String())
	nonces := map[string]bool{string(make([]byte, nonceBytes)): true}
	for range 3 {
		text, err := r.Seal([]byte("secret"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		file, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
		if err != nil {
			t.Fatal(err)
		}
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

func open(text string, identity judge.Identity) ([]byte, error) {
	file, err := judge.Decrypt(judgearmor.NewReader(strings.NewReader(text)), identity)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(file)
}

func TestNothingInTheFileIsThePlaintext(t *testing.T) {
	identity := newIdentity(t)
	r, _ := ParseRecipient(identity.Recipient().String())
	const plaintext = "AKIAIOSFODNN7EXAMPLE"
	text, err := r.Seal([]byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	file, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{plaintext, encode([]byte(plaintext)), r.String(), r.point} {
		if strings.Contains(text, form) || bytes.Contains(file, []byte(form)) {
			t.Errorf("the file holds %q", form)
		}
	}
}

// TestEveryChangedByteIsNoticed: the judge refuses the file wherever it is changed,
// so the MAC and the tags cover all of it.
func TestEveryChangedByteIsNoticed(t *testing.T) {
	identity := newIdentity(t)
	r, _ := ParseRecipient(identity.Recipient().String())
	text, err := r.Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	block := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	file, _ := base64.StdEncoding.DecodeString(strings.Join(block[1:len(block)-1], ""))
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
	program, err := exec.LookPath("age")
	if err != nil {
		if os.Getenv("REQUIRE_AGE") != "" {
			t.Fatal(err)
		}
		t.Skip("age is not installed")
	}
	identity := newIdentity(t)
	r, _ := ParseRecipient(identity.Recipient().String())
	key := filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(key, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, plaintext := range []string{"", "secret\n", strings.Repeat("a line of a secret\n", 8000)} {
		text, err := r.Seal([]byte(plaintext))
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-d", "-i", key)
		cmd.Stdin = strings.NewReader(text)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if out, err := cmd.Output(); err != nil || string(out) != plaintext {
			t.Errorf("%d bytes: %d came back, %v\n%s", len(plaintext), len(out), err, stderr.Bytes())
		}
	}
}
