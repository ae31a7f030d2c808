package authserver_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/vouchtest"
)

// sealedToken seals a token of Vouch, and tells when it expires.
func sealedToken(t testing.TB, box realBox, subject string) (token secret.String, vouchToken string, expires time.Time) {
	t.Helper()
	vouch, err := vouchtest.New(vouchtest.Options{Issuer: box.VouchIssuer, Person: vouchtest.Person{Subject: subject, Email: subject + "@example.com", HardwareVerified: true}})
	if err != nil {
		t.Fatal(err)
	}
	expires = time.Unix(time.Now().Unix()+3600, 0)
	vouchToken = vouch.MintAccessToken(vouchtest.TokenOptions{Scope: "openid email", Flaws: vouchtest.Flaws{Claims: map[string]any{"exp": expires.Unix()}}})
	token, err = authserver.MintAccessToken(box, authserver.AccessToken{
		VouchToken: secret.New(vouchToken), Subject: subject, Expires: expires, ClientName: "client of " + subject,
		Asked: authserver.AllScopes, Granted: authserver.ScopeAWS,
	})
	if err != nil {
		t.Fatal(err)
	}
	return token, vouchToken, expires
}

// TestTokensAreReadOnce: a token that comes again says the same, each its own.
func TestTokensAreReadOnce(t *testing.T) {
	box := newRealBox(t)
	var tokens authserver.AccessTokens
	for round := range 3 {
		for n := range 3 {
			subject := fmt.Sprintf("person-%d", n)
			token, vouchToken, expires := sealedToken(t, box, subject)
			want, err := authserver.OpenAccessToken(box, token, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				got, err := tokens.Open(box, token, time.Now())
				if err != nil || !reflect.DeepEqual(got, want) || got.Subject != subject || got.VouchToken.Reveal() != vouchToken || !got.Expires.Equal(expires) {
					t.Fatalf("round %d: got %+v, %v; want %+v", round, got, err, want)
				}
			}
		}
	}
}

// TestRememberedTokenIsOpenedAgain: whatever a token is refused for, it is refused
// for when it was just accepted.
func TestRememberedTokenIsOpenedAgain(t *testing.T) {
	box := newRealBox(t)
	token, _, expires := sealedToken(t, box, "ada")
	var tokens authserver.AccessTokens
	if _, err := tokens.Open(box, token, time.Now()); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*realBox)) realBox {
		b := box
		change(&b)
		return b
	}
	text := token.Reveal()
	for name, test := range map[string]struct {
		box  realBox
		text string
		at   time.Time
	}{
		"at its expiry":           {box, text, expires},
		"long after it":           {box, text, expires.Add(time.Hour)},
		"with another key":        {with(func(b *realBox) { b.Current = newRealBox(t).Current }), text, time.Now()},
		"at another resource":     {with(func(b *realBox) { b.Resource += "/2" }), text, time.Now()},
		"at another issuer":       {with(func(b *realBox) { b.Issuer += ".example" }), text, time.Now()},
		"with another Vouch":      {with(func(b *realBox) { b.VouchIssuer += ".example" }), text, time.Now()},
		"when it was altered":     {box, swap(text, len(text)-5), time.Now()},
		"when it was cut":         {box, text[:len(text)-4], time.Now()},
		"when it has a line end":  {box, text + "\n", time.Now()},
		"when it is Vouch's":      {box, secret.New("a.b.c").Reveal(), time.Now()},
		"as another purpose's":    {box, otherPurpose(t, box, expires), time.Now()},
		"with its nonce of 0 bit": {box, text[:8] + strings.Repeat("A", 32) + text[40:], time.Now()},
	} {
		if _, err := tokens.Open(test.box, secret.New(test.text), test.at); !errors.Is(err, authserver.ErrAccessToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := tokens.Open(box, token, expires.Add(-time.Second)); err != nil {
		t.Errorf("one second before its expiry: %v", err)
	}
}

func otherPurpose(t *testing.T, box realBox, expires time.Time) string {
	t.Helper()
	text, err := box.Seal("code", expires, []byte("\x01"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestRememberedTokenEndsWithTheKey: through a rotation and its end.
func TestRememberedTokenEndsWithTheKey(t *testing.T) {
	box := newRealBox(t)
	token, _, _ := sealedToken(t, box, "ada")
	var tokens authserver.AccessTokens
	old, rotated := box.Current, newRealBox(t)
	if _, err := tokens.Open(box, token, time.Now()); err != nil {
		t.Fatal(err)
	}
	rotated.Previous = old
	_, opener, err := rotated.Box.Open("access", token.Reveal(), time.Now())
	if err != nil || opener != old {
		t.Fatalf("the key before the last opens: %v", err)
	}
	if _, err := tokens.Open(rotated, token, time.Now()); err != nil {
		t.Errorf("with the key as the previous one: %v", err)
	}
	rotated.Previous = (*p256.Key)(nil)
	if _, err := tokens.Open(rotated, token, time.Now()); !errors.Is(err, authserver.ErrAccessToken) {
		t.Errorf("when the rotation is over: %v", err)
	}
}

// BenchmarkOpenAccessToken is what sign-in mode asks of each request, first for a
// token that is new, then for one that was met before.
func BenchmarkOpenAccessToken(b *testing.B) {
	box := newRealBox(b)
	token, _, _ := sealedToken(b, box, "ada")
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			if _, err := authserver.OpenAccessToken(box, token, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		var tokens authserver.AccessTokens
		for b.Loop() {
			if _, err := tokens.Open(box, token, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
