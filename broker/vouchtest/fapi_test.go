package vouchtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/fault"
)

const publicKeyLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUuKm7Kbr2Nju2BQuzKoPDRJRNQtzcuQjyXkCUjM0Gf me"

// TestSignedFlow is the whole of sign-in mode: the flow of a FAPI client, then
// the three credentials with signed requests.
func TestSignedFlow(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	answer := p.signIn()
	if answer["token_type"] != "DPoP" || answer["scope"] != "openid email" || answer["expires_in"] != json.Number("28800") {
		t.Fatalf("answer %v", answer)
	}
	token := answer["access_token"].(string)
	claims := payload(t, token, 1)
	if claims["aud"] != p.id || claims["client_id"] != p.id ||
		!reflect.DeepEqual(claims["cnf"], members{"jkt": thumbprint(t, p.key)}) {
		t.Errorf("claims %v", claims)
	}
	if header := payload(t, answer["id_token"].(string), 0); header["alg"] != "ES256" {
		t.Errorf("ID token of a FAPI client: %v", header)
	}

	aws := p.aws(token, func(s *signing) { s.proof = []change{claimed("source", "claude-code/2.1")} })
	if aws.status != http.StatusOK {
		t.Fatalf("AWS: status %d, body %q", aws.status, aws.body)
	}
	idToken := aws.decode(t)["id_token"].(string)
	tags := payload(t, idToken, 1)["https://aws.amazon.com/tags"].(members)
	principal := tags["principal_tags"].(members)
	if !reflect.DeepEqual(principal["vouch:AccessType"], []any{"ai"}) || !reflect.DeepEqual(principal["vouch:Agent"], []any{"claude-code/2.1"}) ||
		!slices.Contains(tags["transitive_tag_keys"].([]any), any("vouch:Agent")) || !slices.Contains(tags["transitive_tag_keys"].([]any), any("vouch:AccessType")) {
		t.Errorf("tags %v", tags)
	}
	if _, err := assume(t, p.s, idToken); err != nil {
		t.Errorf("STS: %v", err)
	}

	github := p.call("POST", githubPath, `{"owner":"acme","repositories":["api"]}`, token, nil)
	if !strings.HasPrefix(github.decode(t)["token"].(string), "ghs_") {
		t.Errorf("GitHub: %s", github.body)
	}
	certificate := p.call("POST", sshPath, `{"public_key":"`+publicKeyLine+`"}`, token, nil)
	line, _ := certificate.decode(t)["certificate"].(string)
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if cert, ok := key.(*ssh.Certificate); err != nil || !ok || cert.CertType != ssh.UserCert {
		t.Errorf("SSH: %v, body %s", err, certificate.body)
	}
	for name, r := range map[string]reply{"AWS": aws, "GitHub": github, "SSH": certificate} {
		if r.header.Get("Signature-Nonce") == "" {
			t.Errorf("%s: no nonce for the next signature", name)
		}
	}
	// An answer without the source has no tags of an agent's.
	plain := payload(t, p.aws(token, nil).decode(t)["id_token"].(string), 1)["https://aws.amazon.com/tags"].(members)
	if principal := plain["principal_tags"].(members); principal["vouch:Agent"] != nil || principal["vouch:AccessType"] != nil {
		t.Errorf("tags without a source: %v", principal)
	}
	odd := p.aws(token, func(s *signing) { s.proof = []change{claimed("source", "a,b")} })
	if odd.status != http.StatusInternalServerError || odd.code(t) != "claims_error" {
		t.Errorf("source that AWS refuses: status %d, body %s", odd.status, odd.body)
	}
	if received := p.s.Vouch.Requests(awsPath); len(received) != 3 || received[0].Header.Get("Signature-Input") == "" {
		t.Errorf("%d requests recorded", len(received))
	}
}

func TestLatestDiscovery(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	d := get(t, p.s.VouchURL+"/.well-known/openid-configuration").decode(t)
	if d["pushed_authorization_request_endpoint"] != p.s.VouchURL+"/oauth/par" ||
		!reflect.DeepEqual(d["dpop_signing_alg_values_supported"], []any{"ES256"}) ||
		!slices.Contains(d["token_endpoint_auth_methods_supported"].([]any), any("private_key_jwt")) ||
		d["request_uri_parameter_supported"] != true {
		t.Errorf("discovery %v", d)
	}
	old := start(t, vouchtest.Options{})
	if r := get(t, old.VouchURL+"/.well-known/openid-configuration"); strings.Contains(r.body, "dpop") || strings.Contains(r.body, "pushed_authorization_request_endpoint") {
		t.Errorf("relay era: %s", r.body)
	}
	if r := postForm(t, old.VouchURL+"/oauth/par", url.Values{}); r.status != http.StatusNotFound {
		t.Errorf("PAR of the relay era: status %d", r.status)
	}
}

func TestPushRefusals(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	tests := []struct {
		name   string
		change func(*form)
		status int
		want   string
	}{
		{"good", func(*form) {}, 201, ""},
		{"without the name that is signed", func(f *form) { f.values.Del("client_id") }, 201, ""},
		{"no assertion", func(f *form) { f.assertion = "" }, 401, "invalid_client"},
		{"no proof", func(f *form) { f.proof = "" }, 400, "invalid_request"},
		{"proof for another endpoint", func(f *form) {
			f.proof = p.proof("POST", "/oauth/token", "", claimed("nonce", p.nonce))
		}, 400, "invalid_dpop_proof"},
		{"proof without nonce", func(f *form) { f.proof = p.proof("POST", "/oauth/par", "") }, 400, "use_dpop_nonce"},
		{"key named that is not the proof's", func(f *form) { f.values.Set("dpop_jkt", thumbprint(t, newKey(t))) }, 400, "invalid_dpop_proof"},
		{"another client's name", func(f *form) { f.values.Set("client_id", "other") }, 401, "invalid_client"},
		{"request that names a request", func(f *form) { f.values.Set("request_uri", "urn:x") }, 400, "invalid_request"},
		{"foreign redirect URI", func(f *form) { f.values.Set("redirect_uri", "https://evil.example/") }, 400, "invalid_request"},
		{"no redirect URI", func(f *form) { f.values.Del("redirect_uri") }, 400, "invalid_request"},
		{"no PKCE", func(f *form) { f.values.Del("code_challenge") }, 400, "invalid_request"},
		{"plain PKCE", func(f *form) { f.values.Set("code_challenge_method", "plain") }, 400, "invalid_request"},
		{"long state", func(f *form) { f.values.Set("state", strings.Repeat("s", 513)) }, 400, "invalid_request"},
		{"unknown scope", func(f *form) { f.values.Set("scope", "admin") }, 400, "invalid_scope"},
		{"resource with fragment", func(f *form) { f.values.Set("resource", "https://a.example/#x") }, 400, "invalid_target"},
		{"repeated state", func(f *form) { f.values.Add("state", "2") }, 400, "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := p.in(t)
			f := p.form("/oauth/par", p.request())
			test.change(f)
			r := p.post("/oauth/par", f)
			if r.status != test.status || r.code(t) != test.want {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
		})
	}
	if r := postJSON(t, p.s.VouchURL+"/oauth/par", `{}`); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("JSON body: status %d", r.status)
	}
}

func TestPushedRequestRefusals(t *testing.T) {
	now := newClock()
	p := newParty(t, vouchtest.Options{Now: now.Now})
	other := partyOf(t, p.s, "other")
	other.add()
	at := func(q url.Values) reply { return get(t, p.s.VouchURL+"/oauth/authorize?"+q.Encode()) }
	refused := func(name string, q url.Values, want string) {
		t.Helper()
		if r := at(q); r.status != http.StatusBadRequest || r.code(t) != want || r.header.Get("Location") != "" {
			t.Errorf("%s: status %d, Location %q, body %s", name, r.status, r.header.Get("Location"), r.body)
		}
	}
	uri := p.push(p.request())
	good := url.Values{"client_id": {p.id}, "request_uri": {uri}}
	refused("another client", url.Values{"client_id": {"other"}, "request_uri": {uri}}, "invalid_request_uri")
	refused("unknown", url.Values{"client_id": {p.id}, "request_uri": {uri + "x"}}, "invalid_request_uri")
	refused("of another form", url.Values{"client_id": {p.id}, "request_uri": {"https://client.example/request"}}, "invalid_request_uri")
	refused("two", url.Values{"client_id": {p.id}, "request_uri": {uri, uri}}, "invalid_request_uri")
	refused("with a parameter beside it", url.Values{"client_id": {p.id}, "request_uri": {uri}, "scope": {"openid"}}, "invalid_request")
	if r := at(good); r.status != http.StatusFound {
		t.Errorf("after the attempts of others: status %d, body %s", r.status, r.body)
	}
	refused("used", good, "invalid_request_uri")

	good.Set("request_uri", p.push(p.request()))
	now.advance(time.Minute)
	refused("old", good, "invalid_request_uri")

	back := authorize(t, p.s, p.request())
	if back.Get("error") != "invalid_request" || back.Has("code") {
		t.Errorf("a FAPI client that did not push: %v", back)
	}
}

// TestBoundCode: the code of a FAPI client is worth nothing without the client's
// keys, lives for a minute and works once.
func TestBoundCode(t *testing.T) {
	now := newClock()
	p := newParty(t, vouchtest.Options{Now: now.Now})
	other := partyOf(t, p.s, "other")
	other.now = now.Now
	other.add()
	tests := []struct {
		name   string
		change func(*party, *form)
		age    time.Duration
		status int
		want   string
	}{
		{"young enough", func(*party, *form) {}, 59 * time.Second, 200, ""},
		{"old", func(*party, *form) {}, time.Minute, 400, "invalid_grant"},
		{"no proof", func(_ *party, f *form) { f.proof = "" }, 0, 400, "invalid_request"},
		{"no assertion", func(_ *party, f *form) { f.assertion = "" }, 0, 401, "invalid_client"},
		{"assertion of another client", func(_ *party, f *form) { f.assertion = other.assertion() }, 0, 401, "invalid_client"},
		{"code of another client", func(_ *party, f *form) {
			f.assertion = other.assertion()
			f.values.Set("client_id", other.id)
		}, 0, 400, "invalid_grant"},
		{"key of another", func(p *party, f *form) {
			f.proof = other.proof("POST", "/oauth/token", "", claimed("nonce", p.freshNonce()))
		}, 0, 400, "invalid_grant"},
		{"wrong verifier", func(_ *party, f *form) { f.values.Set("code_verifier", strings.Repeat("x", 43)) }, 0, 400, "invalid_grant"},
		{"secret beside the assertion", func(_ *party, f *form) { f.values.Set("client_secret", "x") }, 0, 401, "invalid_client"},
		{"assertion of an unknown type", func(_ *party, f *form) {
			f.values.Set("client_assertion", f.assertion)
			f.values.Set("client_assertion_type", "urn:x")
			f.assertion = ""
		}, 0, 401, "invalid_client"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := p.in(t)
			p.nonce = ""
			code := p.code()
			now.advance(test.age)
			f := p.form("/oauth/token", p.redemption(code))
			test.change(p, f)
			r := p.post("/oauth/token", f)
			if r.status != test.status || r.code(t) != test.want {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
		})
	}
}

func TestReplayedCodeEndsBoundTokens(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	code := p.code()
	first := p.post("/oauth/token", p.form("/oauth/token", p.redemption(code)))
	token := first.decode(t)["access_token"].(string)
	if r := p.aws(token, nil); r.status != http.StatusOK {
		t.Fatalf("before the replay: status %d, body %s", r.status, r.body)
	}
	if r := p.post("/oauth/token", p.form("/oauth/token", p.redemption(code))); r.code(t) != "invalid_grant" {
		t.Fatalf("replay: %s", r.body)
	}
	if r := p.aws(token, nil); r.code(t) != "invalid_token" {
		t.Errorf("after the replay: status %d, body %s", r.status, r.body)
	}
}

func TestRevocationNeedsTheClient(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	other := partyOf(t, p.s, "other")
	other.add()
	token := p.token()
	revoke := func(assertion string) reply {
		return p.post("/oauth/revoke", &form{url.Values{"token": {token}}, assertion, ""})
	}
	if r := revoke(""); r.code(t) != "invalid_client" {
		t.Errorf("without an assertion: status %d, body %s", r.status, r.body)
	}
	if r := revoke(other.assertion()); r.status != http.StatusOK || p.aws(token, nil).status != http.StatusOK {
		t.Errorf("another client ended the token (status %d)", r.status)
	}
	if r := revoke(p.assertion()); r.status != http.StatusOK || p.aws(token, nil).code(t) != "invalid_token" {
		t.Errorf("the token lives on (status %d)", r.status)
	}
}

// TestFailuresInTheirOwnForm: a failure that is made speaks the language of its route.
func TestFailuresInTheirOwnForm(t *testing.T) {
	s := start(t, vouchtest.Options{Version: vouchtest.Latest})
	for path, want := range map[string]string{
		"/oauth/par": `{"error":"temporarily_unavailable","error_description":"made to fail"}`,
		sshPath:      `{"code":"temporarily_unavailable","message":"made to fail"}`,
	} {
		if err := s.Vouch.SetFault(fault.Fault{Path: path, Kind: fault.Status, Status: 503, Code: "temporarily_unavailable"}); err != nil {
			t.Fatal(err)
		}
		if r := postForm(t, s.VouchURL+path, nil); r.status != http.StatusServiceUnavailable || r.body != want {
			t.Errorf("%s: status %d, body %s", path, r.status, r.body)
		}
	}
}
