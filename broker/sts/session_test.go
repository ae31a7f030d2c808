package sts_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/sts"
)

func TestSessionName(t *testing.T) {
	tests := map[string]string{
		"alice@example.com":            "alice@example.com",
		"a+b=c,d.e_f-G9@x":             "a+b=c,d.e_f-G9@x",
		"ab":                           "ab",
		"a":                            "vouch-mcp",
		"":                             "vouch-mcp",
		"auth0|alice":                  "auth0alice",
		"a b\nc&Policy={}":             "abcPolicy=",
		"jörg@example.com":             "jrg@example.com",
		"日本語":                          "vouch-mcp",
		"日a":                           "vouch-mcp",
		"\xff\xfea":                    "vouch-mcp",
		strings.Repeat("a", 64):        strings.Repeat("a", 64),
		strings.Repeat("a", 65):        strings.Repeat("a", 64),
		strings.Repeat("|", 99) + "ab": "ab",
	}
	for sub, want := range tests {
		if got := sts.SessionName(sub); got != want {
			t.Errorf("SessionName(%q) = %q, want %q", sub, got, want)
		}
	}
}

func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestUnverifiedSubject(t *testing.T) {
	tests := []struct{ name, token, want string }{
		{"e-mail", jwt(`{"iss":"x","sub":"alice@example.com"}`), "alice@example.com"},
		{"escaped", jwt(`{"sub":"\u0061lice"}`), "alice"},
		{"empty", "", ""},
		{"no sub", jwt(`{}`), ""},
		{"number", jwt(`{"sub":7}`), ""},
		{"list", jwt(`{"sub":["alice"]}`), ""},
		{"null", jwt(`{"sub":null}`), ""},
		{"not an object", jwt(`"sub"`), ""},
		{"list of objects", jwt(`[{"sub":"alice"}]`), ""},
		{"cut JSON", jwt(`{"sub":"alice"`), ""},
		{"twice", jwt(`{"sub":"alice","sub":"bob"}`), ""},
		{"deep", jwt(`{"sub":"alice","x":` + strings.Repeat("[", 20<<10) + strings.Repeat("]", 20<<10) + `}`), ""},
		{"two parts", strings.TrimSuffix(jwt(`{"sub":"alice"}`), ".c2ln"), ""},
		{"four parts", jwt(`{"sub":"alice"}`) + ".x", ""},
		{"not base64url", "e30.!!!.c2ln", ""},
	}
	for _, test := range tests {
		if got := sts.UnverifiedSubject(secret.New(test.token)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func FuzzSessionName(f *testing.F) {
	f.Add(jwt(`{"sub":"alice@example.com"}`), "auth0|alice")
	f.Fuzz(func(t *testing.T, token, sub string) {
		for _, name := range []string{sts.SessionName(sub), sts.SessionName(sts.UnverifiedSubject(secret.New(token)))} {
			if len(name) < 2 || len(name) > 64 || sts.SessionName(name) != name {
				t.Fatalf("session name %q", name)
			}
		}
	})
}
