package authserver_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/secret"
)

// TestSignIn goes from registration to the token, on https and on http loopback.
func TestSignIn(t *testing.T) {
	for name, listen := range map[string]func(http.Handler) *httptest.Server{"https": httptest.NewTLSServer, "http on loopback": httptest.NewServer} {
		t.Run(name, func(t *testing.T) {
			f := newFixtureOn(t, listen)
			a := f.register("Test App", "https://app.example/cb?tenant=7")
			b := f.newBrowser()
			q := f.query(a)
			q.Set("scope", "openid ssh aws")
			sealed, page := b.open(q)
			if !strings.Contains(page.body, `value="aws" checked`) || !strings.Contains(page.body, `value="ssh" checked`) || strings.Contains(page.body, `value="github"`) {
				t.Errorf("boxes: %s", page.body)
			}
			vouch := b.press("allow", sealed, "aws").location(t)
			callback := b.get(vouch.String()).location(t)
			back := b.get(callback.String())
			where := back.location(t)
			code := where.Query().Get("code")
			want := url.Values{"tenant": {"7"}, "code": {code}, "state": {a.state}, "iss": {f.url}}
			if !strings.HasPrefix(where.String(), a.redirectURI+"&") || where.Query().Encode() != want.Encode() || code == "" {
				t.Fatalf("the app gets %s", where)
			}
			if len(code) > 3<<10 {
				t.Errorf("the code has %d bytes", len(code))
			}

			r := f.post(authserver.TokenPath, tokenForm(a, code))
			answer := r.json(t)
			token, _ := answer["access_token"].(string)
			delete(answer, "access_token")
			if r.status != 200 {
				t.Errorf("status %d, want 200", r.status)
			}
			if want := (map[string]any{"token_type": "Bearer", "expires_in": 28800.0, "scope": "aws"}); !maps.Equal(answer, want) {
				t.Errorf("token answer, without the token: got %v, want %v", answer, want)
			}
			if r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("headers: %v", r.header)
			}
			got, err := authserver.OpenAccessToken(f.Sealer, secret.New(token), f.clock())
			if err != nil {
				t.Fatal(err)
			}
			holds := got
			holds.Subject, holds.Email, holds.ClientName = "7c0ffee7", "ada@example.com", "Test App"
			holds.Asked, holds.Granted = authserver.ScopeAWS|authserver.ScopeSSH, authserver.ScopeAWS
			if !reflect.DeepEqual(got, holds) {
				t.Errorf("token holds %+v\nwant %+v", got, holds)
			}
			if expires := f.clock().Add(8 * time.Hour); !got.Expires.Equal(expires) {
				t.Errorf("token expires %v, want %v", got.Expires, expires)
			}
			e := f.lastEvent()
			logged := e
			logged.Route, logged.Status, logged.Subject, logged.ClientName, logged.Granted = "token", 200, "7c0ffee7", "Test App", authserver.ScopeAWS
			logged.RedirectHost, logged.ClientID = "app.example", fmt.Sprintf("sha256:%x", got.ClientIDHash[:8])
			if e != logged {
				t.Errorf("logged %+v\nwant %+v", e, logged)
			}
			f.noSecrets(code, token, got.VouchToken.Reveal(), callback.Query().Get("code"), a.verifier)
		})
	}
}

func TestCookies(t *testing.T) {
	f := newFixture(t)
	a, b := f.newApp(), f.newBrowser()
	sealed, page := b.open(f.query(a))
	first := page.header.Values("Set-Cookie")
	if len(first) != 1 || !strings.HasPrefix(first[0], "__Host-broker-browser-") || !strings.HasSuffix(first[0], "; Path=/; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("browser cookie: %q", first)
	}
	pressed := b.press("allow", sealed, "aws")
	second := pressed.header.Values("Set-Cookie")
	if len(second) != 1 || !strings.HasPrefix(second[0], "__Host-broker-signin-") || !strings.HasSuffix(second[0], "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax") {
		t.Errorf("transaction cookie: %q", second)
	}
	if strings.Contains(second[0], a.state) {
		t.Error("the transaction cookie can be read")
	}
	callback := b.get(pressed.location(t).String()).location(t).String()
	third := b.get(callback).header.Values("Set-Cookie")
	name, _, _ := strings.Cut(second[0], "=")
	if len(third) != 1 || !strings.HasPrefix(third[0], name+"=; ") || !strings.Contains(third[0], "Max-Age=0") {
		t.Errorf("the transaction is not cleared: %q", third)
	}
	f.wantPage(b.get(callback), 400, "over already")

	// A value that is not one of ours could be known to somebody else.
	for _, value := range []string{"", "AAAA", strings.Repeat("!", 43), strings.Repeat("A", 44), strings.Repeat("A", 42) + "B", strings.Repeat("A", 43) + "!"} {
		r := f.newBrowser().do("GET", f.url+authserver.AuthorizePath+"?"+f.query(a).Encode(), http.Header{"Cookie": {"__Host-broker-browser-A=" + value}}, "")
		if r.status != 200 || !strings.HasPrefix(r.header.Get("Set-Cookie"), "__Host-broker-browser-") {
			t.Errorf("the cookie %q is kept", value)
		}
	}

	plain := newFixtureOn(t, httptest.NewServer)
	_, page = plain.newBrowser().open(plain.query(plain.newApp()))
	if got := page.header.Get("Set-Cookie"); !strings.HasPrefix(got, "broker-browser-") || strings.Contains(got, "Secure") {
		t.Errorf("cookie on http: %q", got)
	}
}

func TestConsentPage(t *testing.T) {
	f := newFixture(t)
	_, page := f.newBrowser().open(f.query(f.newApp()))
	h := page.header
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Type": "text/html; charset=utf-8",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	policy := h.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "style-src 'sha256-", "base-uri 'none'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if strings.Contains(policy, "form-action") || strings.Contains(policy, "unsafe") {
		t.Errorf("headers: %v", h)
	}
	for _, never := range []string{"<script", "<a ", "<img", "<link", " style=", " onclick", "href=", "src=", "http://", "https://"} {
		if strings.Contains(page.body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	for _, want := range []string{`<html lang="en">`, `name="viewport"`, "<legend>", "prefers-color-scheme:dark", "app.example", "Test App", "not verified", "Refuse", `value="aws:write"><span>`} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page.body, `value="aws:write" checked`) || !strings.Contains(page.body, `value="aws:write"`) || !strings.Contains(page.body, `value="ssh" checked`) {
		t.Error("the right to change things is not a box that the person has to tick")
	}
	for name, want := range map[string][]string{
		"https://app.example/cb": {"<h1>Access goes to app.example</h1>", "started this yourself, at app.example", "“<bdi>Claude</bdi>”"},
		"http://127.0.0.1/cb":    {"<h1>Access goes to 127.0.0.1 (a program on this computer)</h1>", "started this yourself."},
		cursorURI:                {"<h1>Access goes to the program on this computer that opens cursor: links</h1>", "started this yourself."},
	} {
		_, page = f.newBrowser().open(f.query(f.register("Claude", name)))
		for _, want := range append(want, "not verified", `class="warn"`, "read and write the contents", "Until your sign-in at Vouch ends", "Sign out at "+strings.TrimPrefix(f.Config.VouchIssuer, "http://"), ">Allow and sign in</button>") {
			if !strings.Contains(page.body, want) {
				t.Errorf("%s: the page lacks %q: %s", name, want, page.body)
			}
		}
		heading, rest, _ := strings.Cut(page.body, "</h1>")
		if strings.Contains(heading, "Claude") || !strings.HasPrefix(rest, "\n<p class=\"small\">") {
			t.Errorf("%s: the name is not small and second: %s", name, page.body)
		}
		deny, allow := strings.Index(page.body, `value="deny"`), strings.Index(page.body, `value="allow"`)
		if n := strings.Count(page.body, "<button"); n != 3 || deny < 0 || allow < 0 {
			t.Errorf("%s: %d buttons, want one for Enter, one to deny and one to allow: %s", name, n, page.body)
		}
		if first := strings.Index(page.body, "<button hidden formmethod=\"dialog\">"); first > deny || deny > allow {
			t.Errorf("%s: Enter on a box would agree: %s", name, page.body)
		}
	}
	// What a document says comes from its host, which can be trusted as far as that
	// is: the whole of its URL is there, and no warning when access stays on the web.
	f.documents.publish(documentID+"?a=1&b='2'", document(map[string]any{"client_id": documentID + "?a=1&b='2'"}))
	a := f.documentApp()
	a.id += "?a=1&b='2'"
	_, page = f.newBrowser().open(f.query(a))
	if !strings.Contains(page.body, "published at <strong>"+documentID+"?a=1&amp;b=&#39;2&#39;</strong>") || strings.Contains(page.body, `class="warn"`) {
		t.Errorf("a document's client: %s", page.body)
	}
}

// TestParallelTabs finishes sign-ins of one browser out of order, and drops the
// oldest when there are too many.
func TestParallelTabs(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser()
	var apps []app
	var callbacks []string
	for range 5 {
		a := f.newApp()
		apps, callbacks = append(apps, a), append(callbacks, b.begin(a))
		f.wait(time.Millisecond)
	}
	f.wantPage(b.get(callbacks[0]), 400, "Start again")
	for _, i := range []int{4, 2, 3, 1} {
		back := b.get(callbacks[i]).location(t)
		if back.Query().Get("state") != apps[i].state {
			t.Errorf("tab %d got %s", i, back)
		}
		if r := f.post(authserver.TokenPath, tokenForm(apps[i], back.Query().Get("code"))); r.status != 200 {
			t.Errorf("tab %d: %s", i, r.body)
		}
	}
}

// TestRealClients: the documents and registrations of known clients pass, with
// the redirect URIs that they really ask for.
func TestRealClients(t *testing.T) {
	files, err := filepath.Glob("testdata/clients/*.json")
	if err != nil || len(files) < 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var known struct {
				ClientID     string   `json:"client_id"`
				Name         string   `json:"name"`
				RedirectURIs []string `json:"redirect_uris"`
				Metadata     json.RawMessage
			}
			if err := json.Unmarshal(data, &known); err != nil {
				t.Fatal(err)
			}
			f := newFixture(t)
			identity := "not verified"
			if known.ClientID == "" {
				r := f.newBrowser().do("POST", f.url+authserver.RegisterPath, http.Header{"Content-Type": {"application/json"}}, string(known.Metadata))
				known.ClientID, _ = r.json(t)["client_id"].(string)
				if r.status != http.StatusCreated || len(known.ClientID) > 1536 {
					t.Fatalf("not registered: %s", r.body)
				}
			} else {
				f.documents.publish(known.ClientID, string(known.Metadata))
				u, _ := url.Parse(known.ClientID)
				identity = u.Host
			}
			for _, uri := range known.RedirectURIs {
				a := app{id: known.ClientID, redirectURI: uri, verifier: strings.Repeat("v", 43), state: "s"}
				b := f.newBrowser()
				_, page := b.open(f.query(a))
				if !strings.Contains(page.body, known.Name) || !strings.Contains(page.body, identity) {
					t.Errorf("the page names neither app nor host: %s", page.body)
				}
				if r := f.post(authserver.TokenPath, tokenForm(a, b.signIn(a))); r.status != 200 {
					t.Errorf("%s: %s", uri, r.body)
				}
			}
		})
	}
}

func TestMetadata(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser()
	r := b.get(f.url + authserver.MetadataPath)
	golden, err := os.ReadFile("testdata/metadata.json")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.ReplaceAll(string(golden), "ISSUER", f.url); r.status != 200 || !sameJSON(t, r.body, want) {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if strings.Contains(r.body, "null") || r.header.Get("Cache-Control") != "public, max-age=3600" || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", r.header)
	}
	// Its issuer would not be the one that the path was built from.
	f.wantError(b.get(f.url+authserver.MetadataPath+"/mcp"), 404, "not_found")
	f.wantError(b.get(f.url+"/.well-known/openid-configuration"), 404, "not_found")
	if r := b.do("HEAD", f.url+authserver.MetadataPath, nil, ""); r.status != 200 {
		t.Errorf("HEAD: %d", r.status)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var left, right any
	if err := json.Unmarshal([]byte(a), &left); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(b), &right); err != nil {
		t.Fatal(err)
	}
	x, _ := json.Marshal(left)
	y, _ := json.Marshal(right)
	return slices.Equal(x, y)
}

func TestMethods(t *testing.T) {
	f := newFixture(t)
	b := f.newBrowser()
	tests := []struct{ method, path, allow string }{
		{"POST", authserver.MetadataPath, "GET, HEAD"},
		{"PUT", authserver.AuthorizePath, "GET, HEAD, POST"},
		{"POST", authserver.CallbackPath, "GET, HEAD"},
		{"GET", authserver.TokenPath, "POST"},
		{"GET", authserver.RevokePath, "POST"},
		{"PUT", authserver.RegisterPath, "POST"},
	}
	for _, tt := range tests {
		r := b.do(tt.method, f.url+tt.path, nil, "")
		if r.status != 405 || r.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: status %d, Allow %q", tt.method, tt.path, r.status, r.header.Get("Allow"))
		}
	}
}

// TestOtherHost: under another name the pages are not served, as after DNS rebinding.
func TestOtherHost(t *testing.T) {
	f := newFixture(t)
	for _, path := range []string{authserver.MetadataPath, authserver.AuthorizePath, authserver.CallbackPath} {
		r := httptest.NewRequest("GET", f.url+path, nil)
		r.Host = "rebound.example"
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}
