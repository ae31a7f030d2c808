package age

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	agevectors "c2sp.org/CCTV/age"
	judge "filippo.io/age"
	"golang.org/x/crypto/curve25519"
)

// A vector is one of the published ones: its fields and the file, out of its armor.
type vector struct {
	name, expect, payload, identity string
	fileKey                         []byte
	armored                         string
	file                            []byte
}

// successful returns the vectors for one X25519 identity that open.
func successful(t *testing.T) []vector {
	t.Helper()
	var all []vector
	names, err := fs.Glob(agevectors.Vectors, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if v := readVector(t, name); v.expect == "success" && strings.HasPrefix(v.identity, "AGE-SECRET-KEY-1") {
			all = append(all, v)
		}
	}
	return all
}

func readVector(t *testing.T, name string) vector {
	t.Helper()
	data, err := fs.ReadFile(agevectors.Vectors, name)
	if err != nil {
		t.Fatal(err)
	}
	head, body, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s has no file", name)
	}
	v := vector{name: name, file: body}
	for line := range strings.SplitSeq(string(head), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch key {
		case "expect":
			v.expect = value
		case "payload":
			v.payload = value
		case "identity":
			v.identity = value
		case "file key":
			v.fileKey, _ = hex.DecodeString(value)
		case "armored":
			v.armored = string(body)
		case "compressed":
			unzip, err := zlib.NewReader(bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if v.file, err = io.ReadAll(unzip); err != nil {
				t.Fatal(err)
			}
		}
	}
	if v.armored != "" {
		lines := strings.Fields(v.armored)
		var body string
		for _, line := range lines {
			if !strings.ContainsAny(line, "-") && line != "AGE" && line != "ENCRYPTED" {
				body += line
			}
		}
		v.file, _ = base64.StdEncoding.DecodeString(body)
	}
	return v
}

// TestPublishedVectors makes each file of the published vectors again out of its
// parts: the wrapped key, the MAC, the payload, the armor.
func TestPublishedVectors(t *testing.T) {
	counts := map[string]int{}
	for _, v := range successful(t) {
		t.Run(v.name, func(t *testing.T) {
			top, rest, ok := bytes.Cut(v.file, []byte("\n--- "))
			if !ok {
				t.Fatal("no MAC")
			}
			_, payload, _ := bytes.Cut(rest, []byte("\n"))
			stanzas := strings.TrimPrefix(string(top), "age-encryption.org/v1\n") + "\n"
			head, err := header(v.fileKey, stanzas)
			if err != nil || head+string(payload) != string(v.file) {
				t.Errorf("the header is another, %v", err)
			}
			counts["header"]++

			plaintext, err := io.ReadAll(decrypt(t, v))
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(plaintext); hex.EncodeToString(sum[:]) != v.payload {
				t.Fatal("the test opened something else")
			}
			again, err := stream(v.fileKey, payload[:nonceBytes], plaintext)
			if err != nil || !bytes.Equal(again, payload) {
				t.Errorf("the payload is another, %v", err)
			}
			counts["payload"]++

			if checkWrapped(t, v, stanzas) {
				counts["stanza"]++
			}
			// Vectors that try what a reader tolerates are spelled otherwise.
			if v.name == "armor_x25519" || v.name == "armor_full_last_line" {
				counts["armor"]++
				if text := armor(v.file); text != v.armored {
					t.Errorf("the armor is another:\n%s", text)
				}
			}
		})
	}
	if counts["header"] < 19 || counts["payload"] < 19 || counts["stanza"] < 19 || counts["armor"] != 2 {
		t.Errorf("too few vectors were found: %v", counts)
	}
}

func decrypt(t *testing.T, v vector) io.Reader {
	t.Helper()
	identity, err := judge.ParseX25519Identity(v.identity)
	if err != nil {
		t.Fatal(err)
	}
	out, err := judge.Decrypt(bytes.NewReader(v.file), identity)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkWrapped wraps the file key again with the secret that the identity shares
// with the stanza's ephemeral key, and looks for it in the header.
func checkWrapped(t *testing.T, v vector, stanzas string) bool {
	t.Helper()
	identity, err := judge.ParseX25519Identity(v.identity)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ParseRecipient(identity.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	scalar := identityScalar(t, v.identity)
	for text := range strings.SplitSeq(stanzas, "-> ") {
		line, body, _ := strings.Cut(text, "\n")
		share, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(line, "X25519 "))
		if !strings.HasPrefix(line, "X25519 ") || err != nil {
			continue
		}
		shared, err := curve25519.X25519(scalar, share)
		if err != nil {
			continue
		}
		wrapped, err := wrap(shared, share, []byte(ours.point), v.fileKey)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSuffix(body, "\n") == encode(wrapped) {
			return true
		}
	}
	t.Error("no stanza holds the file key as it is wrapped here")
	return false
}

func identityScalar(t *testing.T, identity string) []byte {
	t.Helper()
	text := strings.ToLower(strings.TrimPrefix(identity, "AGE-SECRET-KEY-1"))
	scalar, err := decodeDigits(text)
	if err != nil {
		t.Fatal(err)
	}
	return scalar
}

// decodeDigits reads the digits of an identity, whose checksum the judge has seen.
func decodeDigits(text string) ([]byte, error) {
	var bytes []byte
	var bits uint32
	have := 0
	for _, c := range []byte(text[:len(text)-checksumChars]) {
		digit := strings.IndexByte(charset, c)
		if digit < 0 {
			return nil, errors.New("no digit")
		}
		if bits, have = bits<<5|uint32(digit), have+5; have >= 8 {
			have -= 8
			bytes = append(bytes, byte(bits>>have))
		}
	}
	return bytes, nil
}

// TestTheVectorOfLowOrderIsNoRecipient takes the share that the vector tries on
// readers, and offers it as a recipient.
func TestTheVectorOfLowOrderIsNoRecipient(t *testing.T) {
	v := readVector(t, "x25519_low_order")
	_, after, _ := strings.Cut(string(v.file), "-> X25519 ")
	line, _, _ := strings.Cut(after, "\n")
	point, err := base64.RawStdEncoding.DecodeString(line)
	if err != nil || len(point) != pointBytes {
		t.Fatalf("%q: %v", line, err)
	}
	if _, err := ParseRecipient(encodeRecipient(point, 0)); !errors.Is(err, ErrWeakPoint) {
		t.Errorf("got %v", err)
	}
}
