package vouchtest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/vouchtest"
)

const (
	partyID    = "fapi-client"
	bearerType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// party is an OAuth client that does everything v2026.10.1 demands: one P-256
// key for its assertions, its DPoP proofs and its request signatures.
type party struct {
	t     *testing.T
	s     *vouchtest.Stack
	id    string
	key   *ecdsa.PrivateKey
	keyID string
	// now is the client's clock.
	now func() time.Time
	// nonce is the last DPoP nonce.
	nonce string
}

type members = map[string]any

// change alters the header and the claims of a JWT before it is signed.
type change func(header, claims members)

func claimed(name string, value any) change {
	return func(_, claims members) {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
}

func headed(name string, value any) change {
	return func(header, _ members) { header[name] = value }
}

func base64URL(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publicJWK returns the public half of a key without a kid.
func publicJWK(t *testing.T, key *ecdsa.PrivateKey) members {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return members{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

func thumbprint(t *testing.T, key *ecdsa.PrivateKey) string {
	t.Helper()
	return challengeOf(toJSON(t, publicJWK(t, key))) // encoding/json sorts, as RFC 7638 demands
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// jwks returns the JWK set of keys whose kid is their thumbprint.
func jwks(t *testing.T, keys ...*ecdsa.PrivateKey) json.RawMessage {
	t.Helper()
	var set []members
	for _, key := range keys {
		one := publicJWK(t, key)
		one["kid"], one["use"], one["alg"] = thumbprint(t, key), "sig", "ES256"
		set = append(set, one)
	}
	return json.RawMessage(toJSON(t, members{"keys": set}))
}

// newParty starts a server of the latest version that knows a FAPI client.
func newParty(t *testing.T, o vouchtest.Options) *party {
	t.Helper()
	o.Version = vouchtest.Latest
	p := partyOf(t, start(t, o), partyID)
	if o.Now != nil {
		p.now = o.Now
	}
	p.add()
	return p
}

func partyOf(t *testing.T, s *vouchtest.Stack, id string) *party {
	t.Helper()
	key := newKey(t)
	return &party{t: t, s: s, id: id, key: key, keyID: thumbprint(t, key), now: time.Now}
}

// add registers the party's id and key.
func (p *party) add() {
	p.t.Helper()
	c := vouchtest.Client{ID: p.id, JWKS: jwks(p.t, p.key), RedirectURIs: []string{testRedirect}}
	if err := p.s.Vouch.AddClient(c); err != nil {
		p.t.Fatal(err)
	}
}

// in returns the party for a subtest.
func (p *party) in(t *testing.T) *party {
	next := *p
	next.t = t
	return &next
}

func (p *party) sign(key *ecdsa.PrivateKey, header, claims members, changes []change) string {
	p.t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims(claims))
	maps.Copy(token.Header, header)
	for _, change := range changes {
		change(token.Header, claims)
	}
	text, err := token.SignedString(key)
	if err != nil {
		p.t.Fatal(err)
	}
	return text
}

func (p *party) assertion(changes ...change) string {
	p.t.Helper()
	now := p.now()
	return p.sign(p.key, members{"kid": p.keyID}, members{
		"iss": p.id, "sub": p.id, "aud": p.s.VouchURL, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}, changes)
}

// proof makes a DPoP proof; an empty token makes one for the token endpoint.
func (p *party) proof(method, path, token string, changes ...change) string {
	p.t.Helper()
	target, _, _ := strings.Cut(p.s.VouchURL+path, "?")
	claims := members{"jti": rand.Text(), "htm": method, "htu": target, "iat": p.now().Unix()}
	if token != "" {
		claims["ath"] = challengeOf(token)
	}
	return p.sign(p.key, members{"typ": "dpop+jwt", "jwk": publicJWK(p.t, p.key)}, claims, changes)
}

// form is an authenticated request to an OAuth endpoint.
type form struct {
	values           url.Values
	assertion, proof string
}

// form fills in what the party proves itself with.
func (p *party) form(path string, values url.Values) *form {
	p.t.Helper()
	return &form{values, p.assertion(), p.proof("POST", path, "", claimed("nonce", p.freshNonce()))}
}

// freshNonce returns the nonce of the server, fetching one as a client does: by
// a request that is refused for want of it.
func (p *party) freshNonce() string {
	p.t.Helper()
	if p.nonce == "" {
		r := postForm(p.t, p.s.VouchURL+"/oauth/token", url.Values{}, "DPoP", p.proof("POST", "/oauth/token", ""))
		p.nonce = r.header.Get("DPoP-Nonce")
		if r.status != http.StatusBadRequest || r.code(p.t) != "use_dpop_nonce" || p.nonce == "" {
			p.t.Fatalf("no nonce: status %d, body %s", r.status, r.body)
		}
	}
	return p.nonce
}

func (p *party) post(path string, f *form) reply {
	p.t.Helper()
	values := maps.Clone(f.values)
	if f.assertion != "" {
		values.Set("client_assertion_type", bearerType)
		values.Set("client_assertion", f.assertion)
	}
	var headers []string
	if f.proof != "" {
		headers = []string{"DPoP", f.proof}
	}
	return postForm(p.t, p.s.VouchURL+path, values, headers...)
}

// request returns the party's authorization request.
func (p *party) request() url.Values {
	q := authorization()
	q.Set("client_id", p.id)
	return q
}

// push pushes a request and returns its URI.
func (p *party) push(q url.Values) string {
	p.t.Helper()
	r := p.post("/oauth/par", p.form("/oauth/par", q))
	if r.status != http.StatusCreated || r.header.Get("Cache-Control") != "no-store" {
		p.t.Fatalf("push: status %d, body %s", r.status, r.body)
	}
	answer := r.decode(p.t)
	if answer["expires_in"] != json.Number("60") {
		p.t.Errorf("pushed request: %s", r.body)
	}
	return answer["request_uri"].(string)
}

// visit sends the person to the authorization endpoint, and returns what came
// back.
func (p *party) visit(requestURI string) url.Values {
	p.t.Helper()
	return authorize(p.t, p.s, url.Values{"client_id": {p.id}, "request_uri": {requestURI}})
}

// code runs the flow up to the authorization code.
func (p *party) code() string {
	p.t.Helper()
	back := p.visit(p.push(p.request()))
	if back.Get("state") != "s&t=1" || back.Get("iss") != p.s.VouchURL || back.Get("code") == "" {
		p.t.Fatalf("answer %v", back)
	}
	return back.Get("code")
}

func (p *party) redemption(code string) url.Values {
	f := redemption(code)
	f.Set("client_id", p.id)
	return f
}

// signIn runs the whole flow and returns the token answer.
func (p *party) signIn() members {
	p.t.Helper()
	r := p.post("/oauth/token", p.form("/oauth/token", p.redemption(p.code())))
	if r.status != http.StatusOK {
		p.t.Fatalf("token: status %d, body %s", r.status, r.body)
	}
	return r.decode(p.t)
}

// token signs in and returns the access token.
func (p *party) token() string {
	p.t.Helper()
	return p.signIn()["access_token"].(string)
}

// signing is one signed request to the credential API, in the making.
type signing struct {
	method, path, body string
	scheme, token      string
	proof              []change
	noProof            bool

	key        *ecdsa.PrivateKey
	components []string
	label      string
	params     []string // in order, each "name=value"
	encode     func(r, s []byte) []byte
	// before and tamper change the request before and after it is signed.
	before, tamper func(*http.Request)
}

// set replaces a signature parameter, adds it, or removes it when value is "".
func (s *signing) set(name, value string) {
	s.params = slices.DeleteFunc(s.params, func(one string) bool { return strings.HasPrefix(one, name+"=") })
	if value != "" {
		s.params = append(s.params, name+"="+value)
	}
}

func (s *signing) drop(component string) {
	s.components = slices.DeleteFunc(s.components, func(one string) bool { return one == component })
}

// call makes a request that the credential API accepts, then lets change have
// its way with it, then signs and sends it.
func (p *party) call(method, path, body, token string, alter func(*signing)) reply {
	p.t.Helper()
	s := &signing{
		method: method, path: path, body: body, scheme: "DPoP", token: token, key: p.key, label: "sig1",
		components: []string{"@method", "@authority", "@path", "@query", "authorization", "dpop"},
		params:     []string{`alg="ecdsa-p256-sha256"`, fmt.Sprintf("created=%d", p.now().Unix()), `keyid="` + p.keyID + `"`},
		encode:     func(r, s []byte) []byte { return slices.Concat(r, s) },
	}
	if body != "" {
		s.components = append(s.components, "content-type", "content-digest")
	}
	if alter != nil {
		alter(s)
	}
	return send(p.t, p.finish(s))
}

func (p *party) finish(s *signing) *http.Request {
	p.t.Helper()
	r := request(p.t, s.method, p.s.VouchURL+s.path, s.body, "Authorization", s.scheme+" "+s.token)
	if s.noProof {
		s.drop("dpop")
	} else {
		r.Header.Set("DPoP", p.proof(s.method, s.path, s.token, s.proof...))
	}
	if s.body != "" {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Content-Digest", digestField(s.body))
	}
	if s.before != nil {
		s.before(r)
	}
	base, params := signatureBase(r, s)
	sum := sha256.Sum256([]byte(base))
	x, y, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		p.t.Fatal(err)
	}
	value := s.encode(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32)))
	r.Header.Set("Signature-Input", s.label+"="+params)
	r.Header.Set("Signature", s.label+"=:"+base64.StdEncoding.EncodeToString(value)+":")
	if s.tamper != nil {
		s.tamper(r)
	}
	return r
}

func digestField(body string) string {
	sum := sha256.Sum256([]byte(body))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// signatureBase is RFC 9421 section 2.5 as a client writes it.
func signatureBase(r *http.Request, s *signing) (base, params string) {
	derived := map[string]string{
		"@method": r.Method, "@authority": r.URL.Host, "@path": r.URL.EscapedPath(), "@query": "?" + r.URL.RawQuery,
		"@scheme": "http", "@target-uri": r.URL.String(), "@request-target": r.URL.RequestURI(),
	}
	var quoted []string
	for _, name := range s.components {
		value, ok := derived[name]
		if !ok {
			value = strings.Join(r.Header.Values(name), ", ")
		}
		base += `"` + name + `": ` + value + "\n"
		quoted = append(quoted, `"`+name+`"`)
	}
	params = "(" + strings.Join(quoted, " ") + ")"
	for _, one := range s.params {
		params += ";" + one
	}
	return base + `"@signature-params": ` + params, params
}

// aws asks for an AWS token, as the shortest of the three calls.
func (p *party) aws(token string, alter func(*signing)) reply {
	p.t.Helper()
	return p.call("GET", awsPath+"?role_arn="+url.QueryEscape(roleARN), "", token, alter)
}
