package vouchtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

func TestAssertions(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	at := p.s.VouchURL + "/oauth/token"
	stamp := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	tests := []struct {
		name      string
		assertion string
		ok        bool
	}{
		{"good", p.assertion(), true},
		{"long-lived as allowed", p.assertion(claimed("exp", stamp(299*time.Second))), true},
		{"clock a little ahead", p.assertion(claimed("iat", stamp(8*time.Second))), true},
		{"empty", "x", false},
		{"other issuer", p.assertion(claimed("iss", "mallory")), false},
		{"other subject", p.assertion(claimed("sub", "standard")), false},
		{"no subject", p.assertion(claimed("sub", nil)), false},
		{"token endpoint as audience", p.assertion(claimed("aud", at)), false},
		{"audience in an array", p.assertion(claimed("aud", []string{p.s.VouchURL})), false},
		{"issuer with a slash", p.assertion(claimed("aud", p.s.VouchURL+"/")), false},
		{"no audience", p.assertion(claimed("aud", nil)), false},
		{"no jti", p.assertion(claimed("jti", nil)), false},
		{"number as jti", p.assertion(claimed("jti", 1)), false},
		{"no iat", p.assertion(claimed("iat", nil)), false},
		{"no exp", p.assertion(claimed("exp", nil)), false},
		{"too long-lived", p.assertion(claimed("exp", stamp(302*time.Second))), false},
		{"expired", p.assertion(claimed("iat", stamp(-time.Minute)), claimed("exp", stamp(-12*time.Second))), false},
		{"from the future", p.assertion(claimed("iat", stamp(15*time.Second))), false},
		{"no kid", p.assertion(headed("kid", "")), false},
		{"unknown kid", p.assertion(headed("kid", "x")), false},
		{"critical header", p.assertion(headed("crit", []string{"x"})), false},
		{"key of another", p.sign(newKey(t), members{"kid": p.keyID}, payload(t, p.assertion(), 1), nil), false},
		{"too large", p.assertion(claimed("x", strings.Repeat("x", 8192))), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// A revocation is the plainest request that wants a client and no proof.
			f := &form{url.Values{"token": {"unknown"}}, test.assertion, ""}
			r := p.in(t).post("/oauth/revoke", f)
			if r.status == http.StatusOK != test.ok || !test.ok && (r.status != 401 || r.code(t) != "invalid_client") {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
		})
	}
}

// TestAssertionIsSpentOnce: a jti works once, at whatever endpoint and whatever
// became of that request, but not in a round that only fetched a nonce.
func TestAssertionIsSpentOnce(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	f := p.form("/oauth/token", p.redemption("x"))
	f.proof = p.proof("POST", "/oauth/token", "")
	if r := p.post("/oauth/token", f); r.code(t) != "use_dpop_nonce" {
		t.Fatalf("without a nonce: %s", r.body)
	}
	f.proof = p.proof("POST", "/oauth/token", "", claimed("nonce", p.nonce))
	if r := p.post("/oauth/token", f); r.code(t) != "invalid_grant" {
		t.Fatalf("with a nonce, and with the same assertion: %s", r.body)
	}
	f.proof = p.proof("POST", "/oauth/token", "", claimed("nonce", p.nonce))
	if r := p.post("/oauth/token", f); r.code(t) != "invalid_client" {
		t.Errorf("reused: %s", r.body)
	}
	elsewhere := &form{url.Values{"token": {"x"}}, f.assertion, ""}
	if r := p.post("/oauth/revoke", elsewhere); r.code(t) != "invalid_client" {
		t.Errorf("reused elsewhere: %s", r.body)
	}
}

// proofTests are the ways to get a DPoP proof wrong wherever it goes.
func proofTests(t *testing.T, p *party) map[string][]change {
	stamp := func(d time.Duration) int64 { return p.now().Add(d).Unix() }
	private := publicJWK(t, p.key)
	private["d"] = "AAAA"
	return map[string][]change{
		"no jti":            {claimed("jti", nil)},
		"number as jti":     {claimed("jti", 1)},
		"wrong method":      {claimed("htm", "PUT")},
		"no method":         {claimed("htm", nil)},
		"wrong path":        {claimed("htu", p.s.VouchURL+"/oauth/tokens")},
		"wrong host":        {claimed("htu", "https://evil.example/oauth/token")},
		"no htu":            {claimed("htu", nil)},
		"no iat":            {claimed("iat", nil)},
		"old":               {claimed("iat", stamp(-305*time.Second))},
		"of the future":     {claimed("iat", stamp(65*time.Second))},
		"wrong type":        {headed("typ", "JWT")},
		"no key":            {headed("jwk", nil)},
		"private key":       {headed("jwk", private)},
		"key of another":    {headed("jwk", publicJWK(t, newKey(t)))},
		"critical header":   {headed("crit", []string{"x"})},
		"source that lists": {claimed("source", []string{"a"})},
		"nonce that counts": {claimed("nonce", 1)},
	}
}

func TestProofsAtTheTokenEndpoint(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	post := func(t *testing.T, proofs ...string) reply {
		f := p.form("/oauth/token", p.redemption("x"))
		headers := []string{}
		for _, one := range proofs {
			headers = append(headers, "DPoP", one)
		}
		f.values.Set("client_assertion_type", bearerType)
		f.values.Set("client_assertion", f.assertion)
		return postForm(t, p.s.VouchURL+"/oauth/token", f.values, headers...)
	}
	good := func(changes ...change) string {
		return p.proof("POST", "/oauth/token", "", append([]change{claimed("nonce", p.freshNonce())}, changes...)...)
	}
	const past = "invalid_grant" // the proof and the client are fine, the code is not
	for name, changes := range proofTests(t, p) {
		t.Run(name, func(t *testing.T) {
			if r := post(t, good(changes...)); r.status != http.StatusBadRequest || r.code(t) != "invalid_dpop_proof" {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
		})
	}
	once := good()
	tests := []struct {
		name   string
		proofs []string
		want   string
	}{
		{"good", []string{once}, past},
		{"replayed", []string{once}, "invalid_dpop_proof"},
		{"same nonce, other jti", []string{good()}, past},
		{"query and capitals in htu", []string{good(claimed("htu", strings.Replace(p.s.VouchURL, "http", "HTTP", 1)+"/oauth/token?x=1"))}, past},
		{"a minute ahead", []string{good(claimed("iat", p.now().Add(55*time.Second).Unix()))}, past},
		{"two", []string{good(), good()}, "invalid_dpop_proof"},
		{"not a token", []string{"x"}, "invalid_dpop_proof"},
		{"unknown nonce", []string{good(claimed("nonce", "x"))}, "use_dpop_nonce"},
		{"no nonce", []string{good(claimed("nonce", nil))}, "use_dpop_nonce"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := post(t, test.proofs...)
			if r.status != http.StatusBadRequest || r.code(t) != test.want {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
			if offered := r.header.Get("DPoP-Nonce") != ""; offered != (test.want == "use_dpop_nonce") {
				t.Errorf("DPoP-Nonce %q", r.header.Get("DPoP-Nonce"))
			}
		})
	}
}

func TestProofsAtTheCredentialAPI(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	token := p.token()
	with := func(t *testing.T, changes ...change) reply {
		return p.in(t).aws(token, func(s *signing) { s.proof = changes })
	}
	tests := proofTests(t, p)
	tests["no ath"] = []change{claimed("ath", nil)}
	tests["ath of another token"] = []change{claimed("ath", challengeOf("x"))}
	for name, changes := range tests {
		t.Run(name, func(t *testing.T) {
			r := with(t, changes...)
			if r.status != http.StatusUnauthorized || r.code(t) != "invalid_dpop_proof" || !strings.HasPrefix(r.header.Get("WWW-Authenticate"), `DPoP error="invalid_dpop_proof"`) {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
		})
	}
	id := claimed("jti", "fixed")
	if r := with(t, id); r.status != http.StatusOK {
		t.Errorf("first use of a jti: status %d, body %s", r.status, r.body)
	}
	if r := with(t, id); r.code(t) != "invalid_dpop_proof" {
		t.Errorf("second use of a jti: status %d, body %s", r.status, r.body)
	}
	stale := with(t, claimed("nonce", "x"))
	fresh := stale.header.Get("DPoP-Nonce")
	if stale.status != http.StatusUnauthorized || stale.code(t) != "use_dpop_nonce" || fresh == "" {
		t.Fatalf("unknown nonce: status %d, body %s", stale.status, stale.body)
	}
	if r := with(t, claimed("nonce", fresh)); r.status != http.StatusOK {
		t.Errorf("the nonce that was offered: status %d, body %s", r.status, r.body)
	}
	for name, tamper := range map[string]func(*http.Request){
		"none": func(r *http.Request) { r.Header.Del("DPoP") },
		"two":  func(r *http.Request) { r.Header.Add("DPoP", p.proof("GET", awsPath, token)) },
	} {
		r := p.aws(token, func(s *signing) { s.drop("dpop"); s.tamper = tamper })
		if r.code(t) != "invalid_dpop_proof" {
			t.Errorf("%s: status %d, body %s", name, r.status, r.body)
		}
	}
}

func TestNonceLifetime(t *testing.T) {
	now := newClock()
	p := newParty(t, vouchtest.Options{Now: now.Now})
	use := func() string {
		return p.post("/oauth/token", p.form("/oauth/token", p.redemption("x"))).code(t)
	}
	p.freshNonce()
	now.advance(299 * time.Second)
	if got := use(); got != "invalid_grant" {
		t.Errorf("in its lifetime: %s", got)
	}
	now.advance(time.Second)
	if got := use(); got != "use_dpop_nonce" {
		t.Errorf("after it: %s", got)
	}
}

// TestSkewedServer: a server whose clock is off refuses assertions, proofs and
// signatures the way each of them is refused.
func TestSkewedServer(t *testing.T) {
	for _, by := range []time.Duration{6 * time.Minute, -2 * time.Minute} {
		p := newParty(t, vouchtest.Options{})
		token := p.token()
		p.s.Vouch.SkewClock(by)
		if r := p.aws(token, nil); r.status != 401 || r.body != "signature verification failed" || r.header.Get("Accept-Signature") != "" {
			t.Errorf("%v: signature: status %d, body %s", by, r.status, r.body)
		}
		if r := p.post("/oauth/token", p.form("/oauth/token", p.redemption("x"))); r.code(t) != "invalid_dpop_proof" {
			t.Errorf("%v: proof: status %d, body %s", by, r.status, r.body)
		}
		if r := p.post("/oauth/revoke", &form{url.Values{"token": {"x"}}, p.assertion(), ""}); r.code(t) != "invalid_client" {
			t.Errorf("%v: assertion: status %d, body %s", by, r.status, r.body)
		}
	}
}
