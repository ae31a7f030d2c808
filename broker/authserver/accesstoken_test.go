package authserver_test

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/vouchtest"
)

// realBox is the seal that a broker has in earnest.
type realBox struct{ seal.Box }

func newRealBox(t testing.TB) realBox {
	t.Helper()
	key := p256test.Key()
	return realBox{seal.Box{Current: key, Issuer: "https://broker.example.com", VouchIssuer: "https://us.vouch.sh", Resource: "https://broker.example.com/mcp"}}
}

func (b realBox) Seal(purpose string, expires time.Time, payload []byte) (string, error) {
	return b.Box.Seal(seal.Purpose(purpose), expires, payload)
}

func (b realBox) Open(purpose, text string, now time.Time) ([]byte, error) {
	payload, _, err := b.Box.Open(seal.Purpose(purpose), text, now)
	return payload, err
}

// TestTokenSize: the credential store of Windows takes 1,280 characters, and
// clients keep a record of their own around the token. A typical token of Vouch
// with all its claims leaves them room.
func TestTokenSize(t *testing.T) {
	const mostChars = 1280 - 160 // for the client's record
	vouch, err := vouchtest.New(vouchtest.Options{Issuer: "https://us.vouch.sh", Person: vouchtest.Person{
		Subject: "0192f0c1-7a6b-7d30-9c11-3b6f5a1e8d42", Email: "bartholomew.featherstonehaugh@engineering.example.com", HardwareVerified: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	signedIn := time.Unix(time.Now().Unix()-20, 0)
	text := secret.New(vouch.MintAccessToken(vouchtest.TokenOptions{
		Scope: "openid email", Confirmation: map[string]any{"jkt": strings.Repeat("x", 43)},
		Flaws: vouchtest.Flaws{Claims: map[string]any{"auth_time": signedIn.Unix()}},
	}))
	_, payload, _ := strings.Cut(text.Reveal(), ".")
	claims, err := base64.RawURLEncoding.DecodeString(payload[:strings.IndexByte(payload, '.')])
	for _, name := range []string{"email_verified", "jkt", "amr", "acr", "auth_time", "hardware_verified", "jti", "nbf"} {
		if err != nil || !strings.Contains(string(claims), `"`+name+`"`) {
			t.Fatalf("the token is not typical: %s is not in %s", name, claims)
		}
	}
	box := newRealBox(t)
	in := authserver.AccessToken{
		VouchToken: text, Subject: "0192f0c1-7a6b-7d30-9c11-3b6f5a1e8d42", Expires: expiryOf(t, claims),
		ClientName: "Visual Studio Code - Insiders", ClientHost: "insiders.vscode.dev", Asked: authserver.AllScopes, Granted: authserver.ScopeSSH,
	}
	token, err := authserver.MintAccessToken(box, in)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(token.Reveal()); n > mostChars {
		t.Errorf("Vouch's token of %d characters becomes one of %d, more than %d", len(text.Reveal()), n, mostChars)
	} else {
		t.Logf("Vouch's token of %d characters becomes one of %d", len(text.Reveal()), n)
	}
	got, err := authserver.OpenAccessToken(box, token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got.VouchToken.Reveal() != text.Reveal() {
		t.Error("Vouch's token comes out changed")
	}
	want := got
	want.ClientName, want.ClientHost, want.EmailVerified, want.Granted = in.ClientName, in.ClientHost, true, authserver.ScopeSSH
	if !reflect.DeepEqual(got, want) {
		t.Errorf("token holds %+v\nwant %+v", got, want)
	}
	if !got.AuthTime.Equal(signedIn) {
		t.Errorf("signed in at %v, want %v", got.AuthTime, signedIn)
	}
	if len(got.SignIn) != 12 {
		t.Errorf("the sign-in is called %q, want 12 characters", got.SignIn)
	}
}

func expiryOf(t *testing.T, claims []byte) time.Time {
	t.Helper()
	_, after, _ := strings.Cut(string(claims), `"exp":`)
	var seconds int64
	for _, c := range after[:strings.IndexAny(after, ",}")] {
		seconds = seconds*10 + int64(c-'0')
	}
	return time.Unix(seconds, 0)
}

// TestTokenParts: a token that would come back in another spelling is not sealed,
// since Vouch's signature would not hold any more.
func TestTokenParts(t *testing.T) {
	f := newFixture(t)
	good := f.vouch.grant()
	mint := func(text string) error {
		_, err := authserver.MintAccessToken(f.Sealer, authserver.AccessToken{VouchToken: secret.New(text), Subject: good.Subject, Expires: good.Expires, Asked: 1, Granted: 1})
		return err
	}
	text := good.Token.Reveal()
	if err := mint(text); err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(text, ".")
	body, signature, _ := strings.Cut(rest, ".")
	for name, other := range map[string]string{
		"line break in the header":    head[:4] + "\n" + head[4:] + "." + rest,
		"line break in the claims":    head + "." + body[:4] + "\r\n" + body[4:] + "." + signature,
		"line break in the signature": text + "\n",
		"padding":                     text + "==",
		"loose bits":                  text[:len(text)-1] + "B",
		"four parts":                  text + ".",
		"two parts":                   head + "." + body,
	} {
		if mint(other) == nil {
			t.Errorf("sealed in spite of a %s", name)
		}
	}
}

// TestSignInID: the id joins a sign-in's own line with the calls, and two sign-ins
// of one person have two.
func TestSignInID(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	seen := map[string]bool{}
	for range 2 {
		token, _ := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))).json(t)["access_token"].(string)
		held, err := authserver.OpenAccessToken(f.Sealer, secret.New(token), f.clock())
		if err != nil || held.SignIn == "" || held.SignIn != f.lastEvent().SignIn || seen[held.SignIn] {
			t.Errorf("the token has %q, its line %q, before it there was %v (%v)", held.SignIn, f.lastEvent().SignIn, seen, err)
		}
		seen[held.SignIn] = true
	}
}
