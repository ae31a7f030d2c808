package authserver_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/oauth"
)

// wantRefused checks that a sign-in comes to nothing, and that Vouch's token does
// not stay alive.
func (f *fixture) wantRefused(status int, code, says string) {
	f.t.Helper()
	a := f.newApp()
	f.vouch.revoked = nil
	r := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a)))
	f.wantError(r, status, code)
	if !strings.Contains(r.body, says) {
		f.t.Errorf("says %s, want %q", r.body, says)
	}
	if len(f.vouch.revoked) != 1 {
		f.t.Errorf("%d tokens were revoked, want the one", len(f.vouch.revoked))
	}
	f.noSecrets(f.vouch.revoked...)
}

// TestFreshProof: the key is used for this sign-in, or there is none.
func TestFreshProof(t *testing.T) {
	const waited = 20 * time.Second // from our request at Vouch to the redemption
	tests := []struct {
		name  string
		shift time.Duration // of auth_time, from our request
		ok    bool
	}{
		{"later", 5 * time.Second, true},
		{"at once", 0, true},
		{"on a clock that is behind", -10 * time.Second, true},
		{"before", -11 * time.Second, false},
		{"an hour ago", -time.Hour, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a := f.newApp()
			code := f.newBrowser().signIn(a)
			f.wait(waited)
			f.vouch.authShift = tt.shift - waited
			r := f.post(authserver.TokenPath, tokenForm(a, code))
			if tt.ok && (r.status != 200 || f.vouch.revoked != nil) {
				t.Errorf("status %d, %s", r.status, r.body)
			}
			if !tt.ok {
				f.wantError(r, 400, "access_denied")
				if len(f.vouch.revoked) != 1 || !strings.Contains(r.body, "without the hardware key") {
					t.Errorf("%d revoked, %s", len(f.vouch.revoked), r.body)
				}
			}
		})
	}
	f := newFixture(t)
	f.vouch.authShift = f.clock().Sub(time.Time{}) * -1 // saturates: long ago
	f.wantRefused(400, "access_denied", "without the hardware key")
	if authserver.Fresh(time.Time{}, time.Time{}) {
		t.Error("an unknown time is fresh")
	}
}

// TestDiscardedTokens: a token of Vouch that fails any check of ours is revoked,
// and that the revocation fails is told too.
func TestDiscardedTokens(t *testing.T) {
	f := newFixture(t)
	f.vouch.refused = oauth.ErrWrongAudience
	f.wantRefused(502, "server_error", "does not prove a sign-in with the hardware key")
	f.vouch.refused = &oauth.UnavailableError{Err: errors.New("no keys")}
	f.wantRefused(503, "temporarily_unavailable", "keys of Vouch")
	f.vouch.refused = nil
	f.vouch.claims = map[string]any{"sub": "other"}
	f.wantRefused(500, "server_error", "broker failed")
	f.vouch.claims = nil
	now := f.vouch.now
	f.vouch.now = func() time.Time { return now().Add(-8 * time.Hour) }
	f.wantRefused(502, "server_error", "refused the broker")
	f.vouch.now = now
	f.wantSignedIn()

	f.vouch.refused = oauth.ErrWrongAudience
	a := f.newApp()
	code := f.newBrowser().signIn(a)
	f.vouch.revokeFails = errors.New("vouch is away")
	f.wantError(f.post(authserver.TokenPath, tokenForm(a, code)), 502, "server_error")
	if e := f.lastEvent(); !strings.Contains(e.Reason, "vouch is away") {
		t.Errorf("logged %+v", e)
	}
}

// wantSignedIn checks that a sign-in works and that its token is left alone.
func (f *fixture) wantSignedIn() {
	f.t.Helper()
	a := f.newApp()
	f.vouch.revoked = nil
	if r := f.post(authserver.TokenPath, tokenForm(a, f.newBrowser().signIn(a))); r.status != http.StatusOK || f.vouch.revoked != nil {
		f.t.Errorf("status %d, %d revoked, %s", r.status, len(f.vouch.revoked), r.body)
	}
}

// TestAllowedEmails: who may sign in at all.
func TestAllowedEmails(t *testing.T) {
	f := newFixture(t) // of ada@example.com
	list := func(patterns ...string) (l glob.List) {
		for _, pattern := range patterns {
			l = append(l, glob.Fold(pattern))
		}
		return l
	}
	for _, good := range []glob.List{nil, list("*"), list("*@example.com"), list("ADA@Example.Com"), list("bob@example.com", "a*@example.com")} {
		f.Config.AllowedEmails = good
		f.wantSignedIn()
	}
	for _, bad := range []glob.List{{}, list("bob@example.com"), list("*@example.org"), list("da@example.com"), list("ada@example.co"), list("*@ops.example.com")} {
		f.Config.AllowedEmails = bad
		f.wantRefused(400, "access_denied", "ALLOWED_EMAILS")
		if e := f.lastEvent(); e.Email != "ada@example.com" || e.Error != "access_denied" {
			t.Errorf("logged %+v", e)
		}
	}
	f.vouch.unverified = true
	f.Config.AllowedEmails = list("*")
	f.wantRefused(400, "access_denied", "verified e-mail address")
	f.Config.AllowedEmails = nil
	f.wantSignedIn()
	if authserver.Admits(list("*"), "", true) {
		t.Error("nobody's e-mail is admitted")
	}
}
