package vouch

import (
	"net/http"
	"testing"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// instant is a host that signs at once, so that what is left is Go's own part.
type instant struct{ p256.Native }

// SignES256 implements p256.ES256.
func (instant) SignES256(string, *p256.Key) ([]byte, error) { return make([]byte, 64), nil }

// BenchmarkSigned is what a DPoP proof (RFC 9449) and a signature (RFC 9421) take
// besides the two times that the host signs.
func BenchmarkSigned(b *testing.B) {
	key := p256test.Key()
	auth := Signed{Token: secret.New("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"), Key: key.By(instant{}), Source: "Claude", Now: time.Now}
	b.ReportAllocs()
	for b.Loop() {
		r := upstream.Request{Method: http.MethodGet, URL: "https://us.vouch.sh/v1/credentials/aws/token?role_arn=arn", Header: http.Header{}}
		if _, err := auth.authorize(&r, nonces{}); err != nil {
			b.Fatal(err)
		}
	}
}
