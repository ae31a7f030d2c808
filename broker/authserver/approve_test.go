package authserver_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/upstream"
)

// The person of fakeVouch.
const adaSub, adaEmail = "7c0ffee7", "ada@example.com"

// newNotary returns a Notary with a key of its own for the fixture's broker.
func (f *fixture) newNotary() approval.Notary {
	f.t.Helper()
	key := p256test.Key()
	return approval.Notary{Box: seal.Box{Current: key, Issuer: f.url, VouchIssuer: f.vouch.url, Resource: f.Config.Resource}}
}

// newApproval returns a fixture and what Ada asks for in it.
func newApproval(t *testing.T) (*fixture, *approval.Request) {
	f := newFixture(t)
	f.Approvals = f.newNotary()
	return f, &approval.Request{
		Call:  approval.Call{Subject: adaSub, ClientIDHash: sha256.Sum256([]byte("client")), Tool: "get-aws-write-credentials", Arguments: sha256.Sum256([]byte("{}"))},
		Email: adaEmail, Person: adaEmail, ClientName: "Test App", Rule: "ops",
		Facts: []approval.Fact{{Name: "Role", Value: "arn:aws:iam::444455556666:role/Agents"}, {Name: "Purpose", Value: "mend <it>", Claimed: true}},
	}
}

func (f *fixture) link(r *approval.Request) string {
	f.t.Helper()
	link, err := f.Approvals.Link(r, f.clock())
	if err != nil {
		f.t.Fatal(err)
	}
	return link
}

// openLink opens the page of a link and returns its hidden field.
func (b *browser) openLink(link string) (sealed string, page reply) {
	b.t.Helper()
	page = b.get(link)
	_, after, ok := strings.Cut(page.body, `name="request" value="`)
	sealed, _, _ = strings.Cut(after, `"`)
	if page.status != http.StatusOK || !ok {
		b.t.Fatalf("no approval page: status %d, %s", page.status, page.body)
	}
	return sealed, page
}

func (b *browser) pressApprove(decision, sealed, origin string) reply {
	b.t.Helper()
	form := url.Values{"request": {sealed}, "decision": {decision}}
	return b.do("POST", b.url+approval.Path, formHeader(origin), form.Encode())
}

// beginApproval goes as far as Vouch's answer and returns the callback's URL.
func (b *browser) beginApproval(link string) string {
	b.t.Helper()
	sealed, _ := b.openLink(link)
	vouch := b.pressApprove("allow", sealed, b.url).location(b.t)
	return b.get(vouch.String()).location(b.t).String()
}

var codeForm = regexp.MustCompile(`<pre class="code">([A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})</pre>`)

func codeOf(r reply) string {
	if m := codeForm.FindStringSubmatch(r.body); m != nil && r.status == http.StatusOK {
		return m[1]
	}
	return ""
}

func TestApproval(t *testing.T) {
	f, wanted := newApproval(t)
	b := f.newBrowser()
	_, page := b.openLink(f.link(wanted))
	for _, text := range []string{adaEmail, "Test App", "get-aws-write-credentials", "arn:aws:iam::444455556666:role/Agents", "mend &lt;it&gt;", "not checked", "another device", "a name that nobody verified", "<bdi>mend"} {
		if !strings.Contains(page.body, text) {
			t.Errorf("the page does not say %q", text)
		}
	}
	// What a browser takes for the button that Enter presses is the first one.
	if first, refuse, approve := strings.Index(page.body, "<button disabled hidden>"), strings.Index(page.body, `value="deny"`), strings.Index(page.body, `value="allow"`); first < 0 || first > refuse || refuse > approve {
		t.Errorf("the buttons are at %d, %d and %d", first, refuse, approve)
	}
	wanted.ClientHost = "app.example"
	if _, page := b.openLink(f.link(wanted)); !strings.Contains(page.body, "Test App (app.example)") || strings.Contains(page.body, "nobody verified") {
		t.Errorf("the page says %s", page.body)
	}
	wanted.ClientHost = ""
	back := b.beginApproval(f.link(wanted))
	r := b.get(back)
	by, ok := f.Approvals.Verify(codeOf(r), wanted.Call, []string{adaSub}, f.clock())
	if !ok || by != adaSub || !strings.Contains(r.body, "role/Agents") {
		t.Fatalf("status %d, %s", r.status, r.body)
	}
	if csp := r.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", r.header)
	}
	if len(f.vouch.revoked) != 1 || f.vouch.redeems != 1 {
		t.Errorf("%d tokens were redeemed, %d revoked", f.vouch.redeems, len(f.vouch.revoked))
	}
	f.noSecrets(f.vouch.revoked...)
	got := f.lastEvent()
	want := got
	want.Route, want.Status, want.Error, want.Subject, want.ApprovedBy, want.Requester = "approved", 200, "", adaSub, adaSub, adaSub
	want.Tool, want.Rule, want.ClientName = wanted.Tool, "ops", "Test App"
	if got != want {
		t.Errorf("logged %+v\nwant %+v", got, want)
	}
	// The transaction is over: the same answer again brings nothing.
	f.wantPage(b.get(back), 400, "is over already")
}

// TestWhoMayApprove: Ada touches her key.
func TestWhoMayApprove(t *testing.T) {
	for _, test := range []struct {
		name       string
		sub, email string // of the requester
		approvers  []string
		unverified bool   // Ada's e-mail
		by         string // "": refused
	}{
		{"herself", adaSub, adaEmail, nil, false, adaSub},
		{"herself with an e-mail that nobody verified", adaSub, "", nil, true, adaSub},
		{"somebody else's", "bob", "bob@example.com", nil, false, ""},
		{"somebody else's with her e-mail", "bob", adaEmail, nil, false, ""},
		{"an approver by e-mail", "bob", "bob@example.com", []string{"carol@example.com", adaEmail}, false, adaEmail},
		{"an approver by sub", "bob", "bob@example.com", []string{"carol@example.com", adaSub}, false, adaSub},
		{"an approver by an e-mail that nobody verified", "bob", "bob@example.com", []string{adaEmail}, true, ""},
		{"no approver", "bob", "bob@example.com", []string{"carol@example.com"}, false, ""},
		{"the requester among the approvers", adaSub, adaEmail, []string{"carol@example.com", adaEmail, adaSub}, false, ""},
		{"the requester among the approvers, by sub alone", adaSub, "", []string{adaSub}, true, ""},
		{"the requester under another sub", "bob", adaEmail, []string{adaEmail}, false, ""},
		{"the requester where others approve", adaSub, adaEmail, []string{"carol@example.com"}, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, wanted := newApproval(t)
			wanted.Subject, wanted.Email, wanted.Approvers = test.sub, test.email, test.approvers
			f.vouch.unverified = test.unverified
			b := f.newBrowser()
			r := b.get(b.beginApproval(f.link(wanted)))
			if len(f.vouch.revoked) != 1 {
				t.Errorf("%d tokens were revoked", len(f.vouch.revoked))
			}
			e := f.lastEvent()
			if test.by == "" {
				f.wantPage(r, 403, "This approval cannot go on")
				if code := codeOf(r); code != "" {
					t.Errorf("the page has the code %s", code)
				}
				want := e
				want.ApprovedBy, want.Error, want.Subject, want.Tool = "", "access_denied", adaSub, wanted.Tool
				if e != want {
					t.Errorf("logged %+v\nwant %+v", e, want)
				}
				return
			}
			if by, ok := f.Approvals.Verify(codeOf(r), wanted.Call, []string{"x", test.by}, f.clock()); !ok || by != test.by || e.ApprovedBy != test.by {
				t.Errorf("status %d, logged %+v", r.status, e)
			}
			for _, other := range append(test.approvers, wanted.Subject) {
				if _, ok := f.Approvals.Verify(codeOf(r), wanted.Call, []string{other}, f.clock()); ok && other != test.by {
					t.Errorf("the code is good for %s too", other)
				}
			}
		})
	}
}

// TestApprovalNeedsATouch: an old session at Vouch, a silent Vouch or a token that
// proves nothing is no approval.
func TestApprovalNeedsATouch(t *testing.T) {
	const waited = 20 * time.Second
	for _, test := range []struct {
		name  string
		shift time.Duration // of auth_time, from our request
		ok    bool
	}{
		{"later", time.Second, true}, {"on a clock that is behind", -10 * time.Second, true},
		{"before", -11 * time.Second, false}, {"an hour ago", -time.Hour, false}, {"at no time", -1 << 62, false},
	} {
		f, wanted := newApproval(t)
		b := f.newBrowser()
		back := b.beginApproval(f.link(wanted))
		f.wait(waited)
		f.vouch.authShift = test.shift - waited
		r := b.get(back)
		if (codeOf(r) != "") != test.ok || len(f.vouch.revoked) != 1 {
			t.Errorf("%s: status %d, %d revoked, %s", test.name, r.status, len(f.vouch.revoked), r.body)
		}
		if !test.ok {
			f.wantPage(r, 400, "without the hardware key")
		}
	}
	f, wanted := newApproval(t)
	f.vouch.refused = oauth.ErrWrongAudience // what VerifyOwn says of a token without hardware_verified, too
	b := f.newBrowser()
	f.wantPage(b.get(b.beginApproval(f.link(wanted))), 502, "does not prove a sign-in with the hardware key")
	if len(f.vouch.revoked) != 1 {
		t.Errorf("%d tokens were revoked", len(f.vouch.revoked))
	}
}

// TestExtraTokenIsRevoked: also for a browser that has gone; a failure is logged and
// does not take the approval back.
func TestExtraTokenIsRevoked(t *testing.T) {
	f, wanted := newApproval(t)
	f.vouch.revokeFails = errors.New("vouch is away")
	b := f.newBrowser()
	r := b.get(b.beginApproval(f.link(wanted)))
	if codeOf(r) == "" {
		t.Errorf("status %d, and no code", r.status)
	}
	e := f.lastEvent()
	if e.ApprovedBy != adaSub || e.Error != "" {
		t.Errorf("logged as approved by %q, error %q; want %q and none", e.ApprovedBy, e.Error, adaSub)
	}
	if part := "could not be revoked: vouch is away"; !strings.Contains(e.Reason, part) {
		t.Errorf("logged %q, want %q in it", e.Reason, part)
	}
	wanted.Subject, wanted.Email = "bob", "bob@example.com"
	r = b.get(b.beginApproval(f.link(wanted)))
	if e := f.lastEvent(); r.status != 403 || e.ApprovedBy != "" || !strings.Contains(e.Reason, "vouch is away") {
		t.Errorf("status %d, logged %+v", r.status, e)
	}
	if len(f.vouch.revoked) != 2 {
		t.Errorf("%d tokens were revoked", len(f.vouch.revoked))
	}
	// Whatever the refusal says, and at whatever length, the log tells of the token.
	wanted.Subject, wanted.Email = adaSub, adaEmail
	f.vouch.revokeFails = fmt.Errorf("calling vouch: %w: %s", upstream.ErrUnreachable, strings.Repeat("x", 400))
	for _, spoil := range []func(){
		func() { f.vouch.authShift = -time.Hour },
		func() { wanted.Approvers = []string{"carol@example.com"} },
		func() { f.vouch.refused = fmt.Errorf("%w: %s", oauth.ErrWrongAudience, strings.Repeat("y", 400)) },
		func() { f.vouch.refused = errors.New("a fault of ours") },
	} {
		spoil()
		b.get(b.beginApproval(f.link(wanted)))
		if e := f.lastEvent(); e.Error == "" || !strings.Contains(e.Reason, "the extra token could not be revoked") || len(e.Reason) > 300 {
			t.Errorf("logged %+v", e)
		}
		f.vouch.authShift = 0
	}
}

// TestExtraTokenIsRevokedWhenTheBrowserHasGone, whether it was good for an approval or
// not.
func TestExtraTokenIsRevokedWhenTheBrowserHasGone(t *testing.T) {
	for _, requester := range []string{adaSub, "bob"} {
		f, wanted := newApproval(t)
		wanted.Subject, wanted.Email = requester, ""
		b := f.newBrowser()
		ctx, leave := context.WithCancel(t.Context())
		req := httptest.NewRequest("GET", b.beginApproval(f.link(wanted)), nil).WithContext(ctx)
		for _, c := range b.client.Jar.Cookies(req.URL) {
			req.AddCookie(c)
		}
		f.vouch.redeemed = leave
		f.ServeHTTP(httptest.NewRecorder(), req)
		if f.vouch.redeems != 1 || len(f.vouch.revoked) != 1 {
			t.Errorf("%s: %d tokens were redeemed, %d revoked", requester, f.vouch.redeems, len(f.vouch.revoked))
		}
	}
}

// TestApprovalPageFromElsewhere: the form counts when our own page sends it, in the
// browser that it was shown to.
func TestApprovalPageFromElsewhere(t *testing.T) {
	f, wanted := newApproval(t)
	b, other := f.newBrowser(), f.newBrowser()
	sealed, _ := b.openLink(f.link(wanted))
	other.openLink(f.link(wanted))
	consent, _ := b.open(b.query(f.newApp()))
	raw, _ := url.Parse(f.link(wanted))
	payload, err := f.Sealer.Open("approval form", sealed, f.clock())
	if err != nil {
		t.Fatal(err)
	}
	lengthened, err := f.Sealer.Seal("approval form", f.clock().Add(time.Minute), append(payload, 0))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]reply{
		"no origin":                b.pressApprove("allow", sealed, ""),
		"another origin":           b.pressApprove("allow", sealed, "https://evil.example"),
		"null":                     b.pressApprove("allow", sealed, "null"),
		"a browser without cookie": f.newBrowser().pressApprove("allow", sealed, f.url),
		"another browser":          other.pressApprove("allow", sealed, f.url),
		"altered":                  b.pressApprove("allow", sealed[:len(sealed)-2]+"!!", f.url),
		"nothing":                  b.pressApprove("allow", "", f.url),
		"the form of a consent":    b.pressApprove("allow", consent, f.url),
		"the link itself":          b.pressApprove("allow", raw.Query().Get("r"), f.url),
		"as a consent":             b.press("allow", sealed, "aws"),
		"with something behind it": b.pressApprove("allow", lengthened, f.url),
	} {
		if r.status != http.StatusForbidden || r.header.Get("Location") != "" {
			t.Errorf("%s: status %d, %s", name, r.status, r.body)
		}
	}
	if len(f.vouch.pushed) != 0 {
		t.Errorf("Vouch was asked %d times", len(f.vouch.pushed))
	}
	f.wait(10 * time.Minute)
	f.wantPage(b.pressApprove("allow", sealed, f.url), 403, "older than 10 minutes")
	sealed, _ = b.openLink(f.link(wanted))
	f.wantPage(b.pressApprove("deny", sealed, f.url), 200, "Nothing was approved")
	got := f.lastEvent()
	want := got
	want.Route, want.Status, want.Error, want.ApprovedBy, want.Tool, want.Requester = "approve", 200, "", "", wanted.Tool, adaSub
	if got != want {
		t.Errorf("logged %+v\nwant %+v", got, want)
	}
	if part := "pressed Refuse"; !strings.Contains(got.Reason, part) {
		t.Errorf("logged %q, want %q in it", got.Reason, part)
	}
	f.wantPage(b.pressApprove("", sealed, f.url), 200, "Nothing was approved")
	if len(f.vouch.pushed) != 0 {
		t.Errorf("Vouch was asked %d times", len(f.vouch.pushed))
	}
}

// TestApprovalLinks: a link is one of this broker, in time, and as it was.
func TestApprovalLinks(t *testing.T) {
	f, wanted := newApproval(t)
	link := f.link(wanted)
	b := f.newBrowser()
	foreign := f.newNotary()
	other, err := foreign.Link(wanted, f.clock())
	if err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"no link": f.url + approval.Path, "of another key": other, "altered": link[:len(link)-4] + "AAAA", "twice": link + "&r=x", "something else twice": link + "&x=1&x=2", "malformed": f.url + approval.Path + "?r=%zz",
	} {
		r := b.get(target)
		f.wantPage(r, 400, "This link is not one of this broker")
		if len(r.header.Values("Set-Cookie")) != 0 || codeOf(r) != "" {
			t.Errorf("%s: %v", name, r.header)
		}
	}
	f.wait(approval.LinkTime)
	f.wantPage(b.get(link), 400, "older than 30 minutes")
	if r := b.do("PUT", link, nil, ""); r.status != http.StatusMethodNotAllowed {
		t.Errorf("PUT: status %d", r.status)
	}
}

// TestTripsAreNotMixed: an approval's answer is none for a sign-in, nor the reverse,
// nor one of another browser or of another server.
func TestTripsAreNotMixed(t *testing.T) {
	f, wanted := newApproval(t)
	b := f.newBrowser()
	back := b.beginApproval(f.link(wanted))
	f.wantPage(f.newBrowser().get(back), 400, "was not begun in this browser")
	f.wantPage(b.get(strings.Replace(back, "-approval", "", 1)), 400, "was not begun in this browser")
	signIn, _ := url.Parse(b.begin(f.newApp()))
	q := signIn.Query()
	q.Set("state", q.Get("state")+"-approval")
	f.wantPage(b.get(f.url+authserver.CallbackPath+"?"+q.Encode()), 400, "was not begun in this browser")

	// With the cookie of the one under the name of the other.
	answer, _ := url.Parse(back)
	state := answer.Query().Get("state")
	for _, c := range b.client.Jar.Cookies(answer) {
		if strings.HasSuffix(c.Name, state) {
			plain := *c
			plain.Name, plain.Path, plain.Secure = strings.TrimSuffix(c.Name, "-approval"), "/", true
			b.client.Jar.SetCookies(answer, []*http.Cookie{&plain})
		}
	}
	f.wantPage(b.get(strings.Replace(back, "-approval", "", 1)), 400, "was not begun in this browser")
	if f.vouch.redeems != 0 {
		t.Errorf("%d codes were redeemed", f.vouch.redeems)
	}

	for says, vouch := range map[string]url.Values{
		"did not come from Vouch":        {"code": {"x"}, "iss": {"https://evil.example"}},
		"did not let the person sign in": {"error": {"access_denied"}, "iss": {f.vouch.url}},
		"Vouch is busy":                  {"error": {"temporarily_unavailable"}, "iss": {f.vouch.url}},
		"without a usable code":          {"iss": {f.vouch.url}},
	} {
		f.vouch.answer = vouch
		r := b.get(b.beginApproval(f.link(wanted)))
		f.wantPage(r, 400, says)
		if e := f.lastEvent(); e.Route != "approved" || e.Tool == "" || e.ApprovedBy != "" {
			t.Errorf("logged %+v", e)
		}
	}
	f.vouch.answer = nil
	f.wait(time.Second)
	late := b.beginApproval(f.link(wanted))
	f.wait(10 * time.Minute)
	f.wantPage(b.get(late), 400, "longer than 10 minutes")
}

// TestApprovalsHaveNoKey: a server without a key for approvals opens no link and
// does not break down.
func TestApprovalsHaveNoKey(t *testing.T) {
	f, wanted := newApproval(t)
	link := f.link(wanted)
	f.Approvals = approval.Notary{}
	f.wantPage(f.newBrowser().get(link), 400, "This link is not one of this broker")
}
