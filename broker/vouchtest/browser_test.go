package vouchtest_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

// visit asks for authorization in a browser and returns the query that it is sent
// back with.
func visit(t *testing.T, s *vouchtest.Stack, jar http.CookieJar, q url.Values) url.Values {
	t.Helper()
	browser := http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Get(s.VouchURL + "/oauth/authorize?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatalf("status %d: %v", resp.StatusCode, err)
	}
	return back.Query()
}

// TestBrowserSessions: auth_time is when the key was used, whoever asks for what.
func TestBrowserSessions(t *testing.T) {
	const later = time.Minute
	silent := func(v *vouchtest.Vouch) { v.PassSilently(true) }
	deaf := func(v *vouchtest.Vouch) { v.IgnorePrompt(true) }
	mute := func(v *vouchtest.Vouch) { v.OmitAuthTime(true) }
	tests := []struct {
		name           string
		prompt, maxAge string
		hook           func(*vouchtest.Vouch)
		want           string // "old", "new", "none" for no time, or an error
	}{
		{"plain", "", "", nil, "old"},
		{"login", "login", "", nil, "new"},
		{"login and consent", "login consent", "", nil, "new"},
		{"max_age that is over", "", "30", nil, "new"},
		{"max_age that is not", "", "90", nil, "old"},
		{"max_age 0", "", "0", nil, "new"},
		{"none", "none", "", nil, "old"},
		{"none and too old", "none", "0", nil, "login_required"},
		{"none and login", "none login", "", nil, "invalid_request"},
		{"unknown prompt", "loginn", "", nil, "invalid_request"},
		{"negative max_age", "", "-1", nil, "invalid_request"},
		{"max_age in words", "", "soon", nil, "invalid_request"},
		{"passes silently", "login", "0", silent, "old"},
		{"ignores prompt", "login", "", deaf, "old"},
		{"ignores prompt, not max_age", "login", "0", deaf, "new"},
		{"leaves auth_time out", "login", "0", mute, "none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clock := newClock()
			s := startWithClient(t, vouchtest.Options{Now: clock.Now})
			jar, _ := cookiejar.New(nil)
			first := clock.Now()
			visit(t, s, jar, authorization())
			clock.advance(later)
			if tt.hook != nil {
				tt.hook(s.Vouch)
			}
			q := authorization()
			q.Set("prompt", tt.prompt)
			q.Set("max_age", tt.maxAge)
			back := visit(t, s, jar, q)
			if e := back.Get("error"); e != "" {
				if e != tt.want {
					t.Errorf("error %s, want %s", e, tt.want)
				}
				return
			}
			answer := postForm(t, s.VouchURL+"/oauth/token", redemption(back.Get("code"))).decode(t)
			for _, member := range []string{"access_token", "id_token"} {
				at := fmt.Sprint(payload(t, answer[member].(string), 1)["auth_time"])
				got := map[string]string{fmt.Sprint(first.Unix()): "old", fmt.Sprint(first.Add(later).Unix()): "new", "<nil>": "none"}[at]
				if got != tt.want {
					t.Errorf("%s: auth_time %s, want %s", member, got, tt.want)
				}
			}
		})
	}
}

// TestBrowserSessionEnds: a session is as long as the others, and a browser's own.
func TestBrowserSessionEnds(t *testing.T) {
	clock := newClock()
	s := startWithClient(t, vouchtest.Options{Now: clock.Now})
	jar, _ := cookiejar.New(nil)
	visit(t, s, jar, authorization())
	none := authorization()
	none.Set("prompt", "none")
	if back := visit(t, s, jar, none); back.Get("error") != "" {
		t.Errorf("with a session: %v", back)
	}
	if back := visit(t, s, nil, none); back.Get("error") != "login_required" {
		t.Errorf("in another browser: %v", back)
	}
	clock.advance(8 * time.Hour)
	if back := visit(t, s, jar, none); back.Get("error") != "login_required" {
		t.Errorf("after the session's end: %v", back)
	}
}
