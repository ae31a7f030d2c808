package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
)

const (
	token seal.Purpose = "token"
	code  seal.Purpose = "code"
)

// jwk is a private key as it is configured.
type jwk struct{ x, y, d string }

// The ids of two of these keys begin with the same four characters.
var (
	currentJWK  = jwk{"1MbcgjZEfzhdDadlfbAWGXvLzPXT2WP8gqOIt9COdHM", "l6asBIeMW7hhLGQf-2qTymVvahYitYDDeL_dOallC5w", "OPce1trSXI4rTtmylTP8YFknB0m9FLH8nXyeicC720Y"}
	sameIDJWK   = jwk{"0E0aS3uZZoS4_yyh40G_1KrH0uiUzIT2wNdgd7SbkSc", "Z_uNSBMwefI2Ge2wu0IuLsl_XDp7y14r8dC5GUDvmx4", "Y66ec3j4pxXjb0d4QCpDcjHEoCXdq-_sESsQM9h-EQI"}
	previousJWK = jwk{"qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA", "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0", "UpuF81l-kOxbjf7T4mNSv0r5tN67Gim7rnf6EFpcYDs"}
)

func (j jwk) key(t testing.TB) *p256.Key {
	t.Helper()
	key, err := p256.Parse(secret.New(`{"kty":"EC","crv":"P-256","x":"` + j.x + `","y":"` + j.y + `","d":"` + j.d + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

const (
	issuer      = "https://broker.example"
	vouchIssuer = "https://us.vouch.sh"
	resource    = "https://broker.example/mcp"
)

func newBox(t testing.TB, current jwk) seal.Box {
	return seal.Box{Current: current.key(t), Issuer: issuer, VouchIssuer: vouchIssuer, Resource: resource}
}

var (
	now     = time.Unix(1795000000, 0)
	expires = now.Add(time.Minute)
	payload = []byte("payload")
)

func mustSeal(t testing.TB, b seal.Box, purpose seal.Purpose, payload []byte) string {
	t.Helper()
	text, err := b.Seal(purpose, expires, payload)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wantSealed says that b must not open text, in the one way there is.
func wantSealed(t *testing.T, b seal.Box, purpose seal.Purpose, text string) {
	t.Helper()
	if got, key, err := b.Open(purpose, text, now); err != seal.ErrSealed || got != nil || key != nil {
		t.Errorf("opened %q: payload %q, error %v; want ErrSealed itself", text, got, err)
	}
}

func decode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestOpenReturnsWhatWasSealed(t *testing.T) {
	box := newBox(t, currentJWK)
	for _, payload := range [][]byte{nil, {0}, payload, bytes.Repeat([]byte{0xff}, seal.MaxPayloadBytes)} {
		text := mustSeal(t, box, token, payload)
		got, key, err := box.Open(token, text, now)
		if err != nil || !bytes.Equal(got, payload) || key != box.Current {
			t.Errorf("%d bytes: got %d, %v", len(payload), len(got), err)
		}
		if strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			t.Errorf("%q is not base64url", text)
		}
		if len(payload) == seal.MaxPayloadBytes && len(text) != seal.MaxTextBytes {
			t.Errorf("the longest value has %d characters, want %d", len(text), seal.MaxTextBytes)
		}
	}
}

func TestSealRefusesWhatIsTooLong(t *testing.T) {
	if text, err := newBox(t, currentJWK).Seal(token, expires, make([]byte, seal.MaxPayloadBytes+1)); !errors.Is(err, seal.ErrTooLong) || text != "" {
		t.Errorf("%d characters, %v", len(text), err)
	}
}

func TestNothingShowsThroughTheSeal(t *testing.T) {
	box := newBox(t, currentJWK)
	secretText := bytes.Repeat([]byte("hunter2"), 8)
	nonces := map[string]bool{}
	for range 100 {
		sealed := decode(t, mustSeal(t, box, token, secretText))
		if bytes.Contains(sealed, []byte("hunter2")) {
			t.Fatal("the payload is readable")
		}
		nonces[string(sealed[5:29])] = true
	}
	if len(nonces) != 100 {
		t.Errorf("%d nonces for 100 values: two values with one nonce give away both", len(nonces))
	}
}

func TestExpiry(t *testing.T) {
	box := newBox(t, currentJWK)
	tests := []struct {
		name    string
		expires time.Time
		want    error
	}{
		{"in a second", now.Add(time.Second), nil},
		{"in a century", now.AddDate(100, 0, 0), nil},
		{"now", now, seal.ErrExpired},
		{"within this second", now.Add(time.Second - 1), seal.ErrExpired},
		{"a second ago", now.Add(-time.Second), seal.ErrExpired},
		{"1970", time.Unix(0, 0), seal.ErrExpired},
		{"before 1970", time.Unix(-1, 0), seal.ErrExpired},
		{"never set", time.Time{}, seal.ErrExpired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := box.Seal(token, tt.expires, payload)
			if err != nil {
				t.Fatal(err)
			}
			got, key, err := box.Open(token, text, now)
			if !errors.Is(err, tt.want) || (err == nil) != bytes.Equal(got, payload) || (err == nil) != (key != nil) {
				t.Errorf("payload %q, error %v; want %v", got, err, tt.want)
			}
			// That a value has expired is told only to who may open it.
			wantSealed(t, box, code, text)
		})
	}
}

func TestRotation(t *testing.T) {
	before, after := newBox(t, previousJWK), newBox(t, currentJWK)
	old := mustSeal(t, before, token, payload)
	wantSealed(t, after, token, old)
	after.Previous = before.Current

	got, key, err := after.Open(token, old, now)
	if err != nil || !bytes.Equal(got, payload) || key != before.Current {
		t.Errorf("the previous key does not open: %v", err)
	}
	if _, _, err := after.Open(token, old, expires); !errors.Is(err, seal.ErrExpired) {
		t.Errorf("error %v, want ErrExpired", err)
	}
	wantSealed(t, after, code, old)

	fresh := mustSeal(t, after, token, payload)
	wantSealed(t, before, token, fresh) // the previous key does not seal
	if _, key, err := after.Open(token, fresh, now); err != nil || key != after.Current {
		t.Errorf("the current key does not open: %v", err)
	}
}

func TestTwoKeysWithTheSameID(t *testing.T) {
	before, after := newBox(t, sameIDJWK), newBox(t, currentJWK)
	after.Previous = before.Current
	if before.Current.Thumbprint()[:4] != after.Current.Thumbprint()[:4] {
		t.Fatal("the keys have different ids")
	}
	_, key, err := after.Open(token, mustSeal(t, before, token, payload), now)
	if err != nil || key != before.Current {
		t.Errorf("the previous key does not open: %v", err)
	}
}

func TestValuesDoNotMoveBetweenBoxes(t *testing.T) {
	base := newBox(t, currentJWK)
	tests := []struct {
		name string
		edit func(*seal.Box)
	}{
		{"another issuer", func(b *seal.Box) { b.Issuer = "https://broker.evil" }},
		{"another Vouch", func(b *seal.Box) { b.VouchIssuer = "https://eu.vouch.sh" }},
		{"another resource", func(b *seal.Box) { b.Resource += "/" }},
		{"issuer and Vouch swapped", func(b *seal.Box) { b.Issuer, b.VouchIssuer = b.VouchIssuer, b.Issuer }},
		{"a byte moved from issuer to Vouch", func(b *seal.Box) {
			last := len(b.Issuer) - 1
			b.Issuer, b.VouchIssuer = b.Issuer[:last], b.Issuer[last:]+b.VouchIssuer
		}},
		{"a byte moved from resource to Vouch", func(b *seal.Box) {
			b.VouchIssuer, b.Resource = b.VouchIssuer+b.Resource[:1], b.Resource[1:]
		}},
		{"all in the issuer", func(b *seal.Box) {
			b.Issuer, b.VouchIssuer, b.Resource = b.Issuer+b.VouchIssuer+b.Resource, "", ""
		}},
		{"lengths in the issuer", func(b *seal.Box) {
			b.Issuer, b.VouchIssuer = b.Issuer+"\x00\x00\x00\x13"+b.VouchIssuer, ""
		}},
		{"another key", func(b *seal.Box) { b.Current = previousJWK.key(t) }},
		{"another key with the same id", func(b *seal.Box) { b.Current = sameIDJWK.key(t) }},
	}
	text := mustSeal(t, base, token, payload)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			other := base
			tt.edit(&other)
			wantSealed(t, other, token, text)
			wantSealed(t, base, token, mustSeal(t, other, token, payload))
		})
	}
}

func TestValuesDoNotMoveBetweenPurposes(t *testing.T) {
	box := newBox(t, currentJWK)
	purposes := []seal.Purpose{token, code, "", "toke", "token ", "Token", "token\x00"}
	for _, from := range purposes {
		text := mustSeal(t, box, from, payload)
		for _, to := range purposes {
			if to != from {
				wantSealed(t, box, to, text)
			}
		}
	}
}

func TestEveryBitCounts(t *testing.T) {
	box := newBox(t, currentJWK)
	box.Previous = sameIDJWK.key(t)
	sealed := decode(t, mustSeal(t, box, token, payload))
	for i := range sealed {
		for bit := range 8 {
			altered := slices.Clone(sealed)
			altered[i] ^= 1 << bit
			wantSealed(t, box, token, encode(altered))
		}
	}
}

func TestPartsCannotBeSwapped(t *testing.T) {
	box := newBox(t, currentJWK)
	first := decode(t, mustSeal(t, box, token, payload))
	second := decode(t, mustSeal(t, box, token, payload))
	const head, nonce = 5, 5 + 24
	tag := len(first) - 16
	tests := []struct {
		name   string
		sealed []byte
	}{
		{"nonce of another value", slices.Concat(first[:head], second[head:nonce], first[nonce:])},
		{"tag of another value", slices.Concat(first[:tag], second[tag:])},
		{"ciphertext of another value", slices.Concat(first[:nonce], second[nonce:tag], first[tag:])},
		{"id of another key", slices.Concat(first[:1], []byte(previousJWK.key(t).Thumbprint()[:4]), first[head:])},
		{"two values in one", slices.Concat(first, second)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rotated := box
			rotated.Previous = previousJWK.key(t)
			wantSealed(t, rotated, token, encode(tt.sealed))
		})
	}
}

func TestNothingCanBeCutOffOrAdded(t *testing.T) {
	box := newBox(t, currentJWK)
	text := mustSeal(t, box, token, payload)
	for n := range text {
		wantSealed(t, box, token, text[:n])
		wantSealed(t, box, token, text[n+1:])
	}
	sealed := decode(t, text)
	for n := range sealed {
		wantSealed(t, box, token, encode(sealed[:n]))
	}
	wantSealed(t, box, token, encode(append(sealed, 0)))
	wantSealed(t, box, token, strings.Repeat("A", seal.MaxTextBytes+1))
	wantSealed(t, box, token, strings.Repeat("A", seal.MaxTextBytes))
}

// A value with two spellings could be shown twice where it is counted once.
func TestEachValueHasOneSpelling(t *testing.T) {
	box := newBox(t, currentJWK)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for extra := range 3 { // the text ends with none, two or four bits that stand for nothing
		text := mustSeal(t, box, token, append(payload, make([]byte, extra)...))
		last := len(text) - 1
		for _, c := range alphabet {
			if byte(c) != text[last] {
				wantSealed(t, box, token, text[:last]+string(c))
			}
		}
		for _, spelling := range []string{
			text + "=", text + "==", text + "\n", text + "\r\n", "\n" + text, text[:9] + "\n" + text[9:], text[:9] + "\r" + text[9:],
			" " + text, text + " ", text + "\x00",
		} {
			wantSealed(t, box, token, spelling)
		}
		if standard := strings.NewReplacer("-", "+", "_", "/").Replace(text); standard != text {
			wantSealed(t, box, token, standard)
		}
	}
}
