package vouch_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// TestNoncesAreAnsweredOnce: a 401 that brings nonces is answered with both of
// them and a new proof, one time; a 401 without any is final.
func TestNoncesAreAnsweredOnce(t *testing.T) {
	tests := []struct {
		name      string
		refusals  int // how many times the server refuses
		nonces    http.Header
		calls     int
		succeeds  bool
		signature string // in the last Signature-Input
		proof     any    // nonce of the last proof
	}{
		{"both", 1, http.Header{"Signature-Nonce": {"sig-1"}, "Dpop-Nonce": {"dpop-1"}}, 2, true, `nonce="sig-1"`, "dpop-1"},
		{"signature only", 1, http.Header{"Signature-Nonce": {"sig-1"}}, 2, true, `nonce="sig-1"`, nil},
		{"proof only", 1, http.Header{"Dpop-Nonce": {"dpop-1"}}, 2, true, "keyid=", "dpop-1"},
		{"refused again", 9, http.Header{"Signature-Nonce": {"sig-1"}, "Dpop-Nonce": {"dpop-1"}}, 2, false, `nonce="sig-1"`, "dpop-1"},
		{"no nonce", 9, nil, 1, false, "keyid=", nil},
		{"nonce that would break out of its quotes", 9, http.Header{"Signature-Nonce": {`x";evil="`}}, 1, false, "keyid=", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []http.Header
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				seen = append(seen, r.Header)
				w.Header().Set("Content-Type", "application/json")
				if len(seen) <= tt.refusals {
					for name, values := range tt.nonces {
						w.Header()[name] = values
					}
					w.WriteHeader(http.StatusUnauthorized)
					_, _ = w.Write([]byte(`{"code":"use_dpop_nonce"}`))
					return
				}
				_, _ = w.Write([]byte(`{"id_token":"a.b.c","expires_in":60}`))
			}))
			defer server.Close()
			client := vouch.Client{Issuer: server.URL, Upstream: upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now}}
			_, err := client.AWSToken(t.Context(), vouch.Signed{Token: secret.New("t0ken"), Key: p256test.Key(), Now: time.Now}, roleARN)
			var refusal *vouch.Error
			if (err == nil) != tt.succeeds || err != nil && !errors.As(err, &refusal) || len(seen) != tt.calls {
				t.Fatalf("%d calls, %v", len(seen), err)
			}
			last := seen[len(seen)-1]
			first, final := proofClaims(t, seen[0]), proofClaims(t, last)
			if !strings.Contains(last.Get("Signature-Input"), tt.signature) || final["nonce"] != tt.proof {
				t.Errorf("signed %q, proof nonce %v", last.Get("Signature-Input"), final["nonce"])
			}
			if strings.Contains(seen[0].Get("Signature-Input"), "nonce=") || first["nonce"] != nil {
				t.Error("the first try made up a nonce")
			}
			if len(seen) == 2 && (first["jti"] == final["jti"] || seen[0].Get("Signature") == last.Get("Signature")) {
				t.Error("the second try repeats the first one's proof or signature")
			}
		})
	}
}

func proofClaims(t *testing.T, header http.Header) jwt.MapClaims {
	t.Helper()
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(header.Get("DPoP"), claims); err != nil {
		t.Fatal(err)
	}
	return claims
}
