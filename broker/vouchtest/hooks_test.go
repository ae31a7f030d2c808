package vouchtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

func TestSkewedClock(t *testing.T) {
	s := startVouch(t, vouchtest.Options{SessionHours: 1})
	token := s.Vouch.MintAccessToken(vouchtest.TokenOptions{})
	s.Vouch.SkewClock(2 * time.Hour)
	if r := get(t, s.VouchURL+statusPath, bearer(token)...); r.code(t) != "invalid_token" {
		t.Errorf("two hours later: status %d, body %s", r.status, r.body)
	}
	// STS keeps the right time, and so meets a token of the future.
	early := s.Vouch.MintAWSToken(vouchtest.AWSTokenOptions{RoleARN: roleARN})
	if r := postForm(t, s.STSURL, assumeForm(early)); !strings.Contains(r.body, "InvalidIdentityToken") {
		t.Errorf("token of the future: %s", r.body)
	}
	s.Vouch.SkewClock(0)
	if r := get(t, s.VouchURL+statusPath, bearer(token)...); r.status != http.StatusOK {
		t.Errorf("set right again: status %d", r.status)
	}
}

func TestRefuseHardware(t *testing.T) {
	s := startWithClient(t, vouchtest.Options{})
	before := s.Vouch.MintAccessToken(vouchtest.TokenOptions{})
	s.Vouch.RefuseHardware(true)
	if r := get(t, s.VouchURL+awsPath, bearer(before)...); r.code(t) != "hardware_required" {
		t.Errorf("token from before: status %d, body %s", r.status, r.body)
	}
	during := signIn(t, s, authorization())["access_token"].(string)
	if claims := payload(t, during, 1); claims["hardware_verified"] != false || claims["amr"] != nil {
		t.Errorf("claims %v", claims)
	}
	s.Vouch.RefuseHardware(false)
	if r := get(t, s.VouchURL+awsPath, bearer(before)...); r.status != http.StatusOK {
		t.Errorf("token from before, afterwards: status %d", r.status)
	}
	if r := get(t, s.VouchURL+awsPath, bearer(during)...); r.code(t) != "hardware_required" {
		t.Errorf("token without hardware, afterwards: status %d", r.status)
	}
}

// TestOrderOfTheFirstChecks: a body over 8 KiB is refused before it counts
// against the rate limit, and the rate limit comes before the token.
func TestOrderOfTheFirstChecks(t *testing.T) {
	now := newClock()
	s := startVouch(t, vouchtest.Options{Now: now.Now, RateLimit: true})
	for range 20 {
		if r := postJSON(t, s.VouchURL+sshPath, `"`+strings.Repeat("x", 8<<10)+`"`); r.status != http.StatusRequestEntityTooLarge {
			t.Fatalf("large body: status %d", r.status)
		}
	}
	for i := range 16 {
		r := postJSON(t, s.VouchURL+sshPath, `{}`)
		if want := map[bool]int{true: 401, false: 429}[i < 15]; r.status != want {
			t.Fatalf("request %d: status %d, want %d", i, r.status, want)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	if _, err := vouchtest.New(vouchtest.Options{Issuer: "https://vouch.example", Version: "v1"}); err == nil {
		t.Error("an unknown version is accepted")
	}
}
