package p256_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
)

func publicKey(t *testing.T) *ecdsa.PublicKey {
	t.Helper()
	point := append([]byte{4}, append(decode(t, rfcX), decode(t, rfcY)...)...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSign(t *testing.T) {
	key := parse(t, rfcJWK())
	signature, err := key.Sign("message")
	if err != nil || len(signature) != 64 {
		t.Fatalf("%d bytes, %v", len(signature), err)
	}
	verify := func(message string) bool {
		sum := sha256.Sum256([]byte(message))
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(publicKey(t), sum[:], r, s)
	}
	if !verify("message") {
		t.Error("signature does not verify")
	}
	if verify("massage") {
		t.Error("signature verifies for another message")
	}
}

// hostES256 stands for a host's own signer.
type hostES256 struct {
	p256.Native
	answer  []byte
	err     error
	message string
	key     *p256.Key
}

func (m *hostES256) SignES256(message string, key *p256.Key) ([]byte, error) {
	m.message, m.key = message, key
	return m.answer, m.err
}

func TestSignUsesTheSignerOfTheHost(t *testing.T) {
	key := parse(t, rfcJWK())
	broken := errors.New("broken")
	tests := []struct {
		name   string
		answer []byte
		err    error
		ok     bool
	}{
		{"r || s", make([]byte, 64), nil, true},
		{"DER", make([]byte, 70), nil, false},
		{"nothing", nil, nil, false},
		{"failure", nil, broken, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			host := &hostES256{answer: tt.answer, err: tt.err}
			key := key.By(host)
			signature, err := key.Sign("message")
			if tt.ok != (err == nil) || tt.ok != bytes.Equal(signature, make([]byte, 64)) || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("signature %x, error %v", signature, err)
			}
			if host.message != "message" || host.key != key {
				t.Errorf("the host was asked to sign %q with %p, want %p", host.message, host.key, key)
			}
		})
	}
}

// The wanted bytes are made of HMAC alone, as RFC 5869 sections 2.2 and 2.3
// define HKDF.
func TestDerive(t *testing.T) {
	key := parse(t, rfcJWK())
	mac := func(key []byte, parts ...string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(strings.Join(parts, "")))
		return h.Sum(nil)
	}
	extracted := mac(make([]byte, 32), string(decode(t, rfcD)))
	seen := map[string]string{}
	for _, info := range []string{"", "a", "b", "a\x01", "\x01", strings.Repeat("long", 100)} {
		got, err := key.Derive(info)
		if err != nil || !bytes.Equal(got, mac(extracted, info, "\x01")) {
			t.Errorf("info %q: %x, %v", info, got, err)
		}
		if other, ok := seen[string(got)]; ok {
			t.Errorf("info %q and %q give the same key", info, other)
		}
		seen[string(got)] = info
	}
	theirs, err := parse(t, generate(t)).Derive("a")
	if _, ok := seen[string(theirs)]; ok || err != nil {
		t.Errorf("another key gives the same bytes, %v", err)
	}
}

func TestKeyIsNeverPrinted(t *testing.T) {
	key := parse(t, rfcJWK())
	d := decode(t, rfcD)
	inside := struct {
		Key    *p256.Key
		Value  p256.Key
		hidden p256.Key // fmt does not ask what is not exported how to print itself
	}{key, *key, *key}
	encoded, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{
		fmt.Sprint(key), fmt.Sprintf("%s %v %+v %#v %q %x %d", key, key, key, key, key, key, key),
		fmt.Sprint(*key), fmt.Sprintf("%s %v %+v %#v %q %x %d", *key, *key, *key, *key, *key, *key, *key),
		fmt.Sprintf("%v %+v %#v", inside, inside, inside), string(encoded),
	}
	for _, p := range printed {
		for _, form := range []string{
			string(d), rfcD[:20], base64.StdEncoding.EncodeToString(d)[:20], hex.EncodeToString(d)[:20],
			new(big.Int).SetBytes(d).String()[:20], strings.Trim(fmt.Sprint(d[:8]), "[]"),
		} {
			if strings.Contains(strings.ToLower(p), strings.ToLower(form)) {
				t.Errorf("key printed: %s", p)
			}
		}
		if !strings.Contains(p, "[redacted]") {
			t.Errorf("no mark of redaction in %q", p)
		}
	}
	if inside.hidden.Thumbprint() != key.Thumbprint() {
		t.Error("the test looks at another key")
	}
}

func TestPrivateJWKIsTheWholeKey(t *testing.T) {
	key := parse(t, rfcJWK())
	text, err := key.PrivateJWK()
	want := `{"kty":"EC","crv":"P-256","x":"` + rfcX + `","y":"` + rfcY + `","kid":"` + key.Thumbprint() + `","alg":"ES256","use":"sig","d":"` + rfcD + `"}`
	if err != nil || text.Reveal() != want {
		t.Errorf("got %s, %v\nwant %s", text.Reveal(), err, want)
	}
	if _, err := p256.Parse(text); err != nil {
		t.Errorf("Parse does not take it: %v", err)
	}
}

func TestJWS(t *testing.T) {
	key := parse(t, rfcJWK())
	public := key.PublicJWK()
	bare := `{"kty":"EC","crv":"P-256","x":"` + rfcX + `","y":"` + rfcY + `"}`
	tests := []struct {
		name   string
		header p256.Header
		want   string
	}{
		{"nothing but alg", p256.Header{}, `{"alg":"ES256"}`},
		{"client assertion", p256.Header{Type: "JWT", KeyID: "k"}, `{"typ":"JWT","alg":"ES256","kid":"k"}`},
		{"proof", p256.Header{Type: "dpop+jwt", JWK: &public}, `{"typ":"dpop+jwt","alg":"ES256","jwk":` + bare + `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := key.JWS(tt.header, map[string]any{"a": "<&>"})
			if err != nil {
				t.Fatal(err)
			}
			var claims jwt.MapClaims
			token, err := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding()).
				ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return publicKey(t), nil })
			if err != nil || !token.Valid || claims["a"] != "<&>" {
				t.Errorf("JWS does not verify: %v, claims %v", err, claims)
			}
			header, _, _ := strings.Cut(text, ".")
			if got := string(decode(t, header)); got != tt.want {
				t.Errorf("header %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := key.JWS(p256.Header{}, func() {}); err == nil {
		t.Error("claims that are no JSON value were signed")
	}
	if text, err := key.JWS(p256.Header{}, secret.New("token")); err != nil || strings.Contains(text, encode([]byte(`"token"`))) {
		t.Errorf("a secret went into the claims as it is: %v", err)
	}
}
