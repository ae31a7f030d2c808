package p256_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
)

// The key of RFC 9421 appendix B.1.3.
const (
	rfcX = "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA"
	rfcY = "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0"
	rfcD = "UpuF81l-kOxbjf7T4mNSv0r5tN67Gim7rnf6EFpcYDs"
)

func rfcJWK() map[string]any {
	return map[string]any{"kty": "EC", "crv": "P-256", "x": rfcX, "y": rfcY, "d": rfcD}
}

// a change replaces members of a JWK; absent removes one.
type change map[string]any

const absent = "<absent>"

func (c change) apply(jwk map[string]any) map[string]any {
	changed := maps.Clone(jwk)
	maps.Copy(changed, c)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == absent })
	return changed
}

func marshal(t *testing.T, v any) secret.String {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(text))
}

func parse(t *testing.T, jwk map[string]any) *p256.Key {
	t.Helper()
	key, err := p256.Parse(marshal(t, jwk))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func generate(t *testing.T) map[string]any {
	t.Helper()
	text, err := p256.Generate()
	if err != nil {
		t.Fatal(err)
	}
	var jwk map[string]any
	if err := json.Unmarshal([]byte(text.Reveal()), &jwk); err != nil {
		t.Fatal(err)
	}
	return jwk
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestParse(t *testing.T) {
	other := generate(t)
	// y of the point that has the same x: its private part is the negative of d.
	const negativeY = "zjHYxy0s8yCegXrhfDnhCphi6uiYmom2_KJvWLMmF6I"
	const order = "_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE"
	thumbprint := parse(t, rfcJWK()).Thumbprint()
	tests := []struct {
		name string
		jwk  change
		ok   bool
	}{
		{"required members only", change{}, true},
		{"as WebCrypto exports it", change{"key_ops": []string{"sign"}, "ext": true}, true},
		{"alg, use and kid", change{"alg": "ES256", "use": "sig", "kid": thumbprint}, true},
		{"unknown members", change{"x5c": []string{"x"}, "KTY": "RSA"}, true},

		{"public key", change{"d": absent}, false},
		{"no x", change{"x": absent}, false},
		{"no y", change{"y": absent}, false},
		{"no kty", change{"kty": absent}, false},
		{"no crv", change{"crv": absent}, false},
		{"kty in lower case", change{"kty": "ec"}, false},
		{"OKP", change{"kty": "OKP"}, false},
		{"P-384", change{"crv": "P-384"}, false},
		{"secp256k1", change{"crv": "secp256k1"}, false},
		{"for ECDH", change{"alg": "ECDH-ES"}, false},
		{"for encryption", change{"use": "enc"}, false},
		{"alg is null", change{"alg": nil}, false},
		{"key_ops without sign", change{"key_ops": []string{"deriveBits"}}, false},
		{"key_ops is a string", change{"key_ops": "sign"}, false},
		{"key_ops is empty", change{"key_ops": []string{}}, false},
		{"kid is not the thumbprint", change{"kid": "test-key-ecc-p256"}, false},
		{"kid is null", change{"kid": nil}, false},
		{"x and y of another key", change{"x": other["x"], "y": other["y"]}, false},
		{"d of another key", change{"d": other["d"]}, false},
		{"y of the negative point", change{"y": negativeY}, false},
		{"point off the curve", change{"y": rfcX}, false},
		{"d is zero", change{"d": encode(make([]byte, 32))}, false},
		{"d is the group order", change{"d": order}, false},
		{"d is too short", change{"d": encode(make([]byte, 31))}, false},
		{"d has a zero in front", change{"d": encode(append([]byte{0}, decode(t, rfcD)...))}, false},
		{"d is padded", change{"d": rfcD + "="}, false},
		{"d has a line break", change{"d": rfcD[:9] + "\n" + rfcD[9:]}, false},
		{"d has trailing bits", change{"d": rfcD[:42] + "t"}, false},
		{"d is a number", change{"d": 1}, false},
		{"x is padded", change{"x": rfcX + "="}, false},
		{"x has trailing bits", change{"x": rfcX[:42] + "B"}, false},
		{"x is an array", change{"x": []string{rfcX}}, false},
		{"longer than any key", change{"x5c": strings.Repeat("x", 4096)}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := p256.Parse(marshal(t, tt.jwk.apply(rfcJWK())))
			if tt.ok {
				if err != nil || key.PublicJWK().X != rfcX || key.PublicJWK().Y != rfcY {
					t.Fatalf("not taken: %v", err)
				}
				return
			}
			if !errors.Is(err, p256.ErrKey) || key != nil {
				t.Fatalf("key %v, error %v; want ErrKey", key, err)
			}
			if strings.Contains(err.Error(), rfcD[:8]) {
				t.Errorf("the error has the private key in it: %v", err)
			}
		})
	}
}

func decode(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseRefusesWhatIsNotOneObject(t *testing.T) {
	whole := marshal(t, rfcJWK()).Reveal()
	tests := []struct{ name, text string }{
		{"nothing", ""},
		{"blanks", " "},
		{"null", "null"},
		{"array", "[" + whole + "]"},
		{"string", `"` + rfcD + `"`},
		{"key set", `{"keys":[` + whole + `]}`},
		{"cut off", whole[:len(whole)-1]},
		{"followed by another", whole + whole},
		{"PEM", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIA==\n-----END EC PRIVATE KEY-----\n"},
		{"d comes twice", strings.Replace(whole, "{", `{"d":"`+rfcD+`",`, 1)},
		{"d comes twice, once with an escape", strings.Replace(whole, "{", `{"\u0064":"`+rfcD+`",`, 1)},
		{"not UTF-8", strings.Replace(whole, "{", "{\"a\":\"\xff\",", 1)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := p256.Parse(secret.New(tt.text)); !errors.Is(err, p256.ErrKey) {
				t.Errorf("error %v, want ErrKey", err)
			}
		})
	}
}

func TestGenerateMakesKeysThatParseTakes(t *testing.T) {
	first, second := generate(t), generate(t)
	if first["d"] == second["d"] {
		t.Error("two keys are the same")
	}
	key := parse(t, first)
	if first["kid"] != key.Thumbprint() || first["alg"] != "ES256" || first["use"] != "sig" {
		t.Errorf("members around the key: %v, %v, %v", first["kid"], first["alg"], first["use"])
	}
}

// The key is that of RFC 9449 section 4.2, the thumbprint that of section 6.1.
func TestThumbprint(t *testing.T) {
	public := p256.JWK{
		Type: "EC", Curve: "P-256",
		X: "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
		Y: "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
	}
	const want = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	if got := public.Thumbprint(); got != want {
		t.Errorf("thumbprint %s, want %s", got, want)
	}
	public.KeyID, public.Algorithm, public.Use = "a", "ES256", "sig"
	if got := public.Thumbprint(); got != want {
		t.Errorf("thumbprint %s with optional members, want %s", got, want)
	}
}

func TestPublicKeysInJSON(t *testing.T) {
	key := parse(t, rfcJWK())
	bare := `{"kty":"EC","crv":"P-256","x":"` + rfcX + `","y":"` + rfcY + `"`
	tests := []struct {
		name string
		jwk  p256.JWK
		want string
	}{
		{"bare", key.PublicJWK(), bare + `}`},
		{"published", key.PublishedJWK(), bare + `,"kid":"` + key.Thumbprint() + `","alg":"ES256","use":"sig"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := marshal(t, tt.jwk).Reveal(); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"` + rfcX + `","y":"` + rfcY + `","d":"` + rfcD + `"}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","x":"","y":"","d":"","d":""}`))
	f.Add([]byte(`{"kty":"EC","crv":"P-256","key_ops":["sign",1],"d":null}`))
	f.Add([]byte("{\"kty\":\"\xff\"}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := p256.Parse(secret.New(string(text)))
		if err != nil {
			if !errors.Is(err, p256.ErrKey) || key != nil {
				t.Fatalf("key %v, error %v", key, err)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatal(err)
		}
		if public := key.PublicJWK(); members["x"] != public.X || members["y"] != public.Y {
			t.Fatal("the key is not the one in the text")
		}
	})
}
