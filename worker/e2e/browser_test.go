package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

const (
	allowButton  = `button[value="allow"]`
	refuseButton = `button[value="deny"]`
)

// TestBrowserSignIn: a person signs in with a real browser that runs no JavaScript.
func TestBrowserSignIn(t *testing.T) {
	b := startChromium(t)
	s := start(t, stack.Config{SignIn: true})
	client := registerApp(t, s, "Claude Code")
	open := func(t *testing.T, profile string) (*tab, *attempt) {
		p, a := b.open(t, profile), client.begin()
		p.visit(a.url)
		return p, a
	}

	t.Run("allow", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		p.waitFor(func() { p.click(allowButton) })
		a.redeem(t, p, "aws github ssh")
		if got, want := p.origins(), []string{s.Worker.URL, s.VouchURL, client.origin}; !slices.Equal(got, want) {
			t.Errorf("requests went to %q, want %q", got, want)
		}
		p.checkQuiet()
	})
	t.Run("untick", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		p.click(`label:has([value="ssh"]) span`) // the words, not the box
		p.waitFor(func() { p.click(allowButton) })
		a.redeem(t, p, "aws github")
	})
	t.Run("untick all", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		for _, scope := range []string{"aws", "github", "ssh"} {
			p.click(`[value="` + scope + `"]`)
		}
		p.waitFor(func() { p.click(allowButton) })
		a.refused(t, p)
	})
	t.Run("refuse", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		p.waitFor(func() { p.click(refuseButton) })
		a.refused(t, p)
		if got, want := p.origins(), []string{s.Worker.URL, client.origin}; !slices.Equal(got, want) {
			t.Errorf("requests went to %q, want %q", got, want)
		}
	})
	t.Run("keyboard", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		p.key("Tab", 9, "")
		p.key(" ", 32, " ") // unticks the first box
		for range 5 {       // three more, the button that refuses, the one that agrees
			p.key("Tab", 9, "")
		}
		p.waitFor(func() { p.key("Enter", 13, "\r") })
		a.redeem(t, p, "github ssh")
	})
	t.Run("Enter on a box", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		p.key("Tab", 9, "")
		p.key("Enter", 13, "\r")
		p.checkPage("consent", 4) // still there
		p.waitFor(func() { p.click(allowButton) })
		a.redeem(t, p, "aws github ssh")
		if n := p.count(s.Worker.URL + "/oauth/authorize"); n != 2 {
			t.Errorf("%d requests for the page and its form, want one each", n)
		}
	})
	t.Run("reload and prefetch", func(t *testing.T) {
		profile := b.profile(t)
		first, a := open(t, profile)
		for range 3 {
			second, _ := open(t, profile)
			second.waitFor(func() { second.do("Page.reload", nil, nil) })
		}
		first.waitFor(func() { first.click(allowButton) })
		a.redeem(t, first, "aws github ssh")
	})
	t.Run("forced colours", func(t *testing.T) {
		p, _ := open(t, b.profile(t))
		p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "forced-colors", "value": "active"}}}, nil)
		var colours [2]string
		for i, button := range []string{allowButton, refuseButton} {
			p.eval(`(() => { const s = getComputedStyle(document.querySelector('`+button+`')); return s.backgroundColor + s.color + s.borderTopWidth })()`, &colours[i])
		}
		if colours[0] == colours[1] {
			t.Errorf("allow and refuse look the same: %s", colours[0])
		}
	})
	t.Run("two tabs", func(t *testing.T) {
		profile := b.profile(t)
		first, firstAttempt := open(t, profile)
		second, secondAttempt := open(t, profile)
		first.waitFor(func() { first.click(allowButton) })
		second.waitFor(func() { second.click(allowButton) })
		secondAttempt.redeem(t, second, "aws github ssh")
		firstAttempt.redeem(t, first, "aws github ssh")
	})
	t.Run("back and again", func(t *testing.T) {
		p, a := open(t, b.profile(t))
		p.waitFor(func() { p.click(allowButton) })
		a.redeem(t, p, "aws github ssh")
		p.back()
		p.checkPage("consent", 4)
		p.waitFor(func() { p.click(allowButton) })
		a.redeem(t, p, "aws github ssh")
	})
	t.Run("callback again", func(t *testing.T) {
		p, _ := open(t, b.profile(t))
		p.waitFor(func() { p.click(allowButton) })
		p.visit(p.request(s.Worker.URL + "/oauth/callback?"))
		p.look("fault", 0)
	})
	t.Run("consent page", func(t *testing.T) {
		p, _ := open(t, b.profile(t))
		p.look("consent", 4)
		if got := p.origins(); !slices.Equal(got, []string{s.Worker.URL}) {
			t.Errorf("the page made requests to %q", got)
		}
		p.checkQuiet()
	})
	t.Run("long name", func(t *testing.T) {
		p := b.open(t, b.profile(t))
		p.visit(registerApp(t, s, strings.Repeat("W", 64)).begin().url)
		p.look("long-name", 4)
	})
	t.Run("framed", func(t *testing.T) {
		p := b.open(t, b.profile(t))
		p.visit(client.origin + "/frame?" + url.Values{"src": {client.begin().url}}.Encode())
		p.mu.Lock()
		defer p.mu.Unlock()
		if !strings.Contains(strings.Join(p.complaints, "\n"), "frame-ancestors") {
			t.Errorf("the page lets itself be framed: %q", p.complaints)
		}
	})
}

// An app is an MCP client that registered itself and waits on loopback.
type app struct {
	stack      *stack.Stack
	origin, id string
}

func registerApp(t *testing.T, s *stack.Stack, name string) *app {
	t.Helper()
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/callback":
			fmt.Fprint(w, `<!doctype html><link rel="icon" href="data:,"><title>App</title>Signed in.`)
		case "/frame":
			fmt.Fprintf(w, `<!doctype html><link rel="icon" href="data:,"><title>Attacker</title><iframe src="%s"></iframe>`, strings.ReplaceAll(r.FormValue("src"), "&", "&amp;"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(pages.Close)
	body, err := json.Marshal(map[string]any{"client_name": name, "redirect_uris": []string{pages.URL + "/callback"}, "token_endpoint_auth_method": "none"})
	if err != nil {
		t.Fatal(err)
	}
	answer := send(t, "POST", s.Worker.URL+"/oauth/register", string(body), jsonType)
	var registered struct {
		ID string `json:"client_id"`
	}
	if err := json.Unmarshal([]byte(answer.body), &registered); err != nil || answer.status != http.StatusCreated {
		t.Fatalf("registration: %d %s", answer.status, answer.body)
	}
	return &app{stack: s, origin: pages.URL, id: registered.ID}
}

// An attempt is one sign-in of an app.
type attempt struct {
	*app
	url, state, verifier string
}

func (c *app) begin() *attempt {
	a := &attempt{app: c, state: rand.Text(), verifier: rand.Text() + rand.Text()}
	challenge := sha256.Sum256([]byte(a.verifier))
	a.url = c.stack.Worker.URL + "/oauth/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {c.id}, "redirect_uri": {c.origin + "/callback"}, "state": {a.state}, "resource": {c.stack.MCP},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])}, "code_challenge_method": {"S256"},
	}.Encode()
	return a
}

// returned reads what the tab brought back to the app.
func (a *attempt) returned(t *testing.T, p *tab) url.Values {
	t.Helper()
	var address string
	p.eval("location.href", &address)
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, a.origin+"/callback?") {
		t.Fatalf("the browser is at %s", address)
	}
	if u.Query().Get("state") != a.state || u.Query().Get("iss") != a.stack.Worker.URL {
		t.Errorf("state %q, iss %q", u.Query().Get("state"), u.Query().Get("iss"))
	}
	return u.Query()
}

// redeem checks that the app gets a token with the scope.
func (a *attempt) redeem(t *testing.T, p *tab, scope string) {
	t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {a.returned(t, p).Get("code")}, "client_id": {a.id},
		"redirect_uri": {a.origin + "/callback"}, "code_verifier": {a.verifier}, "resource": {a.stack.MCP},
	}
	answer := send(t, "POST", a.stack.Worker.URL+"/oauth/token", form.Encode(), "Content-Type: application/x-www-form-urlencoded")
	var token struct {
		AccessToken string `json:"access_token"`
		Scope       string `json:"scope"`
	}
	if err := json.Unmarshal([]byte(answer.body), &token); err != nil || answer.status != http.StatusOK || token.AccessToken == "" {
		t.Fatalf("no token: status %d, %v", answer.status, err)
	}
	if token.Scope != scope {
		t.Fatalf("scope %q, want %q", token.Scope, scope)
	}
}

// refused checks that the app gets a refusal instead of a code.
func (a *attempt) refused(t *testing.T, p *tab) {
	t.Helper()
	if got := a.returned(t, p); got.Get("error") != "access_denied" || got.Has("code") {
		t.Errorf("the app got error %q, code %t", got.Get("error"), got.Has("code"))
	}
}

// origins are where the tab's requests went, in the order of the first.
func (p *tab) origins() (origins []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, address := range p.requests {
		u, err := url.Parse(address)
		if err != nil {
			p.t.Fatal(err)
		}
		if origin := u.Scheme + "://" + u.Host; u.Scheme != "data" && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// count is how many of the tab's requests went to an address, with whatever query.
func (p *tab) count(address string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, asked := range p.requests {
		if path, _, _ := strings.Cut(asked, "?"); path == address {
			n++
		}
	}
	return n
}

// request returns the first URL with the prefix that the tab asked for.
func (p *tab) request(prefix string) string {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.requests, func(address string) bool { return strings.HasPrefix(address, prefix) })
	if i < 0 {
		p.t.Fatalf("%s was not asked for", prefix)
	}
	return p.requests[i]
}

// checkQuiet: no violation of the policy, no error, no warning.
func (p *tab) checkQuiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, complaint := range p.complaints {
		p.t.Errorf("the browser complains: %s", complaint)
	}
}

// look checks the page on phones and on a desk, in light and dark, and keeps
// pictures of it (go test -artifacts).
func (p *tab) look(name string, boxes int) {
	p.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		for _, size := range [][2]int{{320, 640}, {390, 844}, {1280, 800}} {
			p.do("Emulation.setDeviceMetricsOverride", map[string]any{
				"width": size[0], "height": size[1], "screenWidth": size[0], "screenHeight": size[1],
				"deviceScaleFactor": 1, "mobile": size[0] < size[1],
			}, nil)
			p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
			picture := fmt.Sprintf("%s-%s-%d", name, scheme, size[0])
			p.checkPage(picture, boxes)
			var shot struct{ Data []byte }
			p.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
			if err := os.WriteFile(filepath.Join(p.t.ArtifactDir(), picture+".png"), shot.Data, 0o600); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

// measure measures the page. Contrast is WCAG 2.2's, and NaN, which JSON has not,
// where the ground is not plain.
const measure = `(() => {
	const numbers = color => color.match(/[\d.]+/g).map(Number);
	const luminance = rgb => rgb.slice(0, 3).map(v => v / 255)
		.map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
		.reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
	const ground = e => {
		const rgba = e ? numbers(getComputedStyle(e).backgroundColor) : [NaN, NaN, NaN];
		return rgba[3] === 0 ? ground(e.parentElement) : rgba[3] === undefined ? rgba : [NaN, NaN, NaN];
	};
	const contrast = (a, b) => (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
	const all = selector => [...document.querySelectorAll(selector)];
	const texts = all('body *').filter(e => [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim()));
	return {
		lang: document.documentElement.lang,
		title: document.title,
		headings: all('main h1').length,
		width: document.documentElement.scrollWidth,
		screen: screen.width,
		contrast: Math.min(...texts.map(e => contrast(luminance(numbers(getComputedStyle(e).color)), luminance(ground(e))))),
		edge: Math.min(...all('button:not([hidden])').map(e => contrast(luminance(numbers(getComputedStyle(e).borderTopColor)), luminance(ground(e.parentElement))))),
		targets: all('button:not([hidden]), label').map(e => e.getBoundingClientRect().height),
		buttons: all('button:not([hidden])').map(e => e.innerText),
		labels: all('input[type=checkbox]').map(e => [...e.labels].map(l => l.innerText).join()),
		legends: all('fieldset > legend').map(e => e.innerText),
	};
})()`

// checkPage checks what makes a page of ours readable, and its parts nameable.
func (p *tab) checkPage(name string, boxes int) {
	p.t.Helper()
	var m struct {
		Lang, Title              string
		Headings, Width, Screen  int
		Contrast, Edge           float64
		Targets                  []float64
		Buttons, Labels, Legends []string
	}
	p.eval(measure, &m)
	if m.Lang != "en" || m.Title == "" || m.Headings != 1 {
		p.t.Errorf("%s: language %q, title %q, %d headings", name, m.Lang, m.Title, m.Headings)
	}
	// innerWidth would not do: a phone's window grows with a page that is too wide.
	if m.Width > m.Screen {
		p.t.Errorf("%s: %d pixels wide on a screen of %d", name, m.Width, m.Screen)
	}
	if m.Contrast < 4.5 || boxes > 0 && m.Edge < 3 {
		p.t.Errorf("%s: the text has a contrast of %.2f, the edge of a button %.2f", name, m.Contrast, m.Edge)
	}
	if len(m.Targets) > 0 && slices.Min(m.Targets) < 44 {
		p.t.Errorf("%s: a button or label is %.0f pixels high", name, slices.Min(m.Targets))
	}
	if len(m.Labels) != boxes || slices.Contains(m.Labels, "") {
		p.t.Errorf("%s: boxes %q, want %d, each with a label", name, m.Labels, boxes)
	}
	if boxes > 0 && len(m.Buttons) != 2 {
		p.t.Errorf("%s: buttons %q, want two", name, m.Buttons)
	}
	if boxes > 0 && len(m.Legends) != 1 {
		p.t.Errorf("%s: the boxes' legends %q, want one", name, m.Legends)
	}
}
