package vouchtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

func TestSkewedClock(t *testing.T) {
	s := start(t, vouchtest.Options{})
	token := s.Vouch.MintAccessToken(vouchtest.TokenOptions{})
	s.Vouch.SkewClock(9 * time.Hour)
	if r := get(t, s.VouchURL+awsPath, bearer(token)...); r.code(t) != "invalid_token" {
		t.Errorf("nine hours later: status %d, body %s", r.status, r.body)
	}
	// STS keeps the right time, and so meets a token of the future.
	early := get(t, s.VouchURL+awsPath+"?role_arn="+roleARN, bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))...)
	if _, err := assume(t, s, early.decode(t)["id_token"].(string)); err == nil || !strings.Contains(err.Error(), "InvalidIdentityToken") {
		t.Errorf("token of the future: %v", err)
	}
	s.Vouch.SkewClock(0)
	if r := get(t, s.VouchURL+awsPath, bearer(token)...); r.status != http.StatusOK {
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

func TestNewRefusals(t *testing.T) {
	for _, issuer := range []string{"", "vouch.example", "https://vouch.example/", "https://vouch.example/x", "https://vouch.example?x", "ftp://vouch.example", "https://u@vouch.example"} {
		if _, err := vouchtest.New(vouchtest.Options{Issuer: issuer}); err == nil {
			t.Errorf("issuer %q is accepted", issuer)
		}
	}
	if _, err := vouchtest.New(vouchtest.Options{Issuer: "https://vouch.example", Person: vouchtest.Person{Email: "x"}}); err == nil {
		t.Error("a person without address is accepted")
	}
	if s, err := vouchtest.Start(vouchtest.Options{Issuer: "x"}); err == nil {
		t.Error("a stack starts with any issuer")
		_ = s.Close()
	}
	if _, err := vouchtest.New(vouchtest.Options{Issuer: "https://vouch.example", Version: "v1"}); err == nil {
		t.Error("an unknown version is accepted")
	}
}
