package age

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	judge "filippo.io/age"

	"mcp-credential-broker/broker/age/agetest"
)

// encodeRecipient is the other direction of decodeBech32, for tests that need
// recipients which nobody would make.
func encodeRecipient(point []byte, lastBits byte) string {
	var digits []byte
	var bits uint32
	have := 0
	for _, b := range point {
		bits, have = bits<<8|uint32(b), have+8
		for have >= 5 {
			have -= 5
			digits = append(digits, byte(bits>>have)&31)
		}
	}
	if have > 0 {
		digits = append(digits, byte(bits<<(5-have))&31|lastBits)
	}
	sum := polymod(append(digits[:len(digits):len(digits)], make([]byte, checksumChars)...)) ^ 1
	for i := range checksumChars {
		digits = append(digits, byte(sum>>(5*(checksumChars-1-i)))&31)
	}
	text := []byte(recipientPrefix)
	for _, digit := range digits {
		text = append(text, charset[digit])
	}
	return string(text)
}

func TestRecipientsOfTheReferenceAreRead(t *testing.T) {
	for range 50 {
		text := agetest.NewIdentity(t).Recipient().String()
		r, err := ParseRecipient(text)
		if err != nil || r.String() != text {
			t.Fatalf("%s: %v, %v", text, r, err)
		}
		if again := encodeRecipient([]byte(r.point), 0); again != text {
			t.Fatalf("%s was read as the key of %s", text, again)
		}
	}
}

func TestWhatIsNoRecipientIsNamed(t *testing.T) {
	identity := agetest.NewIdentity(t)
	good, private := identity.Recipient().String(), identity.String()
	hybrid, err := judge.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	swap := func(text string, at int) string {
		c := byte('q')
		if text[at] == c {
			c = 'p'
		}
		return text[:at] + string(c) + text[at+1:]
	}
	upper := strings.ToUpper(good)
	for _, test := range []struct {
		name, text string
		want       error
	}{
		{"nothing", "", ErrMalformed},
		{"a word", "alice", ErrMalformed},
		{"the prefix alone", "age1", ErrMalformed},
		{"one character short", good[:len(good)-1], ErrMalformed},
		{"one character more", good + "q", ErrMalformed},
		{"q put in before a final p", good[:len(good)-1] + "q" + good[len(good)-1:], ErrMalformed},
		{"no prefix", good[4:], ErrMalformed},
		{"another prefix", "bge1" + good[4:], ErrMalformed},
		{"a character that is no digit", good[:20] + "b" + good[21:], ErrMalformed},
		{"a character outside ASCII", good[:20] + "é" + good[22:], ErrMalformed},
		{"a Kelvin sign for k", "age1" + strings.Repeat("q", 30) + "\u212a" + good[37:], ErrUpperCase},
		{"first character changed", swap(good, 4), ErrChecksum},
		{"last character changed", swap(good, len(good)-1), ErrChecksum},
		{"two characters swapped with others", swap(swap(good, 10), 40), ErrChecksum},
		{"bits that stand for nothing", encodeRecipient([]byte(strings.Repeat("\x09", pointBytes)), 1), ErrMalformed},
		{"upper case", upper, ErrUpperCase},
		{"prefix in upper case", "AGE1" + good[4:], ErrUpperCase},
		{"one character in upper case", good[:61] + strings.ToUpper(good[61:]) + "", nil}, // filled in below
		{"white space before", " " + good, ErrNotOne},
		{"white space after", good + " ", ErrNotOne},
		{"a line break after", good + "\n", ErrNotOne},
		{"a carriage return inside", good[:30] + "\r" + good[30:], ErrNotOne},
		{"two recipients", good + "\n" + agetest.NewIdentity(t).Recipient().String(), ErrNotOne},
		{"a list", good + "," + good, ErrNotOne},
		{"a comment before", "# public key: " + good, ErrNotOne},
		{"post-quantum", hybrid.Recipient().String(), ErrType},
		{"a plugin's", "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt", ErrType},
		{"a tagged one", "age1tag1qwe0kafsjrar4txm6heqnhpfuggzr0gvznz7fvygxrlq90u5mq2pysxtw6h", ErrType},
		{"a plugin's in upper case", "AGE1YUBIKEY1Q2W7U3VPYA839", ErrType},
		{"an SSH key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN alice@laptop", ErrType},
		{"an ECDSA key of SSH", "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTY=", ErrType},
		{"an SSH key of a security key", "sk-ssh-ed25519@openssh.com AAAA", ErrType},
		{"an identity", private, ErrSecretKey},
		{"an identity in lower case", strings.ToLower(private), ErrSecretKey},
		{"a post-quantum identity", hybrid.String(), ErrSecretKey},
		{"an identity behind a recipient", good + "\n" + private, ErrSecretKey},
		{"a whole key file", "# created: 2026-11-25T00:00:00Z\n# public key: " + good + "\n" + private + "\n", ErrSecretKey},
		{"an identity torn apart", "age1 AGE-SECRET-\nKEY-1" + private[16:], ErrSecretKey},
		{"an identity behind an SSH key", "ssh-ed25519 AAAA " + private, ErrSecretKey},
		{"an identity that was escaped", strings.ReplaceAll(private, "-", "\\u002d") + good, ErrMalformed},
		{"an identity of a plugin", "AGE-PLUGIN-YUBIKEY-1VN639SQHR95EJJ8VU3H", ErrSecretKey},
	} {
		if test.want == nil {
			at := strings.LastIndexAny(good, "acdefghjklmnpqrstuvwxyz")
			test.text, test.want = good[:at]+strings.ToUpper(good[at:at+1])+good[at+1:], ErrUpperCase
		}
		r, err := ParseRecipient(test.text)
		if !errors.Is(err, test.want) || r != (Recipient{}) {
			t.Errorf("%s: %v, %v, want %v", test.name, r, err, test.want)
		}
		for _, part := range []string{private[20:], good[10:]} {
			if strings.Contains(fmt.Sprint(r, err), part) {
				t.Errorf("%s: the input is repeated", test.name)
			}
		}
	}
}

// hybrid texts, and all others, end somewhere: a long one costs no more.
func TestALongTextIsRefused(t *testing.T) {
	for _, text := range []string{strings.Repeat("q", 1<<20), "age1" + strings.Repeat("q", 1<<20)} {
		if _, err := ParseRecipient(text); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d characters: %v", len(text), err)
		}
	}
}

func littleEndian(t *testing.T, text string) []byte {
	t.Helper()
	point, err := hex.DecodeString(text)
	if err != nil || len(point) != pointBytes {
		t.Fatalf("%s: %v", text, err)
	}
	return point
}

// TestWeakPointsAreRefused: crypto/ecdh says of each of them that the shared secret
// is zero, whoever the other side is; every spelling beyond p is one of a smaller
// number.
func TestWeakPointsAreRefused(t *testing.T) {
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := append([]string(nil), weakPoints[:]...)
	// p and p+1, and each point again with the bit that X25519 ignores.
	weak = append(weak, "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")
	for _, text := range weak[:len(weak):len(weak)] {
		point := littleEndian(t, text)
		point[pointBytes-1] |= 0x80
		weak = append(weak, hex.EncodeToString(point))
	}
	for _, text := range weak {
		point := littleEndian(t, text)
		public, err := ecdh.X25519().NewPublicKey(point)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ephemeral.ECDH(public); err == nil {
			t.Errorf("%s is not weak: the test is wrong", text)
		}
		if _, err := ParseRecipient(encodeRecipient(point, 0)); !errors.Is(err, ErrWeakPoint) {
			t.Errorf("%s: %v", text, err)
		}
	}
	base := "0900000000000000000000000000000000000000000000000000000000000000"
	for text, want := range map[string]error{
		base:                   nil,
		base[:62] + "80":       ErrWeakPoint, // the same key, spelled with the ignored bit
		"f6" + weak[4][2:]:     ErrWeakPoint, // 9 + p
		"ff" + weak[4][2:]:     ErrWeakPoint, // 2^255 - 1
		"ebff" + weak[4][4:]:   nil,          // p - 2
		weak[4][:62] + "7e":    nil,
		"ec" + "fe" + base[4:]: nil,
	} {
		if _, err := ParseRecipient(encodeRecipient(littleEndian(t, text), 0)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

// FuzzParseRecipient: what is taken is the one text of its key, the reference takes
// it too, and what was sealed to it can be opened by nobody but its identity.
func FuzzParseRecipient(f *testing.F) {
	f.Add("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p")
	f.Add("AGE1QL3Z7HJY54PW3HYWW5AYYFG7ZQGVC7W3J2ELW8ZMRJ2KG5SFN9AQMCAC8P")
	f.Add("AGE-SECRET-KEY-1QQPQZRFR7ZZ2WCV")
	f.Add("age1pq1qqqq")
	for _, weak := range weakPoints {
		point, _ := hex.DecodeString(weak)
		f.Add(encodeRecipient(point, 0))
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRecipient(text)
		if err != nil {
			if r != (Recipient{}) {
				t.Error("an error came with a recipient")
			}
			return
		}
		if r.String() != text || encodeRecipient([]byte(r.point), 0) != text {
			t.Errorf("%q is a second spelling", text)
		}
		if theirs, err := judge.ParseX25519Recipient(text); err != nil || theirs.String() != text {
			t.Errorf("%q: the reference says %v", text, err)
		}
		if _, err := r.Seal(nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}
