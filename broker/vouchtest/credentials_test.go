package vouchtest_test

import (
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

const (
	awsPath    = "/v1/credentials/aws/token"
	githubPath = "/v1/credentials/github/token"
	sshPath    = "/v1/credentials/ssh"
	caPath     = "/v1/credentials/ssh/ca"
)

func TestDiscovery(t *testing.T) {
	s := start(t, vouchtest.Options{})
	for _, path := range []string{"openid-configuration", "oauth-authorization-server"} {
		r := get(t, s.VouchURL+"/.well-known/"+path)
		if r.decode(t)["issuer"] != s.VouchURL || r.header.Get("Cache-Control") != "public, max-age=3600" ||
			r.header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %v %s", path, r.header, r.body)
		}
	}
	if r := get(t, s.VouchURL+"/.well-known/oauth-protected-resource"); r.decode(t)["resource"] != s.VouchURL {
		t.Errorf("protected resource: %s", r.body)
	}
	if r := get(t, s.VouchURL+"/.well-known/jwks.json"); r.status != http.StatusNotFound {
		t.Errorf("unknown path: status %d", r.status)
	}
	if r := send(t, request(t, http.MethodOptions, s.VouchURL+awsPath, "", "Origin", "https://a.example")); r.status != http.StatusNoContent {
		t.Errorf("preflight: status %d", r.status)
	}
}

type keySet struct {
	Keys []map[string]string `json:"keys"`
}

func readKeys(t *testing.T, s *vouchtest.Stack) keySet {
	t.Helper()
	r := get(t, s.VouchURL+"/oauth/jwks")
	if r.header.Get("Cache-Control") != "public, max-age=3600" {
		t.Errorf("Cache-Control %q", r.header.Get("Cache-Control"))
	}
	var set keySet
	if err := json.Unmarshal([]byte(r.body), &set); err != nil {
		t.Fatal(err)
	}
	return set
}

func TestKeys(t *testing.T) {
	s := start(t, vouchtest.Options{})
	set := readKeys(t, s)
	if len(set.Keys) != 2 || set.Keys[0]["kty"] != "RSA" || set.Keys[1]["kty"] != "EC" ||
		set.Keys[1]["crv"] != "P-256" || !strings.HasPrefix(set.Keys[1]["kid"], "vouch-oidc-") {
		t.Fatalf("keys %v", set)
	}
}

func TestTokenChecks(t *testing.T) {
	now := newClock()
	s := start(t, vouchtest.Options{Now: now.Now})
	v := s.Vouch
	flawed := func(f vouchtest.Flaws) []string {
		return bearer(v.MintAccessToken(vouchtest.TokenOptions{Flaws: f}))
	}
	claim := func(name string, value any) []string {
		return flawed(vouchtest.Flaws{Claims: map[string]any{name: value}})
	}
	header := func(name string, value any) []string {
		return flawed(vouchtest.Flaws{Header: map[string]any{name: value}})
	}
	good := v.MintAccessToken(vouchtest.TokenOptions{})
	bound := v.MintAccessToken(vouchtest.TokenOptions{Confirmation: map[string]any{"jkt": "x"}})
	revoked := v.MintAccessToken(vouchtest.TokenOptions{})
	v.Revoke(revoked)
	tests := []struct {
		name    string
		headers []string
		status  int
		want    string
	}{
		{"good", bearer(good), 200, ""},
		{"narrowed to anybody", bearer(v.MintAccessToken(vouchtest.TokenOptions{Audience: "https://broker.example/mcp"})), 200, ""},
		{"lower-case scheme", []string{"Authorization", "bearer " + good}, 200, ""},
		{"no token", nil, 401, "unauthorized"},
		{"empty token", []string{"Authorization", "Bearer "}, 401, "unauthorized"},
		{"basic", []string{"Authorization", "Basic eDp4"}, 401, "unauthorized"},
		{"two tokens", append(bearer(good), bearer(good)...), 401, "unauthorized"},
		{"garbage", bearer("a.b.c"), 401, "invalid_token"},
		{"trailing text", bearer(good + "."), 401, "invalid_token"},
		{"alg none", flawed(vouchtest.Flaws{Algorithm: "none"}), 401, "invalid_token"},
		{"key confusion", flawed(vouchtest.Flaws{Algorithm: "HS256"}), 401, "invalid_token"},
		{"RS256", flawed(vouchtest.Flaws{Algorithm: "RS256"}), 401, "invalid_token"},
		{"foreign key", flawed(vouchtest.Flaws{ForeignKey: true}), 401, "invalid_token"},
		{"ID token type", header("typ", "JWT"), 401, "invalid_token"},
		{"no type", header("typ", nil), 401, "invalid_token"},
		{"unknown key", header("kid", "vouch-oidc-0"), 401, "invalid_token"},
		{"other issuer", claim("iss", s.VouchURL+"/"), 401, "invalid_token"},
		{"no expiry", claim("exp", nil), 401, "invalid_token"},
		{"not yet", claim("nbf", now.Now().Add(time.Hour).Unix()), 401, "invalid_token"},
		{"expired", bearer(v.MintAccessToken(vouchtest.TokenOptions{Lifetime: -time.Second})), 401, "invalid_token"},
		{"revoked", bearer(revoked), 401, "invalid_token"},
		{"unknown person", claim("sub", "somebody"), 401, "unauthorized"},
		{"bound token as bearer", bearer(bound), 401, "invalid_token"},
		{"unbound token under DPoP", []string{"Authorization", "DPoP " + good}, 401, "invalid_token"},
		{"bound token with a proof", []string{"Authorization", "DPoP " + bound, "DPoP", "x"}, 401, "invalid_dpop_proof"},
		{"no hardware", claim("hardware_verified", false), 403, "hardware_required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := get(t, s.VouchURL+awsPath, test.headers...)
			if r.status != test.status || r.code(t) != test.want {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			metadata := strings.Contains(r.header.Get("WWW-Authenticate"), `resource_metadata="`+s.VouchURL+`/.well-known/`)
			if metadata != (r.status == http.StatusUnauthorized) || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", r.header)
			}
		})
	}
}

func TestRequireSignatures(t *testing.T) {
	s := start(t, vouchtest.Options{RequireSignatures: true})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	const hint = `sig1=("@method" "@authority" "@path" "@query" "authorization"`
	signed := append([]string{"Signature", "sig1=:AA==:", "Signature-Input", `sig1=("@method")`}, token...)
	tests := []struct {
		name  string
		reply reply
		want  string // Accept-Signature
	}{
		{"unsigned", get(t, s.VouchURL+awsPath, token...), hint + `);alg="ecdsa-p256-sha256"`},
		{"unsigned with a body", postJSON(t, s.VouchURL+githubPath, `{}`, token...), hint + ` "content-digest");alg="ecdsa-p256-sha256"`},
		{"without a token", get(t, s.VouchURL+awsPath), hint + `);alg="ecdsa-p256-sha256"`},
		{"signed", get(t, s.VouchURL+awsPath, signed...), ""},
	}
	for _, test := range tests {
		r := test.reply
		if r.status != http.StatusUnauthorized || r.body != "signature verification failed" ||
			!strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") || r.header.Get("Accept-Signature") != test.want {
			t.Errorf("%s: status %d, headers %v, body %q", test.name, r.status, r.header, r.body)
		}
	}
	if r := get(t, s.VouchURL+caPath); r.status != http.StatusOK {
		t.Errorf("SSH CA: status %d", r.status)
	}
}

func TestAWSToken(t *testing.T) {
	s := start(t, vouchtest.Options{})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	r := get(t, s.VouchURL+awsPath+"?role_arn="+url.QueryEscape(roleARN), token...)
	answer := r.decode(t)
	if r.status != http.StatusOK || answer["expires_in"] != json.Number("28800") || len(answer) != 2 {
		t.Fatalf("status %d, body %s", r.status, r.body)
	}
	idToken := answer["id_token"].(string)
	claims := payload(t, idToken, 1)
	email := vouchtest.DefaultPerson().Email
	names := slices.Sorted(maps.Keys(claims))
	want := []string{
		"aud", "email", "email_verified", "exp", "hardware_aaguid", "hardware_verified", "hd",
		"https://aws.amazon.com/roles", "https://aws.amazon.com/source_identity", "https://aws.amazon.com/tags",
		"iat", "iss", "jti", "sub",
	}
	if !slices.Equal(names, want) {
		t.Errorf("claims %v, want %v", names, want)
	}
	for name, want := range map[string]any{
		"aud": s.VouchURL, "iss": s.VouchURL, "sub": email, "https://aws.amazon.com/source_identity": email, "https://aws.amazon.com/roles": []any{roleARN},
	} {
		if !reflect.DeepEqual(claims[name], want) {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	tags := map[string]any{
		"principal_tags":      map[string]any{"vouch:Email": []any{email}, "vouch:Domain": []any{"example.com"}},
		"transitive_tag_keys": []any{"vouch:Domain", "vouch:Email"},
	}
	if !reflect.DeepEqual(claims["https://aws.amazon.com/tags"], tags) {
		t.Errorf("tags %v", claims["https://aws.amazon.com/tags"])
	}
	if header := payload(t, idToken, 0); header["alg"] != "RS256" || header["kid"] != readKeys(t, s).Keys[0]["kid"] {
		t.Errorf("header %v", header)
	}
	if r := get(t, s.VouchURL+awsPath, token...); payload(t, r.decode(t)["id_token"].(string), 1)["https://aws.amazon.com/roles"] != nil {
		t.Error("a token that nobody pinned is pinned")
	}
}

func TestAWSTokenRefusals(t *testing.T) {
	person := vouchtest.DefaultPerson()
	person.Email = "alice/x@example.com" // good for a tag, not for a source identity
	odd := vouchtest.DefaultPerson()
	odd.Domain = "exa,mple.com"
	tests := []struct {
		name, query string
		o           vouchtest.Options
		status      int
		want        string
	}{
		{"empty role", "?role_arn=", vouchtest.Options{}, 400, "invalid_role_arn"},
		{"user", "?role_arn=arn:aws:iam::123456789012:user/x", vouchtest.Options{}, 400, "invalid_role_arn"},
		{"short account", "?role_arn=arn:aws:iam::1234:role/x", vouchtest.Options{}, 400, "invalid_role_arn"},
		{"region", "?role_arn=arn:aws:iam:us-east-1:123456789012:role/x", vouchtest.Options{}, 400, "invalid_role_arn"},
		{"no name", "?role_arn=arn:aws:iam::123456789012:role/path/", vouchtest.Options{}, 400, "invalid_role_arn"},
		{"long", "?role_arn=" + roleARN + strings.Repeat("x", 2048), vouchtest.Options{}, 400, "invalid_role_arn"},
		{"two roles", "?role_arn=" + roleARN + "&role_arn=" + roleARN, vouchtest.Options{}, 400, ""},
		{"e-mail that AWS refuses", "", vouchtest.Options{Person: person}, 500, "claims_error"},
		{"domain that AWS refuses", "", vouchtest.Options{Person: odd}, 500, "claims_error"},
		{"software sign-in", "", vouchtest.Options{Person: vouchtest.Person{Subject: "u-1", Email: "a@example.com"}}, 403, "hardware_required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, test.o)
			r := get(t, s.VouchURL+awsPath+test.query, bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))...)
			if r.status != test.status || r.code(t) != test.want {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
		})
	}
}

func TestGitHubToken(t *testing.T) {
	tests := []struct {
		name, body string
		status     int
		want       string // code, or the repositories
	}{
		{"everything", `{}`, 200, ""},
		{"nulls", `{"owner":null,"repositories":null}`, 200, ""},
		{"empty list", `{"repositories":[]}`, 200, ""},
		{"bare names", `{"owner":"ACME","repositories":["web","API"]}`, 200, "acme/web acme/api"},
		{"unknown owner", `{"owner":"initech"}`, 404, "github_not_connected"},
		{"empty owner", `{"owner":""}`, 404, "github_not_connected"},
		{"bare name taken for the owner", `{"repositories":["web"]}`, 404, "github_not_connected"},
		{"full name", `{"repositories":["acme/web"]}`, 502, "github_error"},
		{"unknown repository", `{"owner":"acme","repositories":["secret"]}`, 502, "github_error"},
		{"wrong type", `{"owner":1}`, 422, ""},
		{"list", `[]`, 422, ""},
		{"null", `null`, 422, ""},
		{"no JSON", `owner=acme`, 400, ""},
		{"no body", ``, 400, ""},
		{"member in capitals is unknown", `{"OWNER":"initech"}`, 200, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := start(t, vouchtest.Options{})
			r := postJSON(t, s.VouchURL+githubPath, test.body, bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))...)
			if r.status != test.status {
				t.Fatalf("status %d, body %s", r.status, r.body)
			}
			if r.status != http.StatusOK {
				if r.code(t) != test.want {
					t.Errorf("body %s", r.body)
				}
				return
			}
			var answer struct {
				Token        string            `json:"token"`
				ExpiresAt    time.Time         `json:"expires_at"`
				ExpiresIn    int               `json:"expires_in"`
				Permissions  map[string]string `json:"permissions"`
				Repositories []string          `json:"repositories"`
			}
			if err := json.Unmarshal([]byte(r.body), &answer); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(answer.Token, "ghs_") || len(answer.Token) < 40 {
				t.Errorf("the token %q does not have GitHub's form", answer.Token)
			}
			if answer.ExpiresIn != 3600 || answer.ExpiresAt.Before(time.Now()) {
				t.Errorf("expires in %d s, at %v; want 3600 s", answer.ExpiresIn, answer.ExpiresAt)
			}
			if got := strings.Join(answer.Repositories, " "); got != test.want || answer.Permissions["contents"] != "write" {
				t.Errorf("good for %q with %v, want %q with contents: write", got, answer.Permissions, test.want)
			}
		})
	}
	s := start(t, vouchtest.Options{})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	if r := send(t, request(t, http.MethodPost, s.VouchURL+githubPath, `{}`, token...)); r.status != http.StatusUnsupportedMediaType {
		t.Errorf("no content type: status %d", r.status)
	}
}

func TestBodyLimit(t *testing.T) {
	s := start(t, vouchtest.Options{})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	for size, want := range map[int]int{8 << 10: http.StatusOK, 8<<10 + 1: http.StatusRequestEntityTooLarge, 300 << 10: http.StatusRequestEntityTooLarge} {
		body := `{}` + strings.Repeat(" ", size-2)
		if r := postJSON(t, s.VouchURL+githubPath, body, token...); r.status != want {
			t.Errorf("%d bytes: status %d", size, r.status)
		}
	}
}

// TestSerialNeedsUint64 proves that a reader which goes through float64 always
// fails.
func TestSerialNeedsUint64(t *testing.T) {
	s := start(t, vouchtest.Options{})
	token := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	for range 20 {
		serial := postJSON(t, s.VouchURL+sshPath, publicKeyBody(t, newPublicKey(t)), token...).decode(t)["serial"].(json.Number)
		exact, ok := new(big.Int).SetString(serial.String(), 10)
		if !ok || !exact.IsUint64() {
			t.Fatalf("serial %s", serial)
		}
		rounded, _ := new(big.Float).SetFloat64(float64(exact.Uint64())).Int(nil)
		if rounded.Cmp(exact) == 0 || exact.Bit(0) == 0 || exact.BitLen() < 54 {
			t.Errorf("serial %s may survive float64", serial)
		}
	}
}
