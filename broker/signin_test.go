package broker_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
)

// A signInBench is a broker in sign-in mode, whose keys can be changed, with a
// Vouch of today behind it.
type signInBench struct {
	*vouchtest.Stack
	url  string
	keys [2]string // private JWKs, both registered at Vouch
	now  atomic.Pointer[broker.Broker]

	ahead atomic.Int64      // of both clocks, a time.Duration
	vars  map[string]string // beside those of use
	lines atomic.Pointer[[]string]
}

func (b *signInBench) clock() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }

const ownClientID = "own-client"

func newSignInBench(t *testing.T) *signInBench {
	t.Helper()
	b := &signInBench{}
	vouch, err := vouchtest.Start(vouchtest.Options{Version: vouchtest.Latest, Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vouch.Close() })
	b.Stack = vouch
	b.lines.Store(new([]string))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.now.Load().ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	b.url = server.URL
	var published []p256.JWK
	for i := range b.keys {
		b.keys[i] = p256test.Text()
		key, err := p256.Parse(secret.New(b.keys[i]))
		if err != nil {
			t.Fatal(err)
		}
		published = append(published, key.PublishedJWK())
	}
	jwks, err := json.Marshal(map[string]any{"keys": published})
	if err != nil {
		t.Fatal(err)
	}
	err = vouch.Vouch.AddClient(vouchtest.Client{ID: ownClientID, JWKS: jwks, RedirectURIs: []string{b.url + "/oauth/callback"}})
	if err != nil {
		t.Fatal(err)
	}
	b.use(t, b.keys[0], "")
	return b
}

// use gives the broker these keys, as a deployment would.
func (b *signInBench) use(t *testing.T, key, previous string) {
	t.Helper()
	vars := map[string]string{
		"VOUCH_ISSUER": b.VouchURL, "AWS_ENDPOINT_URL_STS": b.STSURL, "BROKER_MODE": "sign-in",
		"VOUCH_CLIENT_ID": ownClientID, "BROKER_KEY": key, "BROKER_KEY_PREVIOUS": previous, "VOUCH_AUDIENCE": b.url + "/mcp",
	}
	maps.Copy(vars, b.vars)
	handler, err := broker.New(broker.Environment{
		Getenv: func(name string) string { return vars[name] }, Fetcher: upstream.NetHTTP{}, Now: b.clock, Log: b.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.now.Store(handler)
}

// log keeps the lines. Sign-ins of a test come one after the other.
func (b *signInBench) log(line string) {
	lines := append(*b.lines.Load(), line)
	b.lines.Store(&lines)
}

func (b *signInBench) signIn(t *testing.T) string {
	t.Helper()
	token, err := mcptest.SignIn(t.Context(), b.url+"/mcp")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// call asks for a GitHub token and returns status, challenge and body.
func (b *signInBench) call(t *testing.T, token string) (int, string, string) {
	t.Helper()
	return b.send(t, token, "tools/call", `{"name":"get-github-token","arguments":{"owner":"acme"}}`)
}

// send sends one JSON-RPC call and returns status, challenge and body.
func (b *signInBench) send(t *testing.T, token, method, params string) (int, string, string) {
	t.Helper()
	resp, text := post(t, b.url, token, `{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`)
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate"), text
}

func (b *signInBench) works(t *testing.T, token string) bool {
	t.Helper()
	status, _, text := b.call(t, token)
	return status == http.StatusOK && strings.Contains(text, `"structuredContent"`)
}

// TestKeyRotation: what the old key sealed goes on working as long as that key is
// there, what is sealed from now on needs the new one alone.
func TestKeyRotation(t *testing.T) {
	b := newSignInBench(t)
	before := b.signIn(t)
	b.use(t, b.keys[1], b.keys[0])
	if !b.works(t, before) {
		t.Error("a token from before the rotation is refused while the old key is there")
	}
	after := b.signIn(t)
	b.use(t, b.keys[1], "")
	if !b.works(t, after) {
		t.Error("a token from after the rotation needs the old key")
	}
	if status, challenge, _ := b.call(t, before); status != http.StatusUnauthorized || !strings.Contains(challenge, "invalid_token") {
		t.Errorf("a token of a key that is gone: %d %s", status, challenge)
	}
}

// TestSignInEnded: when Vouch has ended the sign-in, the client is told to sign in
// again; when Vouch merely refuses the broker's signature, it is not.
func TestSignInEnded(t *testing.T) {
	b := newSignInBench(t)
	token := b.signIn(t)
	if !b.works(t, token) {
		t.Fatal("the token does not work")
	}
	b.Vouch.SkewClock(10 * time.Minute)
	status, _, text := b.call(t, token)
	if status != http.StatusOK || !strings.Contains(text, "isError") || !strings.Contains(text, "configuration and clock") {
		t.Errorf("a clock that is off: %d %s", status, text)
	}
	b.Vouch.SkewClock(0)
	requests := b.Vouch.Requests("/v1/credentials/github/token")
	_, vouchToken, _ := strings.Cut(requests[len(requests)-1].Header.Get("Authorization"), " ")
	b.Vouch.Revoke(vouchToken)
	status, challenge, _ := b.call(t, token)
	if status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) || !strings.Contains(challenge, `scope="aws aws:write github ssh"`) {
		t.Errorf("a sign-in that has ended: %d %s", status, challenge)
	}
}

// TestOtherTokensAreRefused: only our own tokens open anything in sign-in mode.
func TestOtherTokensAreRefused(t *testing.T) {
	b := newSignInBench(t)
	token := b.signIn(t)
	b.works(t, token)
	requests := b.Vouch.Requests("/v1/credentials/github/token")
	_, vouchToken, _ := strings.Cut(requests[len(requests)-1].Header.Get("Authorization"), " ")
	for name, other := range map[string]string{
		"Vouch's own token":      vouchToken,
		"a relay client's token": b.Vouch.MintAccessToken(vouchtest.TokenOptions{Audience: b.url + "/mcp"}),
		"altered":                token[:40] + "A" + token[41:] + "A",
	} {
		if status, challenge, _ := b.call(t, other); status != http.StatusUnauthorized || !strings.Contains(challenge, "invalid_token") {
			t.Errorf("%s: %d %s", name, status, challenge)
		}
	}
}
