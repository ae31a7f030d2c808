package authserver_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"mcp-credential-broker/broker/authserver"
)

// phisher is a client that anybody can make, offline: its metadata is its id.
func (f *fixture) phisher() app {
	f.t.Helper()
	hosts := f.Config.AllowedRedirectHosts
	f.allowHosts("*")
	defer func() { f.Config.AllowedRedirectHosts = hosts }()
	return f.register("Claude", "https://claude-login.evil.example/cb")
}

// TestRedirectHosts: access goes nowhere but where the operator lets it.
func TestRedirectHosts(t *testing.T) {
	f := newFixture(t)
	const sentence = "does not let access go to claude-login.evil.example; if it should, its operator adds that host to ALLOWED_REDIRECT_HOSTS"
	r := f.postJSON(`{"client_name":"Claude","redirect_uris":["https://claude-login.evil.example/cb"]}`)
	f.wantError(r, 400, "invalid_redirect_uri")
	if !strings.Contains(r.body, sentence) {
		t.Errorf("the sentence: %s", r.body)
	}
	a, b := f.phisher(), f.newBrowser()
	f.wantPage(b.get(f.url+authserver.AuthorizePath+"?"+f.query(a).Encode()), 400, sentence)
	if e := f.lastEvent(); e.RedirectHost != "claude-login.evil.example" || e.ClientID == "" || e.ClientName != "Claude" {
		t.Errorf("logged %+v", e)
	}
	f.documents.publish(documentID, document(map[string]any{"redirect_uris": []string{a.redirectURI}}))
	d := f.documentApp()
	d.redirectURI = a.redirectURI
	f.wantPage(b.get(f.url+authserver.AuthorizePath+"?"+f.query(d).Encode()), 400, sentence)

	f.allowHosts("*.evil.example")
	_, page := b.open(f.query(a))
	if !strings.Contains(page.body, "<h1>Access goes to claude-login.evil.example</h1>") {
		t.Errorf("the page: %s", page.body)
	}
}

// TestPartialRegistration: an app that names addresses for many places gets those
// that are allowed here, and hears which.
func TestPartialRegistration(t *testing.T) {
	f := newFixture(t)
	r := f.postJSON(`{"redirect_uris":["vscode://x/cb","https://app.example/cb","https://other.example/cb","http://localhost/","` + cursorURI + `"]}`)
	var got []string
	uris, _ := r.json(t)["redirect_uris"].([]any)
	for _, uri := range uris {
		got = append(got, uri.(string))
	}
	if want := []string{"https://app.example/cb", "http://localhost/", cursorURI}; r.status != 201 || !slices.Equal(got, want) {
		t.Errorf("registered %q, want %q", got, want)
	}
	for body, says := range map[string]string{
		`{"redirect_uris":["vscode://x/cb"]}`:                                      "ALLOWED_REDIRECT_URIS",
		`{"redirect_uris":["https://localhost:8443/cb"]}`:                          "public host name",
		`{"redirect_uris":["https://app.example/cb","javascript:alert(1)"]}`:       "never taken",
		`{"redirect_uris":["https://app.example/cb","http://app.example/cb"]}`:     "must be https",
		`{"redirect_uris":["https://app.example/cb","https://app.example/cb#x"]}`:  "fragment",
		`{"redirect_uris":["https://other.example/cb","https://other2.example/"]}`: "other.example; ",
	} {
		r := f.postJSON(body)
		f.wantError(r, 400, "invalid_redirect_uri")
		if !strings.Contains(r.body, says) {
			t.Errorf("%s: %s, want %q", body, r.body, says)
		}
	}
}

// TestOpenRedirector: a link to us, with any fault in it, leads nowhere by itself
// but to this machine and to hosts that the operator named.
func TestOpenRedirector(t *testing.T) {
	faults := map[string]func(url.Values){
		"no response type": func(q url.Values) { q.Del("response_type") },
		"no PKCE":          func(q url.Values) { q.Del("code_challenge"); q.Del("code_challenge_method") },
		"other resource":   func(q url.Values) { q.Set("resource", "https://other.example/") },
		"long state":       func(q url.Values) { q.Set("state", strings.Repeat("x", 1025)) },
	}
	tests := []struct {
		uri, hosts string
		told       bool
	}{
		{"https://evil.example/cb", "*", false},
		{"https://evil.example/cb", "**", false},
		{"https://app.example/cb", "app.example", true},
		{"https://app.example/cb", "*.example", true},
		{"http://127.0.0.1:7/cb", "app.example", true},
		{"http://localhost/cb", "*", true},
		{cursorURI, "app.example", true},
	}
	for _, tt := range tests {
		f := newFixture(t)
		f.allowHosts(tt.hosts)
		a := f.register("Claude", tt.uri)
		for name, spoil := range faults {
			q := f.query(a)
			spoil(q)
			r := f.newBrowser().get(f.url + authserver.AuthorizePath + "?" + q.Encode())
			if told := r.header.Get("Location") != ""; told != tt.told || !told && r.status != 400 {
				t.Errorf("%s (%s), %s: status %d, goes to %q", tt.uri, tt.hosts, name, r.status, r.header.Get("Location"))
			}
		}
		b := f.newBrowser()
		sealed, _ := b.open(f.query(a))
		r := b.press("deny", sealed)
		if tt.told {
			f.wantBack(r, a, "access_denied")
			if r.header.Get("Referrer-Policy") != "no-referrer" {
				t.Errorf("%s: the page's address goes along", tt.uri)
			}
		} else {
			f.wantPage(r, 400, "The person refused")
		}
		// Who agreed is asked for the way back.
		f.vouch.answer = url.Values{"error": {"access_denied"}, "iss": {f.vouch.url}}
		f.wantBack(b.get(b.begin(a)), a, "access_denied")
	}
}

// TestConsentStaysGood: a page that was shown works for its ten minutes, whatever
// the browser loads meanwhile and in whatever order it keeps and sends cookies.
func TestConsentStaysGood(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	address := f.url + authserver.AuthorizePath + "?" + f.query(a).Encode()
	// Three pages at once: each was asked for before any cookie was there.
	var sealed, cookies []string
	for range 3 {
		b := f.newBrowser()
		hidden, page := b.open(f.query(a))
		cookie, _, _ := strings.Cut(page.header.Get("Set-Cookie"), ";")
		sealed, cookies = append(sealed, hidden), append(cookies, cookie)
	}
	names := map[string]bool{}
	for _, cookie := range cookies {
		name, _, _ := strings.Cut(cookie, "=")
		names[name] = true
	}
	if len(names) != 3 {
		t.Fatalf("one page's cookie takes the place of another's: %q", cookies)
	}
	send := func(list []string, hidden string) reply {
		h := formHeader(f.url)
		h.Set("Cookie", "other=1; "+strings.Join(list, "; "))
		return f.newBrowser().do("POST", f.url+authserver.AuthorizePath, h, url.Values{"request": {hidden}, "decision": {"allow"}, "scope": {"aws"}}.Encode())
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		list := []string{cookies[order[0]], cookies[order[1]], cookies[order[2]]}
		for i, hidden := range sealed {
			if r := send(list, hidden); r.status != http.StatusSeeOther {
				t.Errorf("page %d, cookies in the order %v: status %d", i, order, r.status)
			}
		}
		// A reload or a prefetch sets nothing anew.
		if r := f.newBrowser().do("GET", address, http.Header{"Cookie": {strings.Join(list, "; ")}}, ""); r.header.Get("Set-Cookie") != "" {
			t.Errorf("a reload sets %s", r.header.Get("Set-Cookie"))
		}
	}
	f.wantPage(send(cookies[1:], sealed[0]), 403, "not opened in this browser")
	f.wait(10*time.Minute - time.Second)
	if r := send(cookies, sealed[0]); r.status != http.StatusSeeOther {
		t.Errorf("after almost ten minutes: status %d", r.status)
	}
}

// TestTransactionsInAnyOrder: the sign-ins that are given up are the oldest, in
// whatever order the browser sends its cookies.
func TestTransactionsInAnyOrder(t *testing.T) {
	f := newFixture(t)
	a, b := f.newApp(), f.newBrowser()
	var transactions []string
	sealed, _ := b.open(f.query(a))
	browser := b.cookies(f.url, "__Host-broker-browser-")
	for range 4 {
		set := b.press("allow", sealed, "aws").header.Get("Set-Cookie")
		pair, _, _ := strings.Cut(set, ";")
		transactions = append(transactions, pair)
		f.wait(time.Millisecond)
	}
	slices.Reverse(transactions)
	h := formHeader(f.url)
	h.Set("Cookie", strings.Join(append(transactions, browser), "; "))
	r := f.newBrowser().do("POST", f.url+authserver.AuthorizePath, h, url.Values{"request": {sealed}, "decision": {"allow"}, "scope": {"aws"}}.Encode())
	name, _, _ := strings.Cut(transactions[3], "=")
	if set := r.header.Values("Set-Cookie"); len(set) != 2 || !strings.HasPrefix(set[0], name+"=;") {
		t.Errorf("sets %q, want to clear %s", set, name)
	}
}

// TestTrailingSlash: with and without it, a path is one place.
func TestTrailingSlash(t *testing.T) {
	f := newFixture(t)
	a, b := f.newApp(), f.newBrowser()
	if r := b.get(f.url + authserver.AuthorizePath + "/?" + f.query(a).Encode()); r.status != 200 || !strings.Contains(r.body, "Access goes to") {
		t.Errorf("authorize: status %d", r.status)
	}
	if r := b.do("HEAD", f.url+authserver.AuthorizePath+"?"+f.query(a).Encode(), nil, ""); r.status != 200 || r.body != "" {
		t.Errorf("HEAD: status %d", r.status)
	}
	code := b.signIn(a)
	if r := f.post(authserver.TokenPath+"/", tokenForm(a, code)); r.status != 200 {
		t.Errorf("token: %s", r.body)
	}
	if e := f.lastEvent(); e.Route != "token" {
		t.Errorf("logged %+v", e)
	}
	for _, path := range []string{authserver.MetadataPath, authserver.RegisterPath, authserver.RevokePath, authserver.CallbackPath} {
		if r := b.get(f.url + path + "/"); r.status == 404 {
			t.Errorf("%s/ is not there", path)
		}
	}
}

// TestLogLines: a stranger's request, whatever is in it, makes a short line of
// printable text.
func TestLogLines(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("é\n", 3000)
	b := f.newBrowser()
	requests := []func(){
		func() { b.get(f.url + "/oauth/" + strings.Repeat("x", 6000)) },
		func() { b.get(f.url + authserver.AuthorizePath + "?" + url.Values{"client_id": {long}}.Encode()) },
		func() {
			b.get(f.url + authserver.AuthorizePath + "?client_id=https://" + strings.Repeat("x.", 700) + "example/c")
		},
		func() { b.get(f.url + authserver.CallbackPath + "?" + url.Values{"state": {long[:5000]}}.Encode()) },
		func() { f.post(authserver.TokenPath, url.Values{"grant_type": {long[:9000]}}) },
		func() { f.post(authserver.RevokePath, url.Values{"token": {long[:9000]}, "client_secret": {"x"}}) },
		func() { f.postJSON(`{"client_name":"` + strings.Repeat("é", 6000) + `","redirect_uris":["x"]}`) },
		func() {
			f.postJSON(`{"redirect_uris":["https://` + strings.Repeat("x.", 100) + `example/` + strings.Repeat("x", 250) + `"]}`)
		},
	}
	sealed, _ := b.open(f.query(f.newApp()))
	requests = append(requests, func() {
		f.vouch.fail = errors.New(strings.Repeat("é", 800)) // a host may say much about what failed
		b.press("allow", sealed, "aws")
	})
	for i, request := range requests {
		f.events = nil
		request()
		e := f.lastEvent()
		size := len(e.Route) + len(e.Error) + len(e.Reason) + len(e.ClientName) + len(e.ClientHost) + len(e.ClientID) + len(e.RedirectHost)
		if size > 1000 || strings.ContainsAny(e.Reason+e.Route+e.ClientName, "\n\r") || !utf8.ValidString(e.Reason) {
			t.Errorf("%d: %d bytes: %+v", i, size, e)
		}
	}
}

// TestRequestID: a fault's page names the request that the log line has, and a way
// on.
func TestRequestID(t *testing.T) {
	f := newFixture(t)
	f.RequestID = "8f3a-FRA"
	r := f.newBrowser().get(f.url + authserver.CallbackPath)
	if !strings.Contains(r.body, "<code>8f3a-FRA</code>") || !strings.Contains(r.body, `<a href="/">`) {
		t.Errorf("the page: %s", r.body)
	}
	if e := f.lastEvent(); e.RequestID != "8f3a-FRA" {
		t.Errorf("logged %+v", e)
	}
}
