package authserver_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/upstream"
)

// sealer is a Sealer with a random key.
type sealer struct {
	key [chacha20poly1305.KeySize]byte
}

func newSealer() *sealer {
	s := &sealer{}
	_, _ = rand.Read(s.key[:])
	return s
}

func (s *sealer) Seal(purpose string, expires time.Time, payload []byte) (string, error) {
	aead, err := chacha20poly1305.NewX(s.key[:])
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	plain := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, append(plain, payload...), []byte(purpose))), nil
}

var errSealed = errors.New("sealed value does not open")

func (s *sealer) Open(purpose, text string, now time.Time) ([]byte, error) {
	aead, err := chacha20poly1305.NewX(s.key[:])
	if err != nil {
		return nil, err
	}
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(data) < aead.NonceSize() {
		return nil, errSealed
	}
	plain, err := aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], []byte(purpose))
	if err != nil || now.Unix() >= int64(binary.BigEndian.Uint64(plain)) {
		return nil, errSealed
	}
	return plain[8:], nil
}

// documents is a Fetcher that knows some URLs.
type documents struct {
	mu      sync.Mutex
	known   map[string]upstream.Response
	fail    error
	fetched []upstream.Request
}

func (d *documents) Fetch(_ context.Context, r upstream.Request) (*upstream.Response, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fetched = append(d.fetched, r)
	if d.fail != nil {
		return nil, d.fail
	}
	resp, ok := d.known[r.URL]
	if !ok {
		return nil, upstream.ErrUnreachable
	}
	return &resp, nil
}

func (d *documents) publish(url, body string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[url] = upstream.Response{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)}
}

// fixture is a Server on httptest with a Vouch and a world of documents.
type fixture struct {
	*authserver.Server
	t         *testing.T
	url       string
	tls       *http.Client
	vouch     *fakeVouch
	documents *documents

	mu     sync.Mutex
	now    time.Time
	events []authserver.Event
}

const cursorURI = "cursor://anysphere.cursor-mcp/oauth/callback"

func newFixture(t *testing.T) *fixture { return newFixtureOn(t, httptest.NewTLSServer) }

func newFixtureOn(t *testing.T, listen func(http.Handler) *httptest.Server) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), documents: &documents{known: map[string]upstream.Response{}}}
	f.vouch = &fakeVouch{t: t, now: f.clock, pushed: map[string]authserver.PushRequest{}, codes: map[string]authserver.PushRequest{}, used: map[string]bool{}, seen: map[string]bool{}}
	vouch := httptest.NewServer(f.vouch)
	t.Cleanup(vouch.Close)
	f.vouch.url = vouch.URL

	f.Server = &authserver.Server{Sealer: newSealer(), Vouch: f.vouch, Upstream: upstream.Client{Fetcher: f.documents, Now: f.clock}, Log: f.log}
	server := listen(f.Server)
	t.Cleanup(server.Close)
	f.url, f.tls = server.URL, server.Client()
	f.vouch.callback = f.url + authserver.CallbackPath
	f.Config = authserver.Config{Issuer: f.url, Resource: f.url + "/mcp", VouchIssuer: vouch.URL, AllowedRedirectURIs: []string{cursorURI}, Now: f.clock}
	f.allowHosts("app.example", "claude.ai", "claude.com", "chatgpt.com", "vscode.dev", "insiders.vscode.dev", "www.cursor.com")
	return f
}

func (f *fixture) allowHosts(patterns ...string) {
	f.Config.AllowedRedirectHosts = nil
	for _, pattern := range patterns {
		f.Config.AllowedRedirectHosts = append(f.Config.AllowedRedirectHosts, glob.Fold(pattern))
	}
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) wait(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fixture) log(e authserver.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *fixture) lastEvent() authserver.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.events) == 0 {
		f.t.Fatal("nothing was logged")
	}
	return f.events[len(f.events)-1]
}

// reply is an HTTP answer that was read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) location(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(r.header.Get("Location"))
	if err != nil || r.status != http.StatusSeeOther && r.status != http.StatusFound || u.Scheme == "" {
		t.Fatalf("no redirect: status %d, %s", r.status, r.body)
	}
	return u
}

func (r reply) json(t *testing.T) (members map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.body), &members); err != nil || r.header.Get("Content-Type") != "application/json" {
		t.Fatalf("no JSON: status %d, %s", r.status, r.body)
	}
	return members
}

// browser is a person's browser: it keeps cookies and follows nothing by itself.
type browser struct {
	*fixture
	client *http.Client
}

func (f *fixture) newBrowser() *browser {
	jar, _ := cookiejar.New(nil)
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{f, &http.Client{Transport: f.tls.Transport, Jar: jar, CheckRedirect: stop}}
}

func (b *browser) do(method, target string, header http.Header, body string) reply {
	b.t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

func (b *browser) get(target string) reply { b.t.Helper(); return b.do("GET", target, nil, "") }

func formHeader(origin string) http.Header {
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if origin != "" {
		h.Set("Origin", origin)
	}
	return h
}

// app is an MCP client that is about to sign in.
type app struct {
	id, redirectURI, verifier, state string
}

func (f *fixture) register(name string, redirectURIs ...string) app {
	f.t.Helper()
	body, _ := json.Marshal(map[string]any{"client_name": name, "redirect_uris": redirectURIs})
	r := f.newBrowser().do("POST", f.url+authserver.RegisterPath, http.Header{"Content-Type": {"application/json"}}, string(body))
	id, _ := r.json(f.t)["client_id"].(string)
	if r.status != http.StatusCreated || id == "" {
		f.t.Fatalf("not registered: %s", r.body)
	}
	return app{id: id, redirectURI: redirectURIs[0], verifier: rand.Text() + rand.Text(), state: rand.Text()}
}

func (f *fixture) newApp() app { f.t.Helper(); return f.register("Test App", "https://app.example/cb") }

// query is the app's authorization request.
func (f *fixture) query(a app) url.Values {
	sum := sha256.Sum256([]byte(a.verifier))
	return url.Values{
		"response_type": {"code"}, "client_id": {a.id}, "redirect_uri": {a.redirectURI}, "state": {a.state},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}, "resource": {f.Config.Resource},
	}
}

// open opens the consent page and returns its hidden field.
func (b *browser) open(q url.Values) (sealed string, page reply) {
	b.t.Helper()
	page = b.get(b.url + authserver.AuthorizePath + "?" + q.Encode())
	_, after, ok := strings.Cut(page.body, `name="request" value="`)
	sealed, _, _ = strings.Cut(after, `"`)
	if page.status != http.StatusOK || !ok {
		b.t.Fatalf("no consent page: status %d, %s %s", page.status, page.header.Get("Location"), page.body)
	}
	return sealed, page
}

// press sends the consent form as the page would.
func (b *browser) press(decision, sealed string, scopes ...string) reply {
	b.t.Helper()
	form := url.Values{"request": {sealed}, "decision": {decision}, "scope": scopes}
	return b.do("POST", b.url+authserver.AuthorizePath, formHeader(b.url), form.Encode())
}

// begin goes as far as Vouch's answer and returns the callback's URL.
func (b *browser) begin(a app) string {
	b.t.Helper()
	sealed, _ := b.open(b.query(a))
	vouch := b.press("allow", sealed, "aws", "github", "ssh").location(b.t)
	return b.get(vouch.String()).location(b.t).String()
}

// signIn returns the code that the app gets.
func (b *browser) signIn(a app) string {
	b.t.Helper()
	back := b.get(b.begin(a)).location(b.t)
	code := back.Query().Get("code")
	if code == "" {
		b.t.Fatalf("no code: %s", back)
	}
	return code
}

func tokenForm(a app, code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "client_id": {a.id}, "code_verifier": {a.verifier}, "redirect_uri": {a.redirectURI}}
}

// post sends a form as an app does, from no browser.
func (f *fixture) post(path string, form url.Values) reply {
	f.t.Helper()
	return f.newBrowser().do("POST", f.url+path, formHeader(""), form.Encode())
}

// wantError checks an OAuth error in JSON.
func (f *fixture) wantError(r reply, status int, code string) {
	f.t.Helper()
	if r.status != status || r.json(f.t)["error"] != code {
		f.t.Errorf("status %d %s; want %d %s", r.status, r.body, status, code)
	}
}

// wantPage checks that a person is told, and nobody is redirected.
func (f *fixture) wantPage(r reply, status int, says string) {
	f.t.Helper()
	if r.status != status || r.header.Get("Location") != "" || !strings.HasPrefix(r.header.Get("Content-Type"), "text/html") || !strings.Contains(r.body, says) {
		f.t.Errorf("status %d, location %q, %s; want a page with status %d that says %q", r.status, r.header.Get("Location"), r.body, status, says)
	}
}

// wantBack checks an error that is told to the app.
func (f *fixture) wantBack(r reply, a app, code string) {
	f.t.Helper()
	back := r.location(f.t)
	q := back.Query()
	if !strings.HasPrefix(back.String(), a.redirectURI+"?") {
		f.t.Errorf("went to %s, want %s", back, a.redirectURI)
	}
	for name, want := range map[string]string{"error": code, "state": a.state, "iss": f.url, "code": ""} {
		if got := q.Get(name); got != want {
			f.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if d := q.Get("error_description"); d == "" || strings.Trim(d, " !#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~") != "" {
		f.t.Errorf("description %q", d) // RFC 6749 section 4.1.2.1
	}
}

// noSecrets checks that none of the secrets is in any line of the log.
func (f *fixture) noSecrets(secrets ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.events {
		for _, s := range secrets {
			if s != "" && strings.Contains(fmt.Sprintf("%+v", e), s) {
				f.t.Errorf("a secret is in the log: %+v", e)
			}
		}
	}
}
