package oauth

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

func TestVerifyReturnsTheCaller(t *testing.T) {
	i := newIssuer(t, newClock())
	token := i.mint(nil, nil)
	got, err := i.verifier().Verify(context.Background(), token, testResource)
	if err != nil {
		t.Fatal(err)
	}
	want := Caller{
		Subject: "0190a2b4-user", Email: "ada@example.com", EmailVerified: true, ClientID: "0190a2b4-client",
		Scopes: []string{"openid", "email"}, Expires: got.Expires, Token: token,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if left := got.Expires.Sub(i.clock.now()); left != 8*time.Hour {
		t.Errorf("expires in %v, want 8h", left)
	}
}

// TestAuthTime: when the person proved who they are is told, and is no claim of
// another type.
func TestAuthTime(t *testing.T) {
	i := newIssuer(t, newClock())
	at := i.clock.now().Add(-time.Minute)
	caller, err := i.verifier().Verify(context.Background(), i.mint(nil, change{"auth_time": at.Unix()}), testResource)
	if err != nil || !caller.AuthTime.Equal(time.Unix(at.Unix(), 0)) {
		t.Errorf("got %v, %v", caller.AuthTime, err)
	}
	for _, bad := range []any{"1", 1.5, -1, true} {
		if _, err := i.verifier().Verify(context.Background(), i.mint(nil, change{"auth_time": bad}), testResource); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("auth_time %v: %v", bad, err)
		}
	}
}

func TestVerifyAccepts(t *testing.T) {
	i := newIssuer(t, newClock())
	now := i.clock.now().Unix()
	tests := []struct {
		name       string
		head, body change
		email      string
	}{
		{"as issued", nil, nil, "ada@example.com"},
		{"type with the media type's prefix", change{"typ": "application/at+jwt"}, nil, "ada@example.com"},
		{"type in upper case", change{"typ": "AT+JWT"}, nil, "ada@example.com"},
		{"audience in an array", nil, change{"aud": []string{"https://other.example/", testResource}}, "ada@example.com"},
		{"audience before normalisation", nil, change{"aud": "HTTPS://Broker.Example:443/mcp"}, "ada@example.com"},
		{"expired 59 s ago", nil, change{"exp": now - 59}, "ada@example.com"},
		{"issued in 60 s", nil, change{"iat": now + 60, "nbf": now + 60}, "ada@example.com"},
		{"no nbf", nil, change{"nbf": absent}, "ada@example.com"},
		{"no scope, no e-mail", nil, change{"scope": absent, "email": absent, "email_verified": absent}, ""},
		{"e-mail without email_verified", nil, change{"email_verified": absent}, "ada@example.com"},
		{"e-mail that is not verified is dropped", nil, change{"email_verified": false}, ""},
		{"e-mail verified in words is dropped", nil, change{"email_verified": "true"}, ""},
		{"allowed client without a resource", nil, change{"aud": "cli", "client_id": "cli"}, "ada@example.com"},
		{"embedded key is ignored", change{"jwk": jwk(t, "mine", &newKey(t).PublicKey), "jku": "https://evil.example/"}, nil, "ada@example.com"},
	}
	v := i.verifier("cli")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			caller, err := v.Verify(context.Background(), i.mint(test.head, test.body), testResource)
			if err != nil {
				t.Fatal(err)
			}
			if caller.Email != test.email {
				t.Errorf("e-mail %q, want %q", caller.Email, test.email)
			}
			if _, said := test.body["email_verified"]; caller.EmailVerified == said || !caller.AuthTime.IsZero() {
				t.Errorf("e-mail verified %t, signed in at %v", caller.EmailVerified, caller.AuthTime)
			}
		})
	}
	if n := i.fetches(); n != 1 {
		t.Errorf("%d fetches, want 1", n)
	}
}

// Every token here is signed with the right key, so that only the rule in
// question stands against it. None may cause a fetch.
func TestVerifyRefusesBeforeAnyFetch(t *testing.T) {
	i := newIssuer(t, newClock())
	now := i.clock.now().Unix()
	tests := []struct {
		name       string
		head, body change
		want       string // in the reason
	}{
		{"ID token", change{"typ": "JWT"}, nil, "type"},
		{"no type", change{"typ": absent}, nil, "type"},
		{"type that starts well", change{"typ": "at+jwt+evil"}, nil, "type"},
		{"type is a number", change{"typ": 1}, nil, "typ"},
		{"DPoP proof", change{"typ": "dpop+jwt"}, nil, "type"},
		{"no kid", change{"kid": absent}, nil, "kid"},
		{"empty kid", change{"kid": ""}, nil, "kid"},
		{"kid is null", change{"kid": nil}, nil, "kid"},
		{"kid is an array", change{"kid": []string{testKid}}, nil, "kid"},
		{"crit", change{"crit": []string{"b64"}, "b64": false}, nil, "crit"},
		{"empty crit", change{"crit": []string{}}, nil, "crit"},
		{"crit is null", change{"crit": nil}, nil, "crit"},
		{"alg none", change{"alg": "none"}, nil, "algorithm"},
		{"alg None", change{"alg": "None"}, nil, "cannot be verified"},
		{"alg es256", change{"alg": "es256"}, nil, "cannot be verified"},
		{"alg is missing", change{"alg": absent}, nil, "cannot be verified"},
		{"alg ES384", change{"alg": "ES384"}, nil, "algorithm"},
		{"alg RS256", change{"alg": "RS256"}, nil, "algorithm"},
		{"alg HS256", change{"alg": "HS256"}, nil, "algorithm"},

		{"issuer with a trailing slash", nil, change{"iss": testIssuer + "/"}, "issuer"},
		{"issuer in upper case", nil, change{"iss": "https://VOUCH.example"}, "issuer"},
		{"issuer that starts like ours", nil, change{"iss": testIssuer + ".evil.example"}, "issuer"},
		{"organisation's issuer", nil, change{"iss": "https://acme.vouch.example"}, "issuer"},
		{"no issuer", nil, change{"iss": absent}, "issuer"},
		{"issuer in an array", nil, change{"iss": []string{testIssuer}}, "iss"},

		{"no subject", nil, change{"sub": absent}, "sub"},
		{"empty subject", nil, change{"sub": ""}, "sub"},
		{"subject is a number", nil, change{"sub": 1}, "sub"},
		{"no client", nil, change{"client_id": absent}, "client_id"},
		{"empty client", nil, change{"client_id": ""}, "client_id"},
		{"client is true", nil, change{"client_id": true}, "client_id"},
		{"scope is an array", nil, change{"scope": []string{"openid"}}, "scope"},
		{"e-mail is an object", nil, change{"email": map[string]any{}}, "email"},

		{"expired 60 s ago", nil, change{"exp": now - 60}, "expired"},
		{"expired 61 s ago", nil, change{"exp": now - 61}, "expired"},
		{"no exp", nil, change{"exp": absent}, "required claim"},
		{"exp is null", nil, change{"exp": nil}, "exp"},
		{"exp is a string", nil, change{"exp": "99999999999"}, "exp"},
		{"exp is a fraction", nil, change{"exp": float64(now) + 0.5}, "exp"},
		{"exp overflows", nil, change{"exp": 1e300}, "exp"},
		{"exp after the year 9999", nil, change{"exp": int64(253402300800)}, "exp"},
		{"exp is negative", nil, change{"exp": -1}, "exp"},
		{"valid in 61 s", nil, change{"nbf": now + 61}, "not valid yet"},
		{"nbf is a string", nil, change{"nbf": "0"}, "nbf"},
		{"issued in 61 s", nil, change{"iat": now + 61}, "before issued"},
		{"no iat", nil, change{"iat": absent}, "iat"},
		{"iat is a string", nil, change{"iat": "0"}, "iat"},

		{"bound to a DPoP key", nil, change{"cnf": map[string]any{"jkt": "x"}}, "cnf"},
		{"bound to a certificate", nil, change{"cnf": map[string]any{"x5t#S256": "x"}}, "cnf"},
		{"cnf is null", nil, change{"cnf": nil}, "cnf"},

		{"other server", nil, change{"aud": "https://other.example/mcp"}, "audience"},
		{"no audience", nil, change{"aud": absent}, "audience"},
		{"empty audience", nil, change{"aud": ""}, "audience"},
		{"empty list of audiences", nil, change{"aud": []string{}}, "audience"},
		{"audience is a number", nil, change{"aud": 1}, "aud"},
		{"audience is null", nil, change{"aud": nil}, "aud"},
		{"audiences with a number", nil, change{"aud": []any{testResource, 1}}, "aud"},
		{"audience is an object", nil, change{"aud": map[string]any{"0": testResource}}, "aud"},
		{"trailing slash", nil, change{"aud": testResource + "/"}, "audience"},
		{"longer path", nil, change{"aud": testResource + "2"}, "audience"},
		{"path in upper case", nil, change{"aud": "https://broker.example/MCP"}, "audience"},
		{"origin only", nil, change{"aud": "https://broker.example"}, "audience"},
		{"other port", nil, change{"aud": "https://broker.example:8443/mcp"}, "audience"},
		{"other scheme", nil, change{"aud": "http://broker.example/mcp"}, "audience"},
		{"our host as userinfo", nil, change{"aud": "https://broker.example@evil.example/mcp"}, "audience"},
		{"our host as prefix", nil, change{"aud": "https://broker.example.evil.example/mcp"}, "audience"},
		{"query", nil, change{"aud": testResource + "?x"}, "audience"},
		{"fragment", nil, change{"aud": testResource + "#x"}, "audience"},
		{"dot segments", nil, change{"aud": "https://broker.example/x/../mcp"}, "audience"},
		{"blank in front", nil, change{"aud": " " + testResource}, "audience"},
		{"full-width letter in the host", nil, change{"aud": "https://ｂroker.example/mcp"}, "audience"},
		{"client that is not allowed", nil, change{"aud": "other", "client_id": "other"}, "audience"},
		{"allowed client is only the audience", nil, change{"aud": "cli"}, "audience"},
		{"allowed client is only the client", nil, change{"aud": "other", "client_id": "cli"}, "audience"},
		{"allowed client among audiences", nil, change{"aud": []string{"cli", "other"}, "client_id": "cli"}, "audience"},
	}
	v := i.verifier("cli")
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			caller, err := v.Verify(context.Background(), i.mint(test.head, test.body), testResource)
			if !errors.Is(err, ErrInvalidToken) || !reflect.DeepEqual(caller, Caller{}) {
				t.Fatalf("got %+v, %v", caller, err)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("reason %q does not mention %q", err, test.want)
			}
			if got := errors.Is(err, ErrWrongAudience); got != (test.want == "audience") {
				t.Errorf("ErrWrongAudience is %v", got)
			}
		})
	}
	if n := i.fetches(); n != 0 {
		t.Errorf("%d fetches, want none", n)
	}
}

func TestVerifyErrorsQuoteNothing(t *testing.T) {
	i := newIssuer(t, newClock())
	const mark = "4815162342"
	tests := map[string]secret.String{
		"subject":   i.mint(nil, change{"sub": 4815162342}),
		"exp":       i.mint(nil, change{"exp": mark}),
		"issuer":    i.mint(nil, change{"iss": mark}),
		"algorithm": i.mint(change{"alg": mark}, nil),
		"type":      i.mint(change{"typ": mark}, nil),
		"header":    sign(t, i.keys[testKid], []byte(mark), []byte("{}")),
		"claims":    sign(t, i.keys[testKid], encodeJSON(t, header()), []byte(mark)),
		"no JWT":    secret.New(mark),
		"kid":       i.mint(change{"kid": mark}, nil),
	}
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := i.verifier().Verify(context.Background(), token, testResource)
			if err == nil || strings.Contains(err.Error(), mark) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestVerifyWithoutConfiguration(t *testing.T) {
	i := newIssuer(t, newClock())
	tests := []struct {
		name, issuer, resource string
		body                   change
	}{
		{"no issuer", "", testResource, change{"iss": ""}},
		{"no issuer, any token", "", testResource, nil},
		{"no resource", testIssuer, "", change{"aud": ""}},
		{"resource that is no URL", testIssuer, "mcp", change{"aud": "mcp"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := i.verifier()
			v.issuer = test.issuer
			if _, err := v.Verify(context.Background(), i.mint(nil, test.body), test.resource); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// brokenES256 is a host's ES256 that cannot do its work.
type brokenES256 struct{ p256.Native }

func (brokenES256) VerifyES256(string, []byte, *p256.PublicKey) error {
	return errors.Join(jwt.ErrTokenUnverifiable, errors.New("no subtle crypto"))
}

func TestVerifyUsesTheHostsES256(t *testing.T) {
	i := newIssuer(t, newClock())
	v := i.verifier()
	v.es256 = brokenES256{}
	_, err := v.Verify(context.Background(), i.mint(nil, nil), testResource)
	if got := outcome(err); got != "unavailable 1s" {
		t.Errorf("got %s, want unavailable: nothing is known about the token", got)
	}
}

func FuzzVerify(f *testing.F) {
	i := newIssuer(f, newClock())
	v := i.verifier()
	good := i.mint(nil, nil).Reveal()
	signed := good[:strings.LastIndexByte(good, '.')]
	f.Add(good)
	f.Add(signed + ".")
	f.Add(i.mint(change{"typ": "JWT"}, nil).Reveal())
	f.Add(i.mint(nil, change{"aud": []string{"x"}}).Reveal())
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, token string) {
		_, err := v.Verify(context.Background(), secret.New(token), testResource)
		if err == nil && !strings.HasPrefix(token, signed+".") {
			t.Errorf("accepted what was never signed: %q", token)
		}
		if got := outcome(err); strings.HasPrefix(got, "undeclared") {
			t.Error(got)
		}
	})
}

func FuzzClaims(f *testing.F) {
	i := newIssuer(f, newClock())
	f.Add(encodeJSON(f, i.claims()))
	f.Add([]byte(`{"aud":["a","b"],"exp":1,"\u0061ud":"c"}`))
	f.Add([]byte(`{"exp":1e9,"cnf":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		head := encodeJSON(t, header())
		var claims accessClaims
		_, _, err := jwt.NewParser().ParseUnverified(encode(head)+"."+encode(data)+".", &claims)
		if err != nil || bytes.Equal(bytes.TrimSpace(data), []byte("null")) {
			return
		}
		for _, date := range []*jwt.NumericDate{claims.ExpiresAt, claims.IssuedAt, claims.NotBefore} {
			if date != nil && (date.Unix() < 0 || date.Year() > 9999) {
				t.Errorf("time %v", date)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b, newClock())
	v := i.verifier()
	token := i.mint(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token, testResource); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyWithoutSignature is the part that the host does not replace.
func BenchmarkVerifyWithoutSignature(b *testing.B) {
	i := newIssuer(b, newClock())
	v := i.verifier()
	if _, err := v.Verify(context.Background(), i.mint(nil, nil), testResource); err != nil {
		b.Fatal(err)
	}
	parts := strings.Split(i.mint(nil, nil).Reveal(), ".")
	token := secret.New(parts[0] + "." + parts[1] + ".") // the length of a signature is checked first
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(context.Background(), token, testResource); err == nil {
			b.Fatal("accepted")
		}
	}
}

// TestExpiresMeanwhile: a token whose end comes while its keys are fetched is over.
func TestExpiresMeanwhile(t *testing.T) {
	i := newIssuer(t, newClock())
	token := i.mint(nil, change{"exp": i.clock.now().Unix() - 50}) // the clocks' allowance covers that, for now
	if _, err := i.verifier().Verify(context.Background(), token, testResource); err != nil {
		t.Fatal(err)
	}
	late := &slowIssuer{i}
	v := NewVerifier(VerifierConfig{Issuer: testIssuer, Upstream: upstream.Client{Fetcher: late, Now: i.clock.now}, Now: i.clock.now, ES256: p256.Native{}})
	if _, err := v.Verify(context.Background(), token, testResource); !errors.Is(err, ErrInvalidToken) {
		t.Errorf("got %v", err)
	}
}

// A slowIssuer takes its time to answer.
type slowIssuer struct{ *issuer }

func (s *slowIssuer) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	defer s.clock.advance(12 * time.Second)
	return s.issuer.Fetch(ctx, r)
}
