package seal_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"mcp-credential-broker/broker/seal"
)

// byHand seals as the format says, without this package or p256.
type byHand struct {
	version                       byte
	key                           jwk
	purpose                       string
	issuer, vouchIssuer, resource string
	expires                       int64
	payload                       []byte
}

func newByHand() byHand {
	return byHand{1, currentJWK, "token", issuer, vouchIssuer, resource, expires.Unix(), payload}
}

func (h byHand) seal(t testing.TB) string {
	t.Helper()
	thumbprint := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + h.key.x + `","y":"` + h.key.y + `"}`))
	head := string(h.version) + encode(thumbprint[:])[:4]
	key, err := hkdf.Key(sha256.New, decode(t, h.key.d), nil, "mcp-credential-broker seal v1 "+h.purpose, 32)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		t.Fatal(err)
	}
	var associated bytes.Buffer
	for _, part := range []string{head, h.purpose, h.issuer, h.vouchIssuer, h.resource} {
		associated.Write([]byte{0, 0, 0, byte(len(part))})
		associated.WriteString(part)
	}
	nonce := []byte("twenty-four bytes, fixed")
	plain := append(binary.BigEndian.AppendUint64(nil, uint64(h.expires)), h.payload...)
	return encode(aead.Seal(append([]byte(head), nonce...), nonce, plain, associated.Bytes()))
}

func TestFormat(t *testing.T) {
	box := newBox(t, currentJWK)
	text := newByHand().seal(t)
	const want = "ATBIN1l0d2VudHktZm91ciBieXRlcywgZml4ZWQ"
	if !strings.HasPrefix(text, want) {
		t.Errorf("head and nonce are %s, want %s", text[:len(want)], want)
	}
	got, key, err := box.Open(token, text, now)
	if err != nil || !bytes.Equal(got, payload) || key != box.Current {
		t.Errorf("payload %q, error %v", got, err)
	}
	tests := []struct {
		name string
		edit func(*byHand)
	}{
		{"another version", func(h *byHand) { h.version = 2 }},
		{"no version", func(h *byHand) { h.version = 0 }},
		{"another purpose", func(h *byHand) { h.purpose = "code" }},
		{"another issuer", func(h *byHand) { h.issuer = "https://broker.evil" }},
		{"another Vouch", func(h *byHand) { h.vouchIssuer = "https://eu.vouch.sh" }},
		{"another resource", func(h *byHand) { h.resource = "https://broker.example/mcp2" }},
		{"another key", func(h *byHand) { h.key = previousJWK }},
		{"another key with the same id", func(h *byHand) { h.key = sameIDJWK }},
		{"longer than a sealed value may be", func(h *byHand) { h.payload = make([]byte, seal.MaxPayloadBytes+1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newByHand()
			tt.edit(&h)
			wantSealed(t, box, token, h.seal(t))
		})
	}
}

func FuzzOpen(f *testing.F) {
	box := newBox(f, currentJWK)
	box.Previous = previousJWK.key(f)
	genuine := newByHand().seal(f)
	old := newByHand()
	old.key = previousJWK
	for _, seed := range []string{
		genuine, old.seal(f), genuine[:len(genuine)-1], genuine + "=", "", "\n", strings.Repeat("A", 71), strings.Repeat("A", 70),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, key, err := box.Open(token, text, now)
		if text == genuine || text == old.seal(t) {
			if err != nil || !bytes.Equal(got, payload) || key == nil {
				t.Fatalf("payload %q, error %v", got, err)
			}
			return
		}
		if err != seal.ErrSealed || got != nil || key != nil {
			t.Fatalf("a forgery opened: payload %q, error %v", got, err)
		}
	})
}
