package fault_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest/fault"
)

const right = `{"right":true}`

// A server has a tap before it and counts the work that it does.
type server struct {
	*fault.Tap
	url  string
	done int
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{}
	s.Tap = fault.NewTap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.done++
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, right)
	}), func(w http.ResponseWriter, _ *http.Request, status int, code string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "own form: "+code)
	})
	listening := httptest.NewServer(s.Tap)
	t.Cleanup(listening.Close)
	s.url = listening.URL
	return s
}

func (s *server) set(t *testing.T, f fault.Fault) {
	t.Helper()
	if err := s.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

var direct = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// get returns an answer and its body.
func (s *server) get(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	resp, err := direct.Get(s.url + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func TestAnswers(t *testing.T) {
	s := start(t)
	tests := []struct {
		name        string
		fault       fault.Fault
		status      int
		body        string // "" is not looked at
		header      string
		headerValue string
	}{
		{"500", fault.Fault{Kind: fault.Status}, 500, "own form: ", "", ""},
		{"a code", fault.Fault{Kind: fault.Status, Status: 401, Code: "invalid_token"}, 401, "own form: invalid_token", "", ""},
		{"429", fault.Fault{Kind: fault.RateLimited, RetryAfter: 30}, 429, "", "Retry-After", "30"},
		{"slow", fault.Fault{Kind: fault.Slow, Delay: time.Millisecond}, 200, right, "Content-Type", "application/json"},
		{"redirect", fault.Fault{Kind: fault.Redirect}, 307, "", "Location", "/-/trap"},
		{"content type", fault.Fault{Kind: fault.ContentType}, 200, right, "Content-Type", "text/html; charset=utf-8"},
		{"text", fault.Fault{Kind: fault.Text401}, 401, "signature verification failed", "Content-Type", "text/plain; charset=utf-8"},
		{"empty", fault.Fault{Kind: fault.Empty}, 200, "", "Content-Length", "0"},
		{"garbage", fault.Fault{Kind: fault.Garbage}, 200, "\x00\xff\xfe{\"token\": <not json, not xml> \x80", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.fault.Path, test.fault.Times = "/a", 1
			s.set(t, test.fault)
			r, body := s.get(t, "/a")
			if r.StatusCode != test.status || test.body != "" && body != test.body ||
				test.header != "" && r.Header.Get(test.header) != test.headerValue {
				t.Errorf("status %d, headers %v, body %q", r.StatusCode, r.Header, body)
			}
			if _, again := s.get(t, "/a"); again != right {
				t.Errorf("the fault came twice: %q", again)
			}
		})
	}
}

func TestRetryAtDate(t *testing.T) {
	s := start(t)
	s.set(t, fault.Fault{Path: "/", Kind: fault.RateLimited, RetryAfter: 3600, RetryAtDate: true})
	before := time.Now().Truncate(time.Second)
	r, _ := s.get(t, "/")
	at, err := http.ParseTime(r.Header.Get("Retry-After"))
	if err != nil || at.Before(before.Add(time.Hour)) || at.After(time.Now().Add(time.Hour)) {
		t.Errorf("date %v, %v", at, err)
	}
}

func TestHuge(t *testing.T) {
	s := start(t)
	s.set(t, fault.Fault{Path: "/", Kind: fault.Huge})
	if _, body := s.get(t, "/"); len(body) < 10<<20 || !strings.HasSuffix(body, `"}`) {
		t.Errorf("%d bytes", len(body))
	}
}

// TestCutMints: the work was done although its answer got lost.
func TestCutMints(t *testing.T) {
	s := start(t)
	s.set(t, fault.Fault{Path: "/", Kind: fault.Cut})
	resp, err := direct.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 || s.done != 1 {
		t.Errorf("%v after %d bytes, work done %d times", err, len(body), s.done)
	}
}

// TestFaultsEndWithTheClient would run into the test's time limit if a fault
// outlived the client that meets it.
func TestFaultsEndWithTheClient(t *testing.T) {
	for _, kind := range []fault.Kind{fault.Hang, fault.Slow} {
		t.Run(string(kind), func(t *testing.T) {
			s := start(t)
			s.set(t, fault.Fault{Path: "/*", Kind: kind, Delay: time.Hour})
			ended := make(chan struct{})
			outer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				s.ServeHTTP(w, r)
			}))
			defer outer.Close()
			ctx, cancel := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, outer.URL+"/a", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			failed := make(chan error, 1)
			go func() {
				_, err := direct.Do(r)
				failed <- err
			}()
			for s.Count("/a") == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			<-ended
			if err := <-failed; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestClearFaultsEndsWhatHangs(t *testing.T) {
	s := start(t)
	s.set(t, fault.Fault{Path: "/", Kind: fault.Hang})
	failed := make(chan error, 1)
	go func() {
		_, err := direct.Post(s.url+"/", "text/plain", strings.NewReader("x"))
		failed <- err
	}()
	for s.Count("/") == 0 {
		time.Sleep(time.Millisecond)
	}
	s.ClearFaults()
	if err := <-failed; err == nil {
		t.Error("a hanging request was answered")
	}
}

func TestPaths(t *testing.T) {
	s := start(t)
	for path, code := range map[string]string{
		"/v1/*": "short", "/v1/credentials/*": "long", "/v1/credentials/a": "exact", "/v1/credentials/a*": "prefix of the same length",
	} {
		s.set(t, fault.Fault{Path: path, Kind: fault.Status, Code: code})
	}
	for path, want := range map[string]string{
		"/v1/credentials/a": "own form: exact", "/v1/credentials/b": "own form: long", "/v1/keys": "own form: short", "/keys": right,
	} {
		if _, got := s.get(t, path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	s.ClearFaults()
	if _, got := s.get(t, "/v1/credentials/a"); got != right {
		t.Errorf("cleared: %q", got)
	}
	for _, f := range []fault.Fault{
		{Path: "x", Kind: fault.Hang}, {Path: "/", Kind: "x"}, {Path: "/", Kind: fault.Slow, Times: -1},
		{Path: "/", Kind: fault.Status, Status: 99}, {Path: "/", Kind: fault.Slow, Delay: -1},
	} {
		if s.SetFault(f) == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
}

// TestTrap: whoever follows the redirect is seen, with what they carry.
func TestTrap(t *testing.T) {
	s := start(t)
	s.set(t, fault.Fault{Path: "/a", Kind: fault.Redirect})
	r, err := http.NewRequest(http.MethodGet, s.url+"/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer secret")
	resp, err := (&http.Client{}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := s.Requests("/-/trap"); len(got) != 1 || got[0].Header.Get("Authorization") != "Bearer secret" || s.done != 0 {
		t.Errorf("trap %v", got)
	}
}

func TestWhatIsRemembered(t *testing.T) {
	s := start(t)
	post := func(path, body string) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("X-Test", "1")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w.Code
	}
	for range 40 {
		post("/a?b=c", `{"owner":"acme"}`)
	}
	got := s.Requests("/a")
	if len(got) != 32 || s.Count("/a") != 40 {
		t.Fatalf("%d requests, count %d", len(got), s.Count("/a"))
	}
	r := got[0]
	if r.Method != "POST" || r.RawQuery != "b=c" || r.Header.Get("X-Test") != "1" {
		t.Errorf("remembered %s with query %q and header %v", r.Method, r.RawQuery, r.Header)
	}
	if want := `{"owner":"acme"}`; string(r.Body) != want || r.ContentLength != 16 {
		t.Errorf("remembered the body %q of length %d, want %s", r.Body, r.ContentLength, want)
	}
	post("/long", strings.Repeat("y", 20<<10))
	if got := s.Requests("/long"); len(got) != 1 || len(got[0].Body) != 16<<10 {
		t.Errorf("long body: %d requests", len(got))
	}
	if code := post("/longer", strings.Repeat("y", 256<<10+1)); code != http.StatusRequestEntityTooLarge {
		t.Errorf("longer body: status %d", code)
	}
	for i := range 200 {
		post("/"+strconv.Itoa(i), "")
	}
	if n := len(s.Counts()); n > 129 || s.Count("other") == 0 {
		t.Errorf("%d paths are remembered", n)
	}
}
