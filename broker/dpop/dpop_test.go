package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/dpop"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/secret"
)

// decoded is a proof, its signature checked by the key in its own header.
type decoded struct{ header, claims map[string]any }

func decode(t *testing.T, proof string) decoded {
	t.Helper()
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
	token, err := parser.ParseWithClaims(proof, claims, func(token *jwt.Token) (any, error) {
		jwk, _ := token.Header["jwk"].(map[string]any)
		point := []byte{4}
		for _, name := range []string{"x", "y"} {
			encoded, _ := jwk[name].(string)
			coordinate, err := base64.RawURLEncoding.DecodeString(encoded)
			if err != nil {
				return nil, err
			}
			point = append(point, coordinate...)
		}
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	})
	if err != nil {
		t.Fatalf("proof does not verify: %v", err)
	}
	return decoded{token.Header, claims}
}

// The token and its ath, method, URL and time are those of RFC 9449 section 7.1.
func TestSign(t *testing.T) {
	key := p256test.Key()
	issued := time.Unix(1562262618, 999_000_000)
	const (
		resource = "https://resource.example.org/protectedresource"
		ath      = "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
	)
	token := secret.New("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU")
	base := map[string]any{"htm": "GET", "htu": resource, "iat": 1562262618.0}
	with := func(more map[string]any) map[string]any {
		claims := maps.Clone(base)
		maps.Copy(claims, more)
		return claims
	}
	tests := []struct {
		name  string
		proof dpop.Proof
		want  map[string]any // but jti
	}{
		{"token endpoint", dpop.Proof{Method: "GET", URL: resource}, base},
		{"protected resource", dpop.Proof{Method: "GET", URL: resource, Token: token}, with(map[string]any{"ath": ath})},
		{"with a nonce", dpop.Proof{Method: "GET", URL: resource, Nonce: "eyJ7S_zG.eyJH0-Z.HX4w-7v"}, with(map[string]any{"nonce": "eyJ7S_zG.eyJH0-Z.HX4w-7v"})},
		{"on behalf of an agent", dpop.Proof{Method: "GET", URL: resource, Source: "claude-code/2.1/agent"}, with(map[string]any{"source": "claude-code/2.1/agent"})},
		{"query", dpop.Proof{Method: "GET", URL: resource + "?role_arn=a%2Fb"}, base},
		{"fragment", dpop.Proof{Method: "GET", URL: resource + "#a?b"}, base},
		{"question mark at the end", dpop.Proof{Method: "GET", URL: resource + "?"}, base},
		{"URL is not rewritten", dpop.Proof{Method: "POST", URL: "http://localhost:3000/a%2Fb/?c"}, with(map[string]any{"htm": "POST", "htu": "http://localhost:3000/a%2Fb/"})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.proof.Issued = issued
			text, err := tt.proof.Sign(key)
			if err != nil {
				t.Fatal(err)
			}
			proof := decode(t, text)
			jwk, err := json.Marshal(proof.header["jwk"])
			public := key.PublicJWK()
			if err != nil || string(jwk) != `{"crv":"P-256","kty":"EC","x":"`+public.X+`","y":"`+public.Y+`"}` {
				t.Errorf("jwk %s, %v", jwk, err)
			}
			delete(proof.header, "jwk")
			if !maps.Equal(proof.header, map[string]any{"typ": "dpop+jwt", "alg": "ES256"}) {
				t.Errorf("header %v", proof.header)
			}
			id, _ := proof.claims["jti"].(string)
			if len(id) < 22 { // 128 bits in base64url
				t.Errorf("jti %q could be guessed, or met twice", id)
			}
			delete(proof.claims, "jti")
			if !maps.Equal(proof.claims, tt.want) {
				t.Errorf("claims %v, want %v", proof.claims, tt.want)
			}
		})
	}
}

func TestEachProofIsAnother(t *testing.T) {
	key := p256test.Key()
	proof := dpop.Proof{Method: "GET", URL: "https://us.vouch.sh/oauth/token", Issued: time.Unix(1, 0)}
	seen := map[any]bool{}
	for range 20 {
		text, err := proof.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		id := decode(t, text).claims["jti"]
		if seen[id] {
			t.Fatalf("jti %v comes twice", id)
		}
		seen[id] = true
	}
}

func TestSignRefuses(t *testing.T) {
	key := p256test.Key()
	good := dpop.Proof{Method: "GET", URL: "https://us.vouch.sh/v1", Nonce: "nonce", Source: "agent"}
	tests := []struct {
		name string
		edit func(*dpop.Proof)
	}{
		{"no method", func(p *dpop.Proof) { p.Method = "" }},
		{"method in lower case", func(p *dpop.Proof) { p.Method = "get" }},
		{"method with a blank", func(p *dpop.Proof) { p.Method = "GET " }},
		{"no URL", func(p *dpop.Proof) { p.URL = "" }},
		{"path only", func(p *dpop.Proof) { p.URL = "/v1" }},
		{"no scheme", func(p *dpop.Proof) { p.URL = "//us.vouch.sh/v1" }},
		{"no host", func(p *dpop.Proof) { p.URL = "https:///v1" }},
		{"another scheme", func(p *dpop.Proof) { p.URL = "ftp://us.vouch.sh/v1" }},
		{"userinfo", func(p *dpop.Proof) { p.URL = "https://hunter2@us.vouch.sh/v1" }},
		{"not a URL", func(p *dpop.Proof) { p.URL = "https://us.vouch.sh/hunter2\x7f" }},
		{"URL not ASCII", func(p *dpop.Proof) { p.URL = "https://us.vouch.sh/hunter2\xf7" }},
		{"nonce with a quotation mark", func(p *dpop.Proof) { p.Nonce = `hunter2"` }},
		{"nonce with a blank", func(p *dpop.Proof) { p.Nonce = "hunter2 " }},
		{"nonce too long", func(p *dpop.Proof) { p.Nonce = strings.Repeat("n", 513) }},
		{"source too long", func(p *dpop.Proof) { p.Source = strings.Repeat("s", 257) }},
		{"source with a character that STS refuses", func(p *dpop.Proof) { p.Source = "a;b" }},
		{"source with a line break", func(p *dpop.Proof) { p.Source = "a\nb" }},
		{"source not ASCII", func(p *dpop.Proof) { p.Source = "agént" }},
	}
	if _, err := good.Sign(key); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			proof := good
			tt.edit(&proof)
			text, err := proof.Sign(key)
			if !errors.Is(err, dpop.ErrProof) || text != "" {
				t.Fatalf("proof %q, error %v; want ErrProof", text, err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes its input: %v", err)
			}
		})
	}
}

func TestNonce(t *testing.T) {
	long := strings.Repeat("n", 512)
	tests := []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"one", []string{"eyJ7S_zG.eyJH0-Z.HX4w-7v"}, "eyJ7S_zG.eyJH0-Z.HX4w-7v"},
		{"every kind of character", []string{"!#[]~az09+/="}, "!#[]~az09+/="},
		{"longest", []string{long}, long},
		{"too long", []string{long + "n"}, ""},
		{"empty", []string{""}, ""},
		{"two", []string{"a", "b"}, ""},
		{"the same twice", []string{"a", "a"}, ""},
		{"blank inside", []string{"a b"}, ""},
		{"quotation mark", []string{`a"`}, ""},
		{"backslash", []string{`a\`}, ""},
		{"line break", []string{"a\r\nb"}, ""},
		{"not ASCII", []string{"a\x80"}, ""},
		{"DEL", []string{"a\x7f"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			for _, value := range tt.values {
				header.Add("DPoP-Nonce", value)
			}
			if got := dpop.Nonce(header); got != tt.want {
				t.Errorf("nonce %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzNonce(f *testing.F) {
	f.Add("eyJ7S_zG.eyJH0-Z.HX4w-7v")
	f.Add(`a","source":"b`)
	f.Add("a\x00")
	f.Fuzz(func(t *testing.T, value string) {
		nonce := dpop.Nonce(http.Header{http.CanonicalHeaderKey("DPoP-Nonce"): {value}})
		if nonce != "" && nonce != value {
			t.Fatalf("nonce %q of a header %q", nonce, value)
		}
		if slices.ContainsFunc([]byte(nonce), func(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			t.Fatalf("nonce %q breaks the grammar", nonce)
		}
	})
}

func FuzzSign(f *testing.F) {
	key := p256test.Key()
	f.Add("GET", "https://us.vouch.sh/v1?a#b", "nonce", "agent")
	f.Add("POST", "http://[::1]:3000/a%2fb", "", "a b")
	f.Add("GET", "https://a@b/", `"`, "\u2028")
	f.Add("GET", "http://\xf7", "0", "0")
	f.Fuzz(func(t *testing.T, method, url, nonce, source string) {
		proof, err := dpop.Proof{Method: method, URL: url, Nonce: nonce, Source: source}.Sign(key)
		if err != nil {
			if !errors.Is(err, dpop.ErrProof) {
				t.Fatal(err)
			}
			return
		}
		claims := decode(t, proof).claims
		htu, _ := claims["htu"].(string)
		if !strings.HasPrefix(url, htu) || strings.ContainsAny(htu, "?#") || claims["htm"] != method {
			t.Fatalf("claims %v of %s %q", claims, method, url)
		}
	})
}
