package vouchtest

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// browserCookie is the session of a person's browser at this server.
const browserCookie = "vouch_session"

// A prompt is what an authorization request says of the person's presence (OpenID
// Connect Core section 3.1.2.1).
type prompt struct {
	login, none bool
	maxAge      time.Duration // negative: not asked
}

func readPrompt(q url.Values) (p prompt, ok bool) {
	p.maxAge = -1
	words := strings.Fields(q.Get("prompt"))
	for _, word := range words {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, word) {
			return p, false
		}
	}
	p.login, p.none = slices.Contains(words, "login"), slices.Contains(words, "none")
	if p.none && len(words) > 1 {
		return p, false
	}
	if text := q.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return p, false
		}
		p.maxAge = time.Duration(seconds) * time.Second
	}
	return p, true
}

// signIn returns when the person proved to be there: now, by the ceremony with the
// key, unless their browser has a session and nothing asks for more. A switch of
// the tests may let the browser pass all the same; the time is honest even then.
func (v *Vouch) signIn(w http.ResponseWriter, r *http.Request, p prompt) (time.Time, *oauthError) {
	now := v.now()
	signedIn, known := v.browser(r)
	anew := !known ||
		p.login && !v.ignoresPrompt.Load() && !v.passesSilently.Load() ||
		p.maxAge >= 0 && now.Sub(signedIn) >= p.maxAge && !v.passesSilently.Load()
	if anew && p.none {
		return time.Time{}, badRequest("login_required", "the person would have to sign in")
	}
	if anew {
		signedIn = now
		text := newSecret()
		v.rememberBrowser(text, now)
		http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: text, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	}
	if v.omitsAuthTime.Load() {
		return time.Time{}, nil
	}
	return signedIn, nil
}

// browser returns when the person of a browser last touched the key, if it has a
// session that is alive.
func (v *Vouch) browser(r *http.Request) (signedIn time.Time, known bool) {
	cookie, err := r.Cookie(browserCookie)
	if err != nil {
		return time.Time{}, false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	signedIn, known = v.browsers[digestOf(cookie.Value)]
	return signedIn, known && v.now().Sub(signedIn) < sessionLife
}

func (v *Vouch) rememberBrowser(cookie string, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.browsers) >= maxSessions {
		for id, signedIn := range v.browsers {
			if now.Sub(signedIn) >= sessionLife {
				delete(v.browsers, id)
			}
		}
	}
	v.browsers[digestOf(cookie)] = now
}
