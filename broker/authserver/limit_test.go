package authserver_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// limiter refuses some keys.
type limiter struct {
	refuse string // the end of a key
	asked  []string
}

func (l *limiter) Allow(_ context.Context, binding limit.Binding, key string) bool {
	l.asked = append(l.asked, string(binding)+" "+key)
	return l.refuse == "" || !strings.HasSuffix(key, l.refuse)
}

func TestLimits(t *testing.T) {
	f := newFixture(t)
	f.Approvals = f.newNotary()
	a, b := f.newApp(), f.newBrowser()
	sealed, _ := b.open(f.query(a))
	requests := map[string]func() reply{
		"SIGN_IN_LIMITER authorize":      func() reply { return b.get(f.url + authserver.AuthorizePath + "?" + f.query(a).Encode()) },
		"SIGN_IN_STRICT_LIMITER consent": func() reply { return b.press("allow", sealed, "aws") },
		"SIGN_IN_STRICT_LIMITER token":   func() reply { return f.post(authserver.TokenPath, url.Values{}) },
		"SIGN_IN_LIMITER approve":        func() reply { return b.get(f.url + approval.Path) },
		"SIGN_IN_STRICT_LIMITER approve": func() reply { return b.pressApprove("allow", "", b.url) },
		"SIGN_IN_LIMITER revoke":         func() reply { return f.post(authserver.RevokePath+"/", url.Values{}) },
		"SIGN_IN_LIMITER register":       func() reply { return f.postJSON(`{}`) },
	}
	for route, request := range requests {
		pushed := len(f.vouch.pushed)
		l := &limiter{refuse: " 127.0.0.1"}
		f.Limiter = l
		r := request()
		if r.status != http.StatusTooManyRequests || !strings.Contains(r.body, "in a minute") {
			t.Errorf("%s: status %d, %s; want 429 and how long to wait", route, r.status, r.body)
		}
		if wait := r.header.Get("Retry-After"); wait != "60" {
			t.Errorf("%s: Retry-After %q, want 60", route, wait)
		}
		if n := len(f.vouch.pushed) - pushed; n != 0 {
			t.Errorf("%s: %d requests were pushed all the same", route, n)
		}
		if !slices.Equal(l.asked, []string{route + " 127.0.0.1"}) {
			t.Errorf("asked %q", l.asked)
		}
		l.refuse = ""
		if r := request(); r.status == http.StatusTooManyRequests {
			t.Errorf("%s is refused although it is allowed", route)
		}
	}
	f.Limiter = &limiter{}
	b.get(f.url + authserver.MetadataPath)
	b.get(f.url + authserver.CallbackPath)
	if asked := f.Limiter.(*limiter).asked; asked != nil {
		t.Errorf("asked %q", asked)
	}
}

// TestApprovalsReturnIsLimited: Vouch's answer to an approval costs Vouch calls, and
// whoever has begun one could send answers without end until its cookie expires. A
// person who is held up has lost nothing.
func TestApprovalsReturnIsLimited(t *testing.T) {
	f, wanted := newApproval(t)
	b := f.newBrowser()
	back := b.beginApproval(f.link(wanted))
	l := &limiter{refuse: " 127.0.0.1"}
	f.Limiter = l
	f.wantPage(b.get(back), 429, "in a minute")
	if f.vouch.redeems != 0 || !slices.Equal(l.asked, []string{"SIGN_IN_STRICT_LIMITER callback 127.0.0.1"}) {
		t.Errorf("%d redeemed, asked %q", f.vouch.redeems, l.asked)
	}
	l.refuse = ""
	if r := b.get(back); codeOf(r) == "" {
		t.Errorf("status %d, %s", r.status, r.body)
	}
}

// TestAddresses: a host may give an address without a port, and a request that has
// none is refused.
func TestAddresses(t *testing.T) {
	const binding = "SIGN_IN_STRICT_LIMITER token "
	six := []string{binding + "2001:db8:1:2::/64", binding + "2001:db8:1::/48"}
	tests := []struct {
		remote, refuse string
		asked          []string
		status         int
	}{
		{"192.0.2.1:4711", "", []string{binding + "192.0.2.1"}, 400},
		{"192.0.2.1", "", []string{binding + "192.0.2.1"}, 400},
		{"2001:db8:1:2::1", "", six, 400},
		{"[2001:db8:1:2::1]:4711", "", six, 400},
		{"2001:db8:1:2::1", "/64", six[:1], 429},
		{"2001:db8:1:2::1", "/48", six, 429},
		{"", "", nil, 429},
		{"unknown", "", nil, 429},
	}
	for _, tt := range tests {
		f := newFixture(t)
		l := &limiter{refuse: tt.refuse}
		f.Limiter = l
		r := httptest.NewRequest("POST", f.url+authserver.TokenPath, nil)
		r.RemoteAddr = tt.remote
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if !slices.Equal(l.asked, tt.asked) || w.Code != tt.status {
			t.Errorf("%q: status %d, asked %q", tt.remote, w.Code, l.asked)
		}
	}
}

// TestVouchTrouble: each failure of Vouch is told where it can be acted on.
func TestVouchTrouble(t *testing.T) {
	tests := []struct {
		name  string
		err   error
		page  string // at the consent; "": told to the app
		code  string
		token int // status at the token endpoint
		wait  string
	}{
		{"wait", &authserver.WaitError{RetryAfter: 1500 * time.Millisecond}, "try again in 2 s", "temporarily_unavailable", 503, "2"},
		{"wait without a time", &authserver.WaitError{}, "try again in 1 s", "temporarily_unavailable", 503, "1"},
		{"failed", &authserver.WaitError{RetryAfter: 7 * time.Second, Failed: true}, "Vouch failed; try again in 7 s", "temporarily_unavailable", 503, "7"},
		{"failed without a time", &authserver.WaitError{Failed: true}, "Vouch failed; try again in 1 s", "temporarily_unavailable", 503, "1"},
		{"timeout", upstream.ErrTimeout, "", "temporarily_unavailable", 503, "1"},
		{"unreachable", upstream.ErrUnreachable, "", "temporarily_unavailable", 503, "1"},
		{"no time", upstream.ErrNoTime, "", "temporarily_unavailable", 503, "1"},
		{"refused", errors.New("vouch answered with status 401 (invalid_client)"), "", "server_error", 502, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a, b := f.newApp(), f.newBrowser()
			sealed, _ := b.open(f.query(a))
			f.vouch.fail = tt.err
			r := b.press("allow", sealed, "aws")
			if tt.page == "" {
				f.wantBack(r, a, tt.code)
			} else {
				f.wantPage(r, 503, tt.page)
				if r.header.Get("Retry-After") != tt.wait {
					t.Errorf("headers %v", r.header)
				}
			}
			if r.header.Get("Set-Cookie") != "" {
				t.Error("a transaction began")
			}
			if e := f.lastEvent(); !strings.Contains(e.Reason, tt.err.Error()) || e.Route != "consent" {
				t.Errorf("logged %+v", e)
			}
			// The same page still works, and so does the same code.
			vouch := b.press("allow", sealed, "aws").location(t)
			code := b.get(b.get(vouch.String()).location(t).String()).location(t).Query().Get("code")
			f.vouch.fail = tt.err
			r = f.post(authserver.TokenPath, tokenForm(a, code))
			f.wantError(r, tt.token, tt.code)
			if r.header.Get("Retry-After") != tt.wait {
				t.Errorf("headers %v", r.header)
			}
			if r := f.post(authserver.TokenPath, tokenForm(a, code)); r.status != 200 {
				t.Errorf("again: %s", r.body)
			}
		})
	}
}

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	token := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))).json(t)["access_token"].(string)
	held, err := authserver.OpenAccessToken(f.Sealer, secret.New(token), f.clock())
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"token": {token}, "client_id": {a.id}, "token_type_hint": {"refresh_token"}}

	f.wantError(f.post(authserver.RevokePath, url.Values{}), 400, "invalid_request")
	f.wantError(f.post(authserver.RevokePath, url.Values{"token": {token}, "client_id": {"other"}}), 400, "invalid_grant")
	f.wantError(f.post(authserver.RevokePath, url.Values{"token": {token}, "client_secret": {"x"}}), 401, "invalid_client")
	for name, unknown := range map[string]string{"garbage": "x", "Vouch's token": held.VouchToken.Reveal(), "altered": swap(token, 60)} {
		if r := f.post(authserver.RevokePath, url.Values{"token": {unknown}}); r.status != 200 {
			t.Errorf("%s: status %d", name, r.status)
		}
	}
	if len(f.vouch.revoked) != 0 {
		t.Fatal("Vouch was asked")
	}
	f.vouch.fail = &authserver.WaitError{RetryAfter: 3 * time.Second}
	if r := f.post(authserver.RevokePath, form); r.status != 503 || r.header.Get("Retry-After") != "3" {
		t.Errorf("status %d, %v", r.status, r.header)
	}
	if r := f.post(authserver.RevokePath, form); r.status != 200 || r.body != "" {
		t.Errorf("status %d, %s", r.status, r.body)
	}
	if last := f.vouch.revoked[len(f.vouch.revoked)-1]; last != held.VouchToken.Reveal() {
		t.Errorf("revoked %s", last)
	}
	if e := f.lastEvent(); e.Route != "revoke" || e.Status != 200 || e.Subject != held.Subject {
		t.Errorf("logged %+v", e)
	}
	f.noSecrets(token, held.VouchToken.Reveal())
}

// TestSizes fills every field to its cap: cookie and code stay under theirs.
func TestSizes(t *testing.T) {
	f := newFixture(t)
	uri := "https://app.example/" + strings.Repeat("x", 512-20)
	a := f.register(strings.Repeat("&", 96), uri)
	a.state = strings.Repeat("s", 1024)
	a.verifier = strings.Repeat("v", 128)
	b := f.newBrowser()
	sealed, _ := b.open(f.query(a))
	pressed := b.press("allow", sealed, "aws", "github", "ssh")
	if cookie := pressed.header.Get("Set-Cookie"); len(cookie) > 3584+200 || len(cookie) < 2000 {
		t.Errorf("the transaction cookie has %d bytes", len(cookie))
	}
	f.vouch.answer = url.Values{"code": {strings.Repeat("c", 1024)}, "iss": {f.vouch.url}}
	code := b.get(b.get(pressed.location(t).String()).location(t).String()).location(t).Query().Get("code")
	if code == "" || len(code) > 3<<10 {
		t.Errorf("the code has %d bytes", len(code))
	}
}

// TestLargeTokens: a token of Vouch that does not fit is revoked, not lost.
func TestLargeTokens(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	f.vouch.tokenSize = 1600
	r := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a)))
	if token, _ := r.json(t)["access_token"].(string); r.status != 200 || len(token) > 3<<10 || len(token) < 2500 {
		t.Errorf("a large token: %d bytes, %s", len(token), r.body)
	}
	f.vouch.tokenSize = 2400
	f.wantError(f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))), 500, "server_error")
	if len(f.vouch.revoked) != 1 {
		t.Error("the token was not revoked")
	}
}

// TestGrants: what Vouch's token says and what its client says must agree.
func TestGrants(t *testing.T) {
	f := newFixture(t)
	a := f.newApp()
	for name, claims := range map[string]map[string]any{
		"other subject": {"sub": "other"}, "no subject": {"sub": ""}, "other expiry": {"exp": 1}, "expiry as text": {"exp": "1"}, "email is a number": {"email": 7},
	} {
		f.vouch.claims = claims
		r := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a)))
		if r.status != 500 || r.json(t)["error"] != "server_error" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	f.vouch.claims = map[string]any{"email_verified": false}
	token := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))).json(t)["access_token"].(string)
	if held, err := authserver.OpenAccessToken(f.Sealer, secret.New(token), f.clock()); err != nil || held.Email != "" {
		t.Errorf("an e-mail that Vouch disputes: %q, %v", held.Email, err)
	}
	for _, text := range []string{"", "a.b", "a.!.c", "a.e30.c.d", "a.e30.c"} {
		if _, err := authserver.MintAccessToken(f.Sealer, authserver.AccessToken{VouchToken: secret.New(text), Expires: f.clock()}); err == nil {
			t.Errorf("minted around %q", text)
		}
	}
	// A grant that is over already would make a token without an end in sight.
	stale := f.vouch.now
	f.vouch.claims, f.vouch.now = nil, func() time.Time { return stale().Add(-8 * time.Hour) }
	f.wantError(f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))), 502, "server_error")
}
