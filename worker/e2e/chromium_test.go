package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// browserTime bounds each thing that is asked of the browser, so that a hung one
// fails the test.
const browserTime = 10 * time.Second

// chromium is a headless browser. It is driven through a pair of pipes with the
// DevTools protocol: JSON messages, each ended by a zero byte.
type chromium struct {
	commands *os.File
	printed  output

	mu      sync.Mutex
	lastID  int
	waiting map[int]chan message
	tabs    map[string]*tab // by session id
}

// A message is a command, its answer or an event.
type message struct {
	ID        int             `json:"id,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    any             `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
}

// startChromium starts a browser that can reach loopback addresses only. Without
// one on this machine the test is skipped, unless REQUIRE_BROWSER says otherwise.
func startChromium(t *testing.T) *chromium {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	i := slices.IndexFunc(names, func(name string) bool { _, err := exec.LookPath(name); return err == nil })
	if i < 0 && os.Getenv("REQUIRE_BROWSER") != "" {
		t.Fatalf("REQUIRE_BROWSER is set, and none of %q is installed", names)
	}
	if i < 0 {
		t.Skipf("the sign-in was not seen in a browser: none of %q is installed", names)
	}
	theirIn, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &chromium{commands: commands, waiting: map[int]chan message{}, tabs: map[string]*tab{}}
	cmd := exec.Command(names[i], "--headless=new", "--remote-debugging-pipe", "--user-data-dir="+filepath.Join(t.TempDir(), "profile"),
		"--no-sandbox", // it needs rights that containers lack, and every page here is ours
		"--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--no-first-run", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-breakpad", "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, where it expects them
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &b.printed, &b.printed, time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	done := make(chan struct{})
	go func() {
		b.listen(answers)
		close(done)
	}()
	t.Cleanup(func() {
		commands.Close() // it ends itself when nobody can command it any more
		select {
		case <-done:
		case <-time.After(browserTime):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		answers.Close()
	})
	return b
}

// listen hands out answers and events until the browser ends.
func (b *chromium) listen(answers *os.File) {
	for r := bufio.NewReader(answers); ; {
		text, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var params json.RawMessage
		m := message{Params: &params}
		if json.Unmarshal(text[:len(text)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		answer, tab := b.waiting[m.ID], b.tabs[m.SessionID]
		delete(b.waiting, m.ID)
		b.mu.Unlock()
		switch {
		case answer != nil:
			answer <- m
		case tab != nil && m.Method != "":
			tab.event(m.Method, params)
		}
	}
}

// do sends a command and reads its result, unless that is nil.
func (b *chromium) do(t *testing.T, session, method string, params map[string]any, result any) {
	t.Helper()
	answer := make(chan message, 1)
	b.mu.Lock()
	b.lastID++
	command := message{ID: b.lastID, SessionID: session, Method: method, Params: params}
	b.waiting[command.ID] = answer
	text, err := json.Marshal(command)
	if err == nil {
		_, err = b.commands.Write(append(text, 0))
	}
	b.mu.Unlock()
	if err != nil {
		t.Fatalf("%s: %v; the browser printed:\n%s", method, err, &b.printed)
	}
	select {
	case m := <-answer:
		if m.Error != nil {
			t.Fatalf("%s: %s", method, m.Error)
		}
		if result == nil {
			return
		}
		if err := json.Unmarshal(m.Result, result); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
	case <-time.After(browserTime):
		t.Fatalf("%s: the browser did not answer; it printed:\n%s", method, &b.printed)
	}
}

// profile makes an empty one, as a person has who was never here, and returns its id.
func (b *chromium) profile(t *testing.T) string {
	t.Helper()
	var made struct{ BrowserContextID string }
	b.do(t, "", "Target.createBrowserContext", nil, &made)
	return made.BrowserContextID
}

// open opens an empty tab, which runs no JavaScript of a page's own.
func (b *chromium) open(t *testing.T, profile string) *tab {
	t.Helper()
	var target struct{ TargetID string }
	b.do(t, "", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": profile}, &target)
	var attached struct{ SessionID string }
	b.do(t, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	p := &tab{t: t, browser: b, session: attached.SessionID, loaded: make(chan struct{}, 1)}
	b.mu.Lock()
	b.tabs[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Network", "Runtime", "Log", "Audits"} {
		p.do(domain+".enable", nil, nil)
	}
	p.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	return p
}

// A tab is one tab of the browser, for one test.
type tab struct {
	t       *testing.T
	browser *chromium
	session string
	loaded  chan struct{}

	mu         sync.Mutex
	requests   []string // the URLs, redirects included
	complaints []string // what a developer would find in the console
}

func (p *tab) do(method string, params map[string]any, result any) {
	p.t.Helper()
	p.browser.do(p.t, p.session, method, params, result)
}

func (p *tab) event(method string, params json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch method {
	case "Page.loadEventFired":
		p.signal()
	case "Page.frameNavigated":
		var navigated struct{ Type string }
		_ = json.Unmarshal(params, &navigated)
		if navigated.Type == "BackForwardCacheRestore" { // it was loaded before
			p.signal()
		}
	case "Network.requestWillBeSent":
		var sent struct{ Request struct{ URL string } }
		_ = json.Unmarshal(params, &sent)
		p.requests = append(p.requests, sent.Request.URL)
	case "Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Audits.issueAdded":
		p.complaints = append(p.complaints, string(params))
	}
}

func (p *tab) signal() {
	select {
	case p.loaded <- struct{}{}:
	default:
	}
}

// waitFor does what leads to another page, and waits until that is loaded.
func (p *tab) waitFor(action func()) {
	p.t.Helper()
	select {
	case <-p.loaded:
	default:
	}
	action()
	select {
	case <-p.loaded:
	case <-time.After(browserTime):
		p.t.Fatal("no page was loaded")
	}
}

func (p *tab) visit(url string) {
	p.t.Helper()
	p.waitFor(func() { p.do("Page.navigate", map[string]any{"url": url}, nil) })
}

// back presses the browser's button.
func (p *tab) back() {
	p.t.Helper()
	var history struct {
		CurrentIndex int
		Entries      []struct{ ID int }
	}
	p.do("Page.getNavigationHistory", nil, &history)
	p.waitFor(func() {
		p.do("Page.navigateToHistoryEntry", map[string]any{"entryId": history.Entries[history.CurrentIndex-1].ID}, nil)
	})
}

// eval reads the value of an expression from the page. It works without
// JavaScript, as the browser's own tools do.
func (p *tab) eval(expression string, result any) {
	p.t.Helper()
	var evaluated struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	p.do("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &evaluated)
	if evaluated.ExceptionDetails != nil {
		p.t.Fatalf("%.60q: %s", expression, evaluated.ExceptionDetails)
	}
	if err := json.Unmarshal(evaluated.Result.Value, result); err != nil {
		p.t.Fatalf("%.60q: %v", expression, err)
	}
}

// click presses the mouse in the middle of the element that a CSS selector finds.
func (p *tab) click(selector string) {
	p.t.Helper()
	var at struct{ X, Y float64 }
	p.eval(`(() => {
		const e = document.querySelector('`+selector+`'); e.scrollIntoView({block: 'center'});
		const r = e.getBoundingClientRect(); return {x: r.x + r.width / 2, y: r.y + r.height / 2};
	})()`, &at)
	for _, kind := range []string{"mousePressed", "mouseReleased"} {
		p.do("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": at.X, "y": at.Y, "button": "left", "clickCount": 1}, nil)
	}
}

// key presses a key, given as its name, Windows' number for it, and the character
// that it types, if any.
func (p *tab) key(name string, code int, text string) {
	p.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		p.do("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": name, "windowsVirtualKeyCode": code, "text": text}, nil)
	}
}
