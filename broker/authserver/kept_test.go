package authserver

import (
	"testing"
	"time"

	"mcp-credential-broker/broker/memo"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/vouchtest"
)

// plain is a Sealer that seals nothing.
type plain struct{}

func (plain) Seal(_ string, _ time.Time, payload []byte) (string, error) { return string(payload), nil }
func (plain) Open(_, text string, _ time.Time) ([]byte, error)           { return []byte(text), nil }

// TestNoTokenIsKept: what is remembered of a token is not of use to whoever finds
// it in memory.
func TestNoTokenIsKept(t *testing.T) {
	vouch, err := vouchtest.New(vouchtest.Options{Issuer: "https://us.vouch.sh"})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := readClaims(secret.New(vouch.MintAccessToken(vouchtest.TokenOptions{})))
	if err != nil {
		t.Fatal(err)
	}
	claims.Asked, claims.Granted = ScopeAWS, ScopeAWS
	token, err := MintAccessToken(plain{}, claims)
	if err != nil {
		t.Fatal(err)
	}
	var tokens AccessTokens
	if _, err := tokens.Open(plain{}, token, time.Now()); err != nil {
		t.Fatal(err)
	}
	kept := tokens.read.Find(memo.IDOf([]byte(token.Reveal())))
	if kept == nil || !kept.VouchToken.IsEmpty() {
		t.Errorf("kept is %+v, with a token of %d bytes", kept, len(kept.VouchToken.Reveal()))
	}
}
