package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/secret"
)

// Changes of the wire form of a good token.
func TestVerifyRefusesSpellings(t *testing.T) {
	i := newIssuer(t, newClock())
	head, body := string(encodeJSON(t, header())), string(encodeJSON(t, i.claims()))
	raw := func(head, body string) string { return sign(t, i.keys[testKid], []byte(head), []byte(body)).Reveal() }
	good := raw(head, body)
	parts := strings.Split(good, ".")
	with := func(json, members string) string { return strings.TrimSuffix(json, "}") + "," + members + "}" }
	longer := strings.Split(raw(with(head, `"x":12`), body), ".")
	if _, err := i.verifier().Verify(context.Background(), secret.New(strings.Join(longer, ".")), testResource); err != nil || len(longer[0])%4 == 0 {
		t.Fatalf("the token with unused bits in its header: %v", err)
	}
	tests := map[string]string{
		"empty":                        "",
		"two parts":                    parts[0] + "." + parts[1],
		"four parts":                   good + "." + parts[2],
		"five parts, as JWE":           good + "..",
		"no signature":                 parts[0] + "." + parts[1] + ".",
		"blank in front":               " " + good,
		"line end behind":              good + "\n",
		"line break within":            parts[0] + "." + parts[1][:10] + "\r\n" + parts[1][10:] + "." + parts[2],
		"line break in the signature":  good[:len(good)-4] + "\n" + good[len(good)-4:],
		"padding":                      parts[0] + "=." + parts[1] + "." + parts[2],
		"padding of the signature":     good + "==",
		"base64 of the other alphabet": parts[0] + "." + parts[1] + "." + strings.Repeat("+", 86),
		"oversize":                     raw(head, with(body, `"pad":"`+strings.Repeat("x", maxTokenBytes)+`"`)),
		"subject twice":                raw(head, with(body, `"sub":"root"`)),
		"subject twice, once escaped":  raw(head, with(body, `"s\u0075b":"root"`)),
		"audience twice":               raw(head, with(body, `"aud":"`+testResource+`"`)),
		"unused claim twice":           raw(head, with(body, `"jti":"x"`)),
		"type twice":                   raw(with(head, `"typ":"at+jwt"`), body),
		"algorithm twice":              raw(with(head, `"alg":"ES256"`), body),
		"kid twice":                    raw(with(head, `"kid":"`+testKid+`"`), body),
		"claims of other case":         raw(head, strings.Replace(body, `"sub"`, `"SUB"`, 1)),
		"kid of other case":            raw(strings.Replace(head, `"kid"`, `"Kid"`, 1), body),
		"invalid UTF-8":                raw(head, strings.Replace(body, "ada@", "ada\xff@", 1)),
		"garbage behind the claims":    raw(head, body+"x"),
		"second object of claims":      raw(head, body+body),
		"garbage behind the header":    raw(head+"{}", body),
		"claims are null":              raw(head, "null"),
		"claims are an array":          raw(head, "["+body+"]"),
		"claims are a string":          raw(head, `"x"`),
		"claims are empty":             raw(head, ""),
		"header is null":               raw("null", body),
		"header is an array":           raw("["+head+"]", body),
		"trailing bits of the header":  nonZeroTail(longer[0]) + "." + longer[1] + "." + longer[2],
		"trailing bits of signature":   parts[0] + "." + parts[1] + "." + nonZeroTail(parts[2]),
	}
	if _, err := i.verifier().Verify(context.Background(), secret.New(good), testResource); err != nil {
		t.Fatalf("the token that the others are made of: %v", err)
	}
	before := i.fetches()
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := i.verifier().Verify(context.Background(), secret.New(token), testResource); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("got %v", err)
			}
		})
	}
	if n := i.fetches() - before; n != 1 { // of "no signature"
		t.Errorf("%d fetches, want 1", n)
	}
}

// nonZeroTail sets the last bit of base64 text that does not use it.
func nonZeroTail(segment string) string {
	const digits = ascii.Alphanumeric + "-_"
	last := strings.IndexByte(digits, segment[len(segment)-1])
	return segment[:len(segment)-1] + digits[last|1:last|1+1]
}

func TestVerifyRefusesForgeries(t *testing.T) {
	i := newIssuer(t, newClock())
	head, body := encodeJSON(t, header()), encodeJSON(t, i.claims())
	good := i.mint(nil, nil).Reveal()
	parts := strings.Split(good, ".")
	withMethod := func(alg string, sign func(input string) ([]byte, error)) string {
		input := encode(encodeJSON(t, change{"alg": alg}.apply(header()))) + "." + parts[1]
		signature, err := sign(input)
		if err != nil {
			t.Fatal(err)
		}
		return input + "." + encode(signature)
	}
	public, err := i.keys[testKid].PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(good)
	if at := &changed[len(changed)-40]; *at == 'A' {
		*at = 'B'
	} else {
		*at = 'A'
	}
	tests := map[string]string{
		"other key":            sign(t, newKey(t), head, body).Reveal(),
		"other claims":         parts[0] + "." + encode(encodeJSON(t, change{"sub": "root"}.apply(i.claims()))) + "." + parts[2],
		"changed digit":        string(changed),
		"zero signature":       parts[0] + "." + parts[1] + "." + encode(make([]byte, 64)),
		"short signature":      parts[0] + "." + parts[1] + "." + encode(make([]byte, 63)),
		"signature too long":   good + "AAAA",
		"DER signature":        parts[0] + "." + parts[1] + "." + encode(derSignature(t, i.keys[testKid], parts[0]+"."+parts[1])),
		"HS256 with the point": withMethod("HS256", func(s string) ([]byte, error) { return jwt.SigningMethodHS256.Sign(s, public) }),
		"HS256 with the JWK": withMethod("HS256", func(s string) ([]byte, error) {
			return jwt.SigningMethodHS256.Sign(s, encodeJSON(t, jwk(t, testKid, &i.keys[testKid].PublicKey)))
		}),
		"ES384":                 withMethod("ES384", func(s string) ([]byte, error) { return jwt.SigningMethodES384.Sign(s, p384) }),
		"RS256":                 withMethod("RS256", func(s string) ([]byte, error) { return jwt.SigningMethodRS256.Sign(s, rsaKey) }),
		"PS256":                 withMethod("PS256", func(s string) ([]byte, error) { return jwt.SigningMethodPS256.Sign(s, rsaKey) }),
		"none":                  withMethod("none", func(string) ([]byte, error) { return nil, nil }),
		"none with a signature": withMethod("none", func(string) ([]byte, error) { return make([]byte, 64), nil }),
	}
	v := i.verifier()
	for name, token := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(context.Background(), secret.New(token), testResource)
			if !errors.Is(err, ErrInvalidToken) || !strings.Contains(err.Error(), "signature") && !strings.Contains(err.Error(), "algorithm") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func derSignature(t *testing.T, key *ecdsa.PrivateKey, input string) []byte {
	hasher := jwt.SigningMethodES256.Hash.New()
	hasher.Write([]byte(input))
	signature, err := ecdsa.SignASN1(rand.Reader, key, hasher.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	return signature
}
