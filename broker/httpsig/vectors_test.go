package httpsig

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"net/http"
	"testing"
)

// rfcRequest is test-request of RFC 9421 appendix B.2.
func rfcRequest() Message {
	return Message{
		Method: "POST",
		URL:    "https://example.com/foo?param=Value&Pet=dog",
		Header: http.Header{
			"Date":           {"Tue, 20 Apr 2021 02:07:55 GMT"},
			"Content-Type":   {"application/json"},
			"Content-Digest": {"sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"},
			"Content-Length": {"18"},
		},
	}
}

// rfcResponseFields are the header of test-response.
func rfcResponseFields() http.Header {
	return http.Header{
		"Content-Type":   {"application/json"},
		"Content-Digest": {"sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:"},
		"Content-Length": {"23"},
	}
}

func b64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// verifyP256 checks r || s.
func verifyP256(t *testing.T, x, y string, signature []byte, base string) bool {
	t.Helper()
	point := []byte{4}
	for _, encoded := range []string{x, y} {
		coordinate, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		point = append(point, coordinate...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(base))
	half := len(signature) / 2
	r, s := new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])
	return len(signature) == 64 && ecdsa.Verify(public, sum[:], r, s)
}

// The signatures of RFC 9421 appendices B.2.4 to B.2.6 verify over bases that
// this package builds: for ecdsa-p256-sha256 over a response, for the two others
// over the request.
func TestVectorsVerify(t *testing.T) {
	response, err := Message{URL: "https://example.com", Header: rfcResponseFields()}.
		lines([]string{"content-type", "content-digest", "content-length"})
	if err != nil {
		t.Fatal(err)
	}
	request := func(names ...string) string {
		lines, err := rfcRequest().lines(names)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	tests := []struct {
		name      string
		lines     string
		params    string
		signature string
		verify    func(signature []byte, base string) bool
	}{
		{
			name:      "B.2.4",
			lines:     "\"@status\": 200\n" + response,
			params:    `("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
			signature: "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
			verify: func(signature []byte, base string) bool {
				return verifyP256(t, "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA", "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0", signature, base)
			},
		},
		{
			name:      "B.2.5",
			lines:     request("date", "@authority", "content-type"),
			params:    `("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			signature: "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
			verify: func(signature []byte, base string) bool {
				h := hmac.New(sha256.New, b64(t, "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="))
				h.Write([]byte(base))
				return hmac.Equal(signature, h.Sum(nil))
			},
		},
		{
			name:      "B.2.6",
			lines:     request("date", "@method", "@path", "@authority", "content-type", "content-length"),
			params:    `("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			signature: "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
			verify: func(signature []byte, base string) bool {
				return ed25519.Verify(b64(t, "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="), []byte(base), signature)
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			base := signatureBase(tt.lines, tt.params)
			if !tt.verify(b64(t, tt.signature), base) {
				t.Errorf("signature does not verify over\n%s", base)
			}
			if tt.verify(b64(t, tt.signature), base+"\n") {
				t.Error("signature verifies over another base too")
			}
		})
	}
}

// The base of RFC 9421 appendix B.2.3, which covers every kind of component.
func TestBaseOfTheWholeRequest(t *testing.T) {
	lines, err := rfcRequest().lines([]string{
		"date", "@method", "@path", "@query", "@authority", "content-type", "content-digest", "content-length",
	})
	if err != nil {
		t.Fatal(err)
	}
	const params = `("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`
	const want = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@query": ?param=Value&Pet=dog
"@authority": example.com
"content-type": application/json
"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:
"content-length": 18
"@signature-params": ` + params
	if got := signatureBase(lines, params); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The body with a line feed and its digest are those of RFC 9530 appendix B.1.
func TestContentDigest(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"empty", "", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"},
		{"with line feed", "{\"hello\": \"world\"}\n", "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"},
		{"without", `{"hello": "world"}`, "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ContentDigest([]byte(tt.body)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
