package vouchtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"mcp-credential-broker/broker/vouchtest"
)

// metadata returns what a FAPI client registers, with members replaced.
func (p *party) metadata(change members) string {
	p.t.Helper()
	m := members{
		"redirect_uris": []string{testRedirect}, "token_endpoint_auth_method": "private_key_jwt",
		"jwks": jwks(p.t, p.key), "dpop_bound_access_tokens": true, "client_name": "broker",
	}
	for name, value := range change {
		if m[name] = value; value == nil {
			delete(m, name)
		}
	}
	return toJSON(p.t, m)
}

func TestRegisterWithKeys(t *testing.T) {
	s := start(t, vouchtest.Options{Version: vouchtest.Latest})
	p := partyOf(t, s, "")
	set := func(keys ...members) members { return members{"jwks": members{"keys": keys}} }
	key := func(change members) members {
		k := publicJWK(t, p.key)
		for name, value := range change {
			k[name] = value
		}
		return k
	}
	const bad = "invalid_client_metadata"
	standard := func(m members) members { m["dpop_bound_access_tokens"] = nil; return m }
	large := members{"kty": "RSA", "n": strings.Repeat("_", 341) + "w", "e": "AQAB"}
	tests := []struct {
		name   string
		change members
		want   string
	}{
		{"FAPI", nil, ""},
		{"assertions without FAPI", standard(members{}), bad},
		{"FAPI with ES256 as the ID tokens'", members{"id_token_signed_response_alg": "ES256"}, ""},
		{"assertions named", members{"token_endpoint_auth_signing_alg": "ES256"}, ""},
		{"other kinds beside it", set(key(nil), members{"kty": "EC", "crv": "P-384"}), ""},
		{"no keys", members{"jwks": nil}, bad},
		{"empty set", set(), bad},
		{"keys elsewhere", members{"jwks": nil, "jwks_uri": "https://client.example/jwks"}, bad},
		{"keys here and elsewhere", members{"jwks_uri": "https://client.example/jwks"}, bad},
		{"private EC key", set(key(members{"d": "AAAA"})), bad},
		{"private RSA key", set(key(nil), members{"kty": "RSA", "n": large["n"], "e": "AQAB", "p": "AA"}), bad},
		{"shared key", set(key(nil), members{"kty": "oct", "k": "AA"}), bad},
		{"not on the curve", set(key(members{"y": key(nil)["x"]})), bad},
		{"short coordinate", set(key(members{"x": "AA"})), bad},
		{"no kind", set(members{"x": "AA"}), bad},
		{"two keys of one id", set(key(members{"kid": "a"}), key(members{"kid": "a"})), bad},
		{"no key of a known kind", set(members{"kty": "EC", "crv": "P-384"}), bad},
		{"key for encryption", set(key(members{"use": "enc"})), bad},
		{"key of another algorithm", set(key(members{"alg": "ES384"})), bad},
		{"RSA alone", set(members{"kty": "RSA", "n": large["n"], "e": "AQAB", "alg": "RS256"}), bad},
		{"RS256 named for FAPI", members{"token_endpoint_auth_signing_alg": "RS256"}, bad},
		{"unknown algorithm named", members{"token_endpoint_auth_signing_alg": "HS256"}, bad},
		{"algorithm of assertions without them", standard(members{
			"token_endpoint_auth_method": "client_secret_basic", "token_endpoint_auth_signing_alg": "ES256",
		}), bad},
		{"algorithm that no key fits", members{"token_endpoint_auth_signing_alg": "EdDSA"}, bad},
		{"FAPI with RS256 ID tokens", members{"id_token_signed_response_alg": "RS256"}, bad},
		{"FAPI with a secret", members{"token_endpoint_auth_method": "client_secret_basic"}, bad},
		{"FAPI without authentication", members{"token_endpoint_auth_method": "none"}, bad},
		{"bound to a certificate", members{"tls_client_certificate_bound_access_tokens": true}, bad},
		{"keys that are no set", members{"jwks": "x"}, bad},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := postJSON(t, s.VouchURL+"/oauth/register", p.metadata(test.change))
			if r.code(t) != test.want || r.status == http.StatusCreated != (test.want == "") {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			if r.status != http.StatusCreated {
				return
			}
			c := r.decode(t)
			if _, secret := c["client_secret"]; secret || c["jwks"] == nil || c["registration_access_token"] == "" {
				t.Errorf("answer %s", r.body)
			}
			if alg := c["id_token_signed_response_alg"]; c["dpop_bound_access_tokens"] == true && alg != "ES256" {
				t.Errorf("ID tokens of a FAPI client: %v", alg)
			}
		})
	}
	owner := s.Vouch.MintAccessToken(vouchtest.TokenOptions{Confirmation: members{"jkt": "x"}})
	if r := postJSON(t, s.VouchURL+"/oauth/register", p.metadata(nil), bearer(owner)...); r.code(t) != "invalid_token" {
		t.Errorf("bound token of the owner as Bearer: status %d", r.status)
	}
}

// TestRotateClientKey registers, signs in, replaces the key by a PUT and signs
// in again, each time with the keys that are then known.
func TestRotateClientKey(t *testing.T) {
	p := partyOf(t, start(t, vouchtest.Options{Version: vouchtest.Latest}), "")
	c := postJSON(t, p.s.VouchURL+"/oauth/register", p.metadata(nil)).decode(t)
	p.id = c["client_id"].(string)
	before := p.token()
	if r := p.aws(before, nil); r.status != http.StatusOK {
		t.Fatalf("registered client: status %d, body %s", r.status, r.body)
	}
	uri, token := c["registration_client_uri"].(string), c["registration_access_token"].(string)
	put := func(token string, change members) reply {
		headers := append(bearer(token), "Content-Type", "application/json")
		return send(t, request(t, http.MethodPut, uri, p.metadata(change), headers...))
	}
	next := *p
	next.key = newKey(t)
	next.keyID = thumbprint(t, next.key)
	both := members{"client_id": p.id, "jwks": jwks(t, p.key, next.key)}
	for name, change := range map[string]members{
		"no client id":           {},
		"another client id":      {"client_id": "x"},
		"a chosen token":         {"client_id": p.id, "registration_access_token": "x"},
		"a chosen expiry":        {"client_id": p.id, "client_secret_expires_at": 0},
		"a chosen address":       {"client_id": p.id, "registration_client_uri": uri},
		"a chosen time of birth": {"client_id": p.id, "client_id_issued_at": 0},
		"no keys":                {"client_id": p.id, "jwks": nil},
	} {
		if r := put(token, change); r.status != http.StatusBadRequest || r.code(t) != "invalid_client_metadata" {
			t.Errorf("%s: status %d, body %s", name, r.status, r.body)
		}
	}
	replaced := put(token, both)
	fresh, _ := replaced.decode(t)["registration_access_token"].(string)
	if replaced.status != http.StatusOK || fresh == "" || fresh == token {
		t.Fatalf("both keys: status %d, body %s", replaced.status, replaced.body)
	}
	if r := p.aws(before, nil); r.status != http.StatusOK {
		t.Errorf("the old key beside the new one: status %d, body %s", r.status, r.body)
	}
	if r := next.aws(next.token(), nil); r.status != http.StatusOK {
		t.Errorf("the new key: status %d, body %s", r.status, r.body)
	}
	if r := put(fresh, members{"client_id": p.id, "jwks": jwks(t, next.key)}); r.status != http.StatusOK {
		t.Fatalf("the new key alone: status %d, body %s", r.status, r.body)
	}
	if r := p.aws(before, nil); r.body != "signature verification failed" {
		t.Errorf("the old key, which is gone: status %d, body %s", r.status, r.body)
	}
	if r := put(token, both); r.status != http.StatusUnauthorized {
		t.Errorf("the first registration token: status %d", r.status)
	}
}

func TestAddClientWithKeys(t *testing.T) {
	v := start(t, vouchtest.Options{Version: vouchtest.Latest}).Vouch
	keys := jwks(t, newKey(t))
	uris := []string{testRedirect}
	for i, test := range []struct {
		c  vouchtest.Client
		ok bool
	}{
		{vouchtest.Client{JWKS: keys, RedirectURIs: uris}, true},
		{vouchtest.Client{RedirectURIs: uris}, true},
		{vouchtest.Client{JWKS: keys}, false},
		{vouchtest.Client{JWKS: json.RawMessage(`{"keys":[]}`), RedirectURIs: uris}, false},
	} {
		test.c.ID = fmt.Sprintf("client-%d", i)
		if err := v.AddClient(test.c); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.c, err)
		}
		if test.ok && v.AddClient(test.c) == nil {
			t.Errorf("%+v: twice", test.c)
		}
	}
	old := start(t, vouchtest.Options{}).Vouch
	if err := old.AddClient(vouchtest.Client{ID: "x", JWKS: keys, RedirectURIs: uris}); err == nil {
		t.Error("the relay era takes private_key_jwt")
	}
}

// TestConcurrentReplacements: of several holders of one registration token, one
// gets the next.
func TestConcurrentReplacements(t *testing.T) {
	p := partyOf(t, start(t, vouchtest.Options{Version: vouchtest.Latest}), "")
	for round := range 20 {
		c := postJSON(t, p.s.VouchURL+"/oauth/register", p.metadata(nil)).decode(t)
		at := "/oauth/register/" + c["client_id"].(string)
		body := p.metadata(members{"client_id": c["client_id"]})
		start, won := make(chan struct{}), make(chan bool)
		const tries = 16
		for range tries {
			r := httptest.NewRequest(http.MethodPut, at, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+c["registration_access_token"].(string))
			r.Header.Set("Content-Type", "application/json")
			go func() {
				w := httptest.NewRecorder()
				<-start
				p.s.Vouch.ServeHTTP(w, r)
				won <- w.Code == http.StatusOK
			}()
		}
		close(start)
		winners := 0
		for range tries {
			if <-won {
				winners++
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d replacements succeeded", round, winners)
		}
	}
}
