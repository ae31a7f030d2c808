package vouchtest_test

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

// asDER is how servers before v2026.10.1 wanted a signature.
func asDER(r, s []byte) []byte {
	der, err := asn1.Marshal([]*big.Int{new(big.Int).SetBytes(r), new(big.Int).SetBytes(s)})
	if err != nil {
		panic(err)
	}
	return der
}

func setBody(r *http.Request, body string) {
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
}

// edit replaces a part of a header after the request was signed.
func edit(name, old, by string) func(*signing) {
	return func(s *signing) {
		s.tamper = func(r *http.Request) { r.Header.Set(name, strings.Replace(r.Header.Get(name), old, by, 1)) }
	}
}

func drop(name string) func(*signing) { return func(s *signing) { s.drop(name) } }

func TestSignatures(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	second := newKey(t)
	token := p.token()
	const sshBody = `{"public_key":"` + publicKeyLine + `"}`
	after := func(f func(*http.Request)) func(*signing) { return func(s *signing) { s.tamper = f } }
	before := func(f func(*http.Request)) func(*signing) { return func(s *signing) { s.before = f } }
	created := func(d time.Duration) func(*signing) {
		return func(s *signing) { s.set("created", fmt.Sprint(p.now().Add(d).Unix())) }
	}
	add := func(name string) func(*signing) {
		return func(s *signing) { s.components = append(s.components, name) }
	}
	with := func(name, value string) func(*signing) { return func(s *signing) { s.set(name, value) } }
	const (
		fine = iota
		wrong
		hinted // with Accept-Signature
	)
	tests := []struct {
		name  string
		alter func(*signing)
		want  int
	}{
		{"good", nil, fine},
		{"other order of parameters", func(s *signing) { slices.Reverse(s.params) }, fine},
		{"other label", func(s *signing) { s.label = "vouch" }, fine},
		{"the least that is required", func(s *signing) { s.components = []string{"@path", "@method", "content-digest"} }, fine},
		{"other derived components", func(s *signing) {
			s.components = append(s.components, "@target-uri", "@scheme", "@request-target")
		}, fine},
		{"a minute ahead", created(55 * time.Second), fine},
		{"nearly stale", created(-295 * time.Second), fine},
		{"second label is rubbish", func(s *signing) {
			s.tamper = func(r *http.Request) {
				r.Header.Add("Signature-Input", `sig2=("@method")`)
				r.Header.Add("Signature", `sig2=:AA==:`)
			}
		}, fine},

		{"unsigned", after(func(r *http.Request) { r.Header.Del("Signature"); r.Header.Del("Signature-Input") }), hinted},
		{"signature without input", after(func(r *http.Request) { r.Header.Del("Signature-Input") }), hinted},
		{"input without signature", after(func(r *http.Request) { r.Header.Del("Signature") }), hinted},
		{"method not covered", drop("@method"), hinted},
		{"path not covered", drop("@path"), hinted},
		{"body not covered", drop("content-digest"), hinted},

		{"DER", func(s *signing) { s.encode = asDER }, wrong},
		{"short signature", func(s *signing) { s.encode = func(r, _ []byte) []byte { return r } }, wrong},
		{"long signature", func(s *signing) { s.encode = func(r, s []byte) []byte { return slices.Concat(r, []byte{0}, s) } }, wrong},
		{"zeros", func(s *signing) { s.encode = func(_, _ []byte) []byte { return make([]byte, 64) } }, wrong},
		{"stale", created(-305 * time.Second), wrong},
		{"of the future", created(65 * time.Second), wrong},
		{"other key", func(s *signing) { s.key = second }, wrong},
		{"unknown keyid", with("keyid", `"x"`), wrong},
		{"other algorithm", with("alg", `"ed25519"`), wrong},
		{"no algorithm", with("alg", ""), wrong},
		{"no created", with("created", ""), wrong},
		{"no keyid", with("keyid", ""), wrong},
		{"unknown parameter", with("tag", `"x"`), wrong},
		{"created as a text", with("created", `"1"`), wrong},
		{"parameter twice", func(s *signing) { s.params = append(s.params, s.params[0]) }, wrong},
		{"component twice", add("@method"), wrong},
		{"component that is not there", add("x-missing"), wrong},
		{"component in capitals", add("DPoP"), wrong},
		{"unknown derived component", add("@signature-params"), wrong},
		{"component with a parameter", edit("Signature-Input", `"@path"`, `"@path";req`), wrong},
		{"label of another signature", edit("Signature", "sig1", "sig2"), wrong},
		{"not a list", edit("Signature-Input", "(", ""), wrong},
		{"rubbish as the first label", edit("Signature-Input", "sig1=", `sig0=("@method" "@path" "content-digest"), sig1=`), wrong},
		{"white space in base64", edit("Signature", "=:", "=:\t"), wrong},
		{"parameter changed afterwards", edit("Signature-Input", "alg=", `nonce="x";alg=`), wrong},

		{"body changed", after(func(r *http.Request) { setBody(r, strings.Replace(sshBody, "me", "em", 1)) }), wrong},
		{"body stripped", after(func(r *http.Request) { setBody(r, "") }), wrong},
		{"body and digest changed", after(func(r *http.Request) {
			setBody(r, `{}`)
			r.Header.Set("Content-Digest", digestField(`{}`))
		}), wrong},
		{"digest of another algorithm", edit("Content-Digest", "sha-256", "sha-512"), wrong},
		{"digest removed", after(func(r *http.Request) { r.Header.Del("Content-Digest") }), wrong},
		{"digest of another body", before(func(r *http.Request) { r.Header.Set("Content-Digest", digestField("x")) }), wrong},
		{"two digests", before(func(r *http.Request) { r.Header.Add("Content-Digest", `sha-512=:AA==:`) }), wrong},
		{"label twice", edit("Signature", "sig1=", "sig1=:AA==:, sig1="), wrong},
		{"query changed", after(func(r *http.Request) { r.URL.RawQuery = "x=1" }), wrong},
		{"host changed", after(func(r *http.Request) { r.Host = "evil.example" }), wrong},
		{"content type changed", after(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), wrong},
		{"other proof", after(func(r *http.Request) { r.Header.Set("DPoP", p.proof("POST", sshPath, token)) }), wrong},
		{"other scheme", edit("Authorization", "DPoP", "Bearer"), wrong},
		{"no token", after(func(r *http.Request) { r.Header.Del("Authorization") }), wrong},
		{"no JWT as token", after(func(r *http.Request) { r.Header.Set("Authorization", "DPoP x") }), wrong},
		{"two tokens", func(s *signing) {
			s.drop("authorization")
			s.tamper = func(r *http.Request) { r.Header.Add("Authorization", "DPoP "+token) }
		}, wrong},
	}
	const hint = `sig1=("@method" "@authority" "@path" "@query" "authorization" "content-digest");alg="ecdsa-p256-sha256"`
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := p.in(t).call("POST", sshPath, sshBody, token, test.alter)
			if test.want == fine {
				if r.status != http.StatusOK || r.header.Get("Signature-Nonce") == "" {
					t.Errorf("status %d, body %s", r.status, r.body)
				}
				return
			}
			if r.status != http.StatusUnauthorized || r.body != "signature verification failed" ||
				!strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") || r.header.Get("Signature-Nonce") != "" ||
				!strings.Contains(r.header.Get("WWW-Authenticate"), "resource_metadata=") {
				t.Errorf("status %d, headers %v, body %s", r.status, r.header, r.body)
			}
			if want := map[bool]string{true: hint}[test.want == hinted]; r.header.Get("Accept-Signature") != want {
				t.Errorf("Accept-Signature %q", r.header.Get("Accept-Signature"))
			}
		})
	}
	if r := p.aws(token, func(s *signing) {
		s.components = append(s.components, "content-digest")
		s.tamper = func(r *http.Request) { r.Header.Set("Content-Digest", digestField("")) }
	}); r.body != "signature verification failed" {
		t.Errorf("digest added after signing: status %d", r.status)
	}
	unsigned := get(t, p.s.VouchURL+awsPath, "Authorization", "DPoP "+token)
	if want := strings.Replace(hint, ` "content-digest"`, "", 1); unsigned.header.Get("Accept-Signature") != want {
		t.Errorf("hint without a body: %q", unsigned.header.Get("Accept-Signature"))
	}
}

// TestSignatureNonces: a nonce works once, an unknown one brings a fresh one,
// and both kinds come from one store.
func TestSignatureNonces(t *testing.T) {
	now := newClock()
	p := newParty(t, vouchtest.Options{Now: now.Now})
	token := p.token()
	with := func(nonce string) reply {
		return p.aws(token, func(s *signing) { s.set("nonce", `"`+nonce+`"`) })
	}
	refused := func(name string, r reply) string {
		t.Helper()
		fresh := r.header.Get("Signature-Nonce")
		if r.status != 401 || r.body != "signature verification failed" {
			t.Errorf("%s: status %d, %q", name, r.status, r.body)
		}
		if fresh == "" || r.header.Get("Accept-Signature") != "" {
			t.Errorf("%s: headers %v, want a nonce, and no Accept-Signature", name, r.header)
		}
		return fresh
	}
	first := p.aws(token, nil).header.Get("Signature-Nonce")
	next := with(first)
	if next.status != http.StatusOK || next.header.Get("Signature-Nonce") == first {
		t.Fatalf("first use: status %d, body %s", next.status, next.body)
	}
	fresh := refused("second use", with(first))
	if r := with(fresh); r.status != http.StatusOK {
		t.Errorf("the nonce that was offered: status %d, body %s", r.status, r.body)
	}
	refused("unknown", with("x"))
	refused("empty", with(""))
	unused := next.header.Get("Signature-Nonce")
	forged := p.aws(token, func(s *signing) { s.set("nonce", `"`+unused+`"`); s.key = newKey(t) })
	if forged.status != 401 || forged.header.Get("Signature-Nonce") != "" {
		t.Errorf("forged: status %d, headers %v", forged.status, forged.header)
	}
	if r := with(unused); r.status != http.StatusOK {
		t.Errorf("a forger used the nonce up: status %d, body %s", r.status, r.body)
	}
	if r := with(p.freshNonce()); r.status != http.StatusOK {
		t.Errorf("DPoP nonce: status %d, body %s", r.status, r.body)
	}
	late := p.aws(token, nil).header.Get("Signature-Nonce")
	now.advance(300 * time.Second)
	refused("expired", with(late))
}

// TestOrderOfChecks: signature, token, audience, session, binding, hardware.
func TestOrderOfChecks(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	other := partyOf(t, p.s, "other")
	other.add()
	jkt := members{"jkt": thumbprint(t, p.key)}
	mint := func(o vouchtest.TokenOptions) string {
		if o.ClientID == "" {
			o.ClientID = p.id
		}
		if o.Confirmation == nil {
			o.Confirmation = jkt
		}
		return p.s.Vouch.MintAccessToken(o)
	}
	revoked := mint(vouchtest.TokenOptions{})
	p.s.Vouch.Revoke(revoked)
	weak := vouchtest.TokenOptions{Flaws: vouchtest.Flaws{Claims: members{"hardware_verified": false}}}
	const text = "signature verification failed"
	badProof := func(s *signing) { s.proof = []change{claimed("htm", "PUT")} }
	tests := []struct {
		name  string
		token string
		alter func(*signing)
		want  string // the code, or the text of a bad signature
	}{
		{"all good", mint(vouchtest.TokenOptions{}), nil, ""},
		{"signature before token", mint(vouchtest.TokenOptions{Lifetime: -time.Hour}), drop("@path"), text},
		{"token before audience", mint(vouchtest.TokenOptions{Lifetime: -time.Hour, Audience: "https://broker.example/mcp"}), nil, "invalid_token"},
		{"expired, bad proof", mint(vouchtest.TokenOptions{Lifetime: -time.Hour}), badProof, "invalid_token"},
		{"other audience, bad proof", mint(vouchtest.TokenOptions{Audience: "https://broker.example/mcp"}), badProof, "invalid_token"},
		{"revoked, bad proof", revoked, badProof, "invalid_token"},
		{"bad proof, no hardware", mint(weak), badProof, "invalid_dpop_proof"},
		{"no hardware", mint(weak), nil, "hardware_required"},
		{"bound to another key", mint(vouchtest.TokenOptions{Confirmation: members{"jkt": thumbprint(t, other.key)}}), nil, "invalid_token"},
		{"bound by a certificate", mint(vouchtest.TokenOptions{Confirmation: members{"x5t#S256": "x"}}), nil, "invalid_token"},
		{"another client's token", mint(vouchtest.TokenOptions{ClientID: "other"}), nil, text},
		{"unknown client's token", mint(vouchtest.TokenOptions{ClientID: "mallory"}), nil, text},
		{"bound token as Bearer", mint(vouchtest.TokenOptions{}), func(s *signing) { s.scheme = "Bearer" }, "invalid_token"},
		{"forged token that names the client", mint(vouchtest.TokenOptions{Flaws: vouchtest.Flaws{ForeignKey: true}}), nil, "invalid_token"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := p.in(t).aws(test.token, test.alter)
			got := r.code(t)
			if strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") {
				got = r.body
			}
			if got != test.want {
				t.Errorf("status %d, body %s, want %s", r.status, r.body, test.want)
			}
			if challenge := r.header.Get("WWW-Authenticate"); r.status == 401 &&
				(!strings.HasPrefix(challenge, "DPoP ") || !strings.Contains(challenge, `algs="ES256"`) || !strings.Contains(challenge, "resource_metadata=")) {
				t.Errorf("WWW-Authenticate %q", challenge)
			}
		})
	}
	// A refusal after the signature is no signed success.
	refused := p.aws(mint(weak), nil)
	if refused.header.Get("Signature-Nonce") != "" {
		t.Error("a refusal brought a nonce")
	}
	large := p.call("POST", sshPath, `"`+string(bytes.Repeat([]byte("x"), 8<<10))+`"`, mint(vouchtest.TokenOptions{}), drop("@path"))
	if large.status != http.StatusRequestEntityTooLarge {
		t.Errorf("size before signature: status %d", large.status)
	}
}

func TestAudience(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	own := p.s.VouchURL
	status := func(audience string) reply {
		token := p.s.Vouch.MintAccessToken(vouchtest.TokenOptions{
			ClientID: p.id, Audience: audience, Confirmation: members{"jkt": thumbprint(t, p.key)},
		})
		return p.aws(token, nil)
	}
	for audience, want := range map[string]bool{
		p.id:                               true,
		own:                                true,
		own + "/":                          true,
		own + "/v1":                        true,
		own + "/v1/credentials/":           true,
		own + awsPath:                      true,
		strings.ToUpper(own[:4]) + own[4:]: true,
		own + "/v":                         false,
		own + "/v1/credentials/aws/tok":    false,
		own + awsPath + "/more":            false,
		own + "/v1?x":                      false,
		own + "/v1?":                       false,
		own + "/v1#x":                      false,
		own + ".evil.example":              false,
		"https://broker.example/mcp":       false,
		"other-client":                     false,
		"https" + own[4:]:                  false,
		"//" + own[7:] + "/":               false,
	} {
		if r := status(audience); (r.status == http.StatusOK) != want || !want && r.code(t) != "invalid_token" {
			t.Errorf("%s: status %d, body %s", audience, r.status, r.body)
		}
	}
}
