package authserver_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
)

// TestAuthorizationRequests: before the redirect URI is proven a fault goes to
// a page, after that to the app.
func TestAuthorizationRequests(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	tests := []struct {
		name   string
		change func(q url.Values)
		code   string // told to the app; "": on a page
	}{
		{"no client", func(q url.Values) { q.Del("client_id") }, ""},
		{"two clients", func(q url.Values) { q.Add("client_id", a.id) }, ""},
		{"client that is no registration", func(q url.Values) { q.Set("client_id", "7") }, ""},
		{"client that is an http URL", func(q url.Values) { q.Set("client_id", "http://app.example/client.json") }, ""},
		{"client that cannot be fetched", func(q url.Values) { q.Set("client_id", "https://app.example/client.json") }, ""},
		{"no redirect URI", func(q url.Values) { q.Del("redirect_uri") }, ""},
		{"two redirect URIs", func(q url.Values) { q.Add("redirect_uri", a.redirectURI) }, ""},
		{"other redirect URI", func(q url.Values) { q.Set("redirect_uri", "https://evil.example/cb") }, ""},
		{"redirect URI with a path behind", func(q url.Values) { q.Set("redirect_uri", a.redirectURI+"/x") }, ""},
		{"redirect URI with a query behind", func(q url.Values) { q.Set("redirect_uri", a.redirectURI+"?x") }, ""},
		{"redirect URI in capitals", func(q url.Values) { q.Set("redirect_uri", "https://APP.example/cb") }, ""},
		{"other fault besides a wrong redirect URI", func(q url.Values) { q.Set("redirect_uri", "https://evil.example/cb"); q.Del("response_type") }, ""},

		{"no response type", func(q url.Values) { q.Del("response_type") }, "invalid_request"},
		{"implicit", func(q url.Values) { q.Set("response_type", "token") }, "unsupported_response_type"},
		{"hybrid", func(q url.Values) { q.Set("response_type", "code id_token") }, "unsupported_response_type"},
		{"response in the fragment", func(q url.Values) { q.Set("response_mode", "fragment") }, "invalid_request"},
		{"no challenge", func(q url.Values) { q.Del("code_challenge") }, "invalid_request"},
		{"no method", func(q url.Values) { q.Del("code_challenge_method") }, "invalid_request"},
		{"plain", func(q url.Values) { q.Set("code_challenge_method", "plain") }, "invalid_request"},
		{"short challenge", func(q url.Values) { q.Set("code_challenge", "abc") }, "invalid_request"},
		{"challenge in another spelling", func(q url.Values) { q.Set("code_challenge", q.Get("code_challenge")+"=") }, "invalid_request"},
		{"challenge with loose bits", func(q url.Values) { q.Set("code_challenge", strings.Repeat("_", 43)) }, "invalid_request"},
		{"two challenges", func(q url.Values) { q.Add("code_challenge", q.Get("code_challenge")) }, "invalid_request"},
		{"unknown parameter twice", func(q url.Values) { q["x"] = []string{"1", "2"} }, "invalid_request"},
		{"other resource", func(q url.Values) { q.Set("resource", "https://other.example/mcp") }, "invalid_target"},
		{"other resource besides ours", func(q url.Values) { q.Add("resource", "https://other.example/mcp") }, "invalid_target"},
		{"our origin", func(q url.Values) { q.Set("resource", f.url) }, "invalid_target"},
		{"resource with a user", func(q url.Values) { q.Set("resource", strings.Replace(f.url, "://", "://x@", 1)+"/mcp") }, "invalid_target"},
		{"resource with a query", func(q url.Values) { q.Set("resource", f.url+"/mcp?x") }, "invalid_target"},
		{"two states", func(q url.Values) { q.Add("state", "other") }, "invalid_request"},
		{"long challenge", func(q url.Values) { q.Set("code_challenge", strings.Repeat("A", 64)) }, "invalid_request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := f.query(a)
			tt.change(q)
			r := f.newBrowser().get(f.url + authserver.AuthorizePath + "?" + q.Encode())
			if tt.code == "" {
				f.wantPage(r, 400, "This sign-in cannot go on")
			} else {
				f.wantBack(r, a, tt.code)
			}
			if e := f.lastEvent(); e.Route != "authorize" || e.Error == "" || e.Reason == "" {
				t.Errorf("logged %+v", e)
			}
		})
	}
	// On this machine the port is free, and the length is not.
	long := f.register("Long", "http://localhost/"+strings.Repeat("x", 512-17))
	f.newBrowser().open(f.query(long))
	long.redirectURI = strings.Replace(long.redirectURI, "localhost", "localhost:65535", 1)
	f.wantPage(f.newBrowser().get(f.url+authserver.AuthorizePath+"?"+f.query(long).Encode()), 400, "not one of the app")
	f.wantPage(f.newBrowser().get(f.url+authserver.AuthorizePath+"?client_id=%zz"), 400, "malformed")
	f.wantPage(f.newBrowser().get(f.url+authserver.AuthorizePath+"?x="+strings.Repeat("x", 8<<10)), 400, "malformed")
}

// TestLenientRequests: what must not be refused.
func TestLenientRequests(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	tests := []struct {
		name   string
		change func(q url.Values)
	}{
		{"no resource", func(q url.Values) { q.Del("resource") }},
		{"our resource twice", func(q url.Values) { q.Add("resource", f.Config.Resource) }},
		{"resource with a slash", func(q url.Values) { q.Set("resource", f.Config.Resource+"/") }},
		{"resource with its scheme in capitals", func(q url.Values) {
			q.Set("resource", strings.Replace(f.Config.Resource, "https://", "HTTPS://", 1))
		}},
		{"scope of nothing", func(q url.Values) { q.Set("scope", " ") }},
		{"scope openid", func(q url.Values) { q.Set("scope", "openid") }},
		{"scopes of other servers", func(q url.Values) { q.Set("scope", "openid email offline_access AWS") }},
		{"response mode query", func(q url.Values) { q.Set("response_mode", "query") }},
		{"unknown parameter", func(q url.Values) { q.Set("prompt", "consent") }},
	}
	for _, tt := range tests {
		q := f.query(a)
		tt.change(q)
		if _, page := f.newBrowser().open(q); !strings.Contains(page.body, `value="github" checked`) {
			t.Errorf("%s: not all scopes are asked for", tt.name)
		}
	}
}

func TestState(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	a.state = "x y&code=evil#\r\nSet-Cookie: a=b\x00é\"" // comes back as it was, and nothing breaks out
	q := f.query(a)
	b := f.newBrowser()
	sealed, _ := b.open(q)
	vouch := b.press("allow", sealed, "aws").location(t)
	back := b.get(b.get(vouch.String()).location(t).String()).location(t)
	if got := back.Query()["state"]; len(got) != 1 || got[0] != a.state || len(back.Query()["code"]) != 1 {
		t.Errorf("state %q", got)
	}

	a.state = strings.Repeat("x", 1025)
	r := b.get(f.url + authserver.AuthorizePath + "?" + f.query(a).Encode())
	f.wantBack(r, a, "invalid_request") // with its state
	a.state = ""
	b = f.newBrowser()
	if back := b.get(b.begin(a)).location(t); back.Query().Has("state") || !back.Query().Has("code") {
		t.Errorf("without state: %s", back)
	}
}

// TestConsentForgeries: nobody but the person, on our page, in the same browser,
// can press the button.
func TestConsentForgeries(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	b := f.newBrowser()
	sealed, _ := b.open(f.query(a))
	stranger := f.newBrowser()
	theirs, _ := stranger.open(f.query(a))
	code := f.newBrowser().signIn(a)
	pushed := len(f.vouch.pushed)

	first := byte('A')
	if sealed[0] == first {
		first = 'B'
	}
	altered := string(first) + sealed[1:]
	form := func(request string) string {
		return url.Values{"request": {request}, "decision": {"allow"}, "scope": {"aws"}}.Encode()
	}
	tests := []struct {
		name    string
		browser *browser
		header  http.Header
		body    string
	}{
		{"without Origin", b, formHeader(""), form(sealed)},
		{"from another site", b, formHeader("https://evil.example"), form(sealed)},
		{"from a sandboxed page", b, formHeader("null"), form(sealed)},
		{"from our host on http", b, formHeader(strings.Replace(f.url, "https:", "http:", 1)), form(sealed)},
		{"from our host by a longer name", b, formHeader(f.url + ".evil.example"), form(sealed)},
		{"with two Origins", b, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {f.url, f.url}}, form(sealed)},
		{"without cookie", f.newBrowser(), formHeader(f.url), form(sealed)},
		{"with another browser's form", b, formHeader(f.url), form(theirs)},
		{"in another browser", stranger, formHeader(f.url), form(sealed)},
		{"without form", b, formHeader(f.url), form("")},
		{"with an altered form", b, formHeader(f.url), form(altered)},
		{"with a code as form", b, formHeader(f.url), form(code)},
		{"with the form twice", b, formHeader(f.url), form(sealed) + "&request=" + sealed},
		{"as JSON", b, http.Header{"Content-Type": {"application/json"}, "Origin": {f.url}}, form(sealed)},
		{"too long", b, formHeader(f.url), form(sealed) + "&x=" + strings.Repeat("x", 16<<10)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.browser.do("POST", f.url+authserver.AuthorizePath, tt.header, tt.body)
			f.wantPage(r, 403, "was not opened in this browser")
			if len(f.vouch.pushed) != pushed {
				t.Fatal("Vouch was asked")
			}
		})
	}
	// The form in the query is none, and nothing was spent by all that.
	f.wantPage(b.do("POST", f.url+authserver.AuthorizePath+"?"+form(sealed), formHeader(f.url), ""), 403, "")
	b.press("allow", sealed, "aws").location(t)
	f.wait(10 * time.Minute)
	f.wantPage(b.press("allow", sealed, "aws"), 403, "older than 10 minutes")
}

func TestRefusing(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	b := f.newBrowser()
	q := f.query(a)
	q.Set("scope", "aws ssh")
	sealed, _ := b.open(q)
	f.wantBack(b.press("deny", sealed, "aws"), a, "access_denied")
	f.wantBack(b.press("", sealed, "aws"), a, "access_denied")
	f.wantBack(b.press("allow", sealed), a, "access_denied")
	f.wantBack(b.press("allow", sealed, "github"), a, "access_denied") // was never asked for
	if len(f.vouch.pushed) != 0 {
		t.Error("Vouch was asked")
	}
	vouch := b.press("allow", sealed, "ssh", "github").location(t)
	code := b.get(b.get(vouch.String()).location(t).String()).location(t).Query().Get("code")
	if r := f.post(authserver.TokenPath, tokenForm(a, code)); r.json(t)["scope"] != "ssh" {
		t.Errorf("granted %v", r.body)
	}
}

// TestCallbackForgeries: a sign-in ends only in the browser that began it, with
// Vouch's own answer to it.
func TestCallbackForgeries(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	cut := func(s, parameter string) string {
		u, _ := url.Parse(s)
		q := u.Query()
		q.Del(parameter)
		u.RawQuery = q.Encode()
		return u.String()
	}
	tests := []struct {
		name string
		try  func(b *browser, callback string) reply
	}{
		{"in a browser that began nothing", func(_ *browser, callback string) reply { return f.newBrowser().get(callback) }},
		{"in a browser that began another sign-in", func(_ *browser, callback string) reply {
			other := f.newBrowser()
			other.begin(a)
			return other.get(callback)
		}},
		{"with the state of another sign-in", func(b *browser, callback string) reply {
			other, _ := url.Parse(f.newBrowser().begin(a))
			u, _ := url.Parse(callback)
			q := u.Query()
			q.Set("state", other.Query().Get("state"))
			u.RawQuery = q.Encode()
			return b.get(u.String())
		}},
		{"without state", func(b *browser, callback string) reply { return b.get(cut(callback, "state")) }},
		{"without iss", func(b *browser, callback string) reply { return b.get(cut(callback, "iss")) }},
		{"from another issuer", func(b *browser, callback string) reply {
			return b.get(cut(callback, "iss") + "&iss=https%3A%2F%2Fevil.example")
		}},
		{"from an issuer that looks alike", func(b *browser, callback string) reply {
			return b.get(cut(callback, "iss") + "&iss=" + url.QueryEscape(f.Config.VouchIssuer+"/"))
		}},
		{"with an error of another issuer", func(b *browser, callback string) reply {
			return b.get(cut(cut(callback, "iss"), "code") + "&error=access_denied&iss=https%3A%2F%2Fevil.example")
		}},
		{"with two codes", func(b *browser, callback string) reply { return b.get(callback + "&code=evil") }},
		{"with two states", func(b *browser, callback string) reply { return b.get(callback + "&state=evil") }},
		{"with the query malformed", func(b *browser, callback string) reply { return b.get(callback + "&%zz") }},
		{"after 10 minutes", func(b *browser, callback string) reply { f.wait(10 * time.Minute); return b.get(callback) }},
		{"without the browser's cookie", func(b *browser, callback string) reply {
			return f.newBrowser().do("GET", callback, http.Header{"Cookie": {b.cookies(callback, "__Host-broker-signin-")}}, "")
		}},
		{"with another browser's cookie", func(b *browser, callback string) reply {
			other := f.newBrowser()
			other.open(f.query(a))
			return other.do("GET", callback, http.Header{"Cookie": {b.cookies(callback, "__Host-broker-signin-")}}, "")
		}},
		{"with a transaction of another id", func(b *browser, callback string) reply {
			u, _ := url.Parse(callback)
			id := u.Query().Get("state")
			forged := strings.Repeat("A", len(id))
			cookies := strings.ReplaceAll(b.cookies(callback, "__Host-broker"), id, forged)
			return f.newBrowser().do("GET", strings.ReplaceAll(callback, id, forged), http.Header{"Cookie": {cookies}}, "")
		}},
		{"with a code as transaction", func(b *browser, callback string) reply {
			code := f.newBrowser().signIn(a)
			u, _ := url.Parse(callback)
			cookies := b.cookies(callback, "__Host-broker-browser-") + "; __Host-broker-signin-" + u.Query().Get("state") + "=" + code
			return f.newBrowser().do("GET", callback, http.Header{"Cookie": {cookies}}, "")
		}},
		{"again", func(b *browser, callback string) reply { b.get(callback).location(t); return b.get(callback) }},
	}
	// Whoever names a transaction that the browser has ends it.
	over := []string{"without iss", "from another issuer", "from an issuer that looks alike", "with an error of another issuer", "after 10 minutes",
		"without the browser's cookie", "with another browser's cookie", "with a transaction of another id", "with a code as transaction"}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := f.newBrowser()
			r := tt.try(b, b.begin(a))
			f.wantPage(r, 400, "Start again")
			if cleared := strings.Contains(r.header.Get("Set-Cookie"), "Max-Age=0"); cleared != slices.Contains(over, tt.name) {
				t.Errorf("the transaction is cleared: %t", cleared)
			}
		})
	}
}

// cookies returns the browser's cookies whose names begin so, as a header.
func (b *browser) cookies(target, prefix string) string {
	u, _ := url.Parse(target)
	var list []string
	for _, c := range b.client.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name+"=", prefix) {
			list = append(list, c.Name+"="+c.Value)
		}
	}
	return strings.Join(list, "; ")
}

// TestVouchErrors: what Vouch's answer says is told in our words.
func TestVouchErrors(t *testing.T) {
	tests := []struct {
		name   string
		answer url.Values
		want   string
	}{
		{"denied", url.Values{"error": {"access_denied"}}, "access_denied"},
		{"busy", url.Values{"error": {"temporarily_unavailable"}}, "temporarily_unavailable"},
		{"anything", url.Values{"error": {"<script>"}, "error_description": {"<script>"}}, "server_error"},
		{"error and code", url.Values{"error": {"access_denied"}, "code": {"c"}}, "access_denied"},
		{"neither", url.Values{}, "server_error"},
		{"code that is too long", url.Values{"code": {strings.Repeat("c", 1025)}}, "server_error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.answer.Set("iss", f.vouch.url)
			f.vouch.answer = tt.answer
			a, b := f.newApp(), f.newBrowser()
			r := b.get(b.begin(a))
			f.wantBack(r, a, tt.want)
			if strings.Contains(r.header.Get("Location"), "%3Cscript") || !strings.Contains(r.header.Get("Set-Cookie"), "Max-Age=0") {
				t.Errorf("headers %v", r.header)
			}
		})
	}
}
