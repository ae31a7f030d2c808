package vouchtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

func setFault(t *testing.T, tap *vouchtest.Tap, f vouchtest.Fault) {
	t.Helper()
	if err := tap.SetFault(f); err != nil {
		t.Fatal(err)
	}
}

func TestFaultAnswers(t *testing.T) {
	s := start(t, vouchtest.Options{})
	right := get(t, s.VouchURL+caPath).body
	tests := []struct {
		name        string
		fault       vouchtest.Fault
		status      int
		body        string // "" is not looked at
		header      string
		headerValue string
	}{
		{"500", vouchtest.Fault{Kind: vouchtest.FaultStatus}, 500, `{"code":"server_error","message":"made to fail"}`, "", ""},
		{"a code", vouchtest.Fault{Kind: vouchtest.FaultStatus, Status: 401, Code: "invalid_token"}, 401, `{"code":"invalid_token","message":"made to fail"}`, "", ""},
		{"429", vouchtest.Fault{Kind: vouchtest.FaultRateLimited, RetryAfter: 30}, 429, "", "Retry-After", "30"},
		{"slow", vouchtest.Fault{Kind: vouchtest.FaultSlow, Delay: time.Millisecond}, 200, right, "Content-Type", "application/json"},
		{"redirect", vouchtest.Fault{Kind: vouchtest.FaultRedirect}, 307, "", "Location", "/-/trap"},
		{"content type", vouchtest.Fault{Kind: vouchtest.FaultContentType}, 200, right, "Content-Type", "text/html; charset=utf-8"},
		{"text", vouchtest.Fault{Kind: vouchtest.FaultText401}, 401, "signature verification failed", "Content-Type", "text/plain; charset=utf-8"},
		{"empty", vouchtest.Fault{Kind: vouchtest.FaultEmpty}, 200, "", "Content-Length", "0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.fault.Path, test.fault.Times = caPath, 1
			setFault(t, s.Vouch.Tap, test.fault)
			r := get(t, s.VouchURL+caPath)
			if r.status != test.status || test.body != "" && r.body != test.body ||
				test.header != "" && r.header.Get(test.header) != test.headerValue {
				t.Errorf("status %d, headers %v, body %q", r.status, r.header, r.body)
			}
			if again := get(t, s.VouchURL+caPath); again.body != right {
				t.Errorf("the fault came twice: %q", again.body)
			}
		})
	}
}

func TestRetryAtDate(t *testing.T) {
	s := start(t, vouchtest.Options{})
	setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: caPath, Kind: vouchtest.FaultRateLimited, RetryAfter: 3600, RetryAtDate: true})
	before := time.Now().Truncate(time.Second)
	at, err := http.ParseTime(get(t, s.VouchURL+caPath).header.Get("Retry-After"))
	if err != nil || at.Before(before.Add(time.Hour)) || at.After(time.Now().Add(time.Hour)) {
		t.Errorf("date %v, %v", at, err)
	}
}

func TestFaultBodies(t *testing.T) {
	s := start(t, vouchtest.Options{})
	setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: caPath, Kind: vouchtest.FaultHuge, Times: 1})
	if r := get(t, s.VouchURL+caPath); len(r.body) < 10<<20 || r.decode(t)["token"] == "" {
		t.Errorf("huge: %d bytes", len(r.body))
	}
	setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: caPath, Kind: vouchtest.FaultGarbage, Times: 1})
	if r := get(t, s.VouchURL+caPath); r.status != http.StatusOK || !strings.Contains(r.body, "\x00\xff") {
		t.Errorf("garbage: %q", r.body)
	}
	setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: caPath, Kind: vouchtest.FaultCut, Times: 1})
	resp, err := browser.Do(request(t, http.MethodGet, s.VouchURL+caPath, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || len(body) == 0 {
		t.Errorf("cut: %v after %d bytes", err, len(body))
	}
}

// TestFaultsEndWithTheClient would run into the test's time limit if a fault
// outlived the client that meets it.
func TestFaultsEndWithTheClient(t *testing.T) {
	for _, kind := range []vouchtest.FaultKind{vouchtest.FaultHang, vouchtest.FaultSlow} {
		t.Run(string(kind), func(t *testing.T) {
			v, err := vouchtest.New(vouchtest.Options{Issuer: "https://vouch.example"})
			if err != nil {
				t.Fatal(err)
			}
			setFault(t, v.Tap, vouchtest.Fault{Path: "/*", Kind: kind, Delay: time.Hour})
			ended := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				v.ServeHTTP(w, r)
			}))
			defer server.Close()
			ctx, cancel := context.WithCancel(t.Context())
			r := request(t, http.MethodPost, server.URL+githubPath, "{}").WithContext(ctx)
			failed := make(chan error, 1)
			go func() {
				_, err := browser.Do(r)
				failed <- err
			}()
			for v.Count(githubPath) == 0 {
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
	s := start(t, vouchtest.Options{})
	setFault(t, s.STS.Tap, vouchtest.Fault{Path: "/", Kind: vouchtest.FaultHang})
	r := request(t, http.MethodPost, s.STSURL, "x")
	failed := make(chan error, 1)
	go func() {
		_, err := browser.Do(r)
		failed <- err
	}()
	for s.STS.Count("/") == 0 {
		time.Sleep(time.Millisecond)
	}
	s.STS.ClearFaults()
	if err := <-failed; err == nil {
		t.Error("a hanging request was answered")
	}
}

func TestFaultPaths(t *testing.T) {
	s := start(t, vouchtest.Options{})
	code := func(path string) string { return get(t, s.VouchURL+path).code(t) }
	fault := func(path, code string) {
		setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: path, Kind: vouchtest.FaultStatus, Code: code})
	}
	fault("/v1/*", "short")
	fault("/v1/credentials/*", "long")
	fault(caPath, "exact")
	fault(caPath+"*", "prefix of the same length")
	for path, want := range map[string]string{caPath: "exact", awsPath: "long", "/v1/keys": "short", "/oauth/jwks": ""} {
		if got := code(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	s.Vouch.ClearFaults()
	if got := get(t, s.VouchURL+caPath).status; got != http.StatusOK {
		t.Errorf("cleared: status %d", got)
	}
	for _, f := range []vouchtest.Fault{
		{Path: "x", Kind: vouchtest.FaultHang}, {Path: "/", Kind: "x"}, {Path: "/", Kind: vouchtest.FaultSlow, Times: -1},
		{Path: "/", Kind: vouchtest.FaultStatus, Status: 99}, {Path: "/", Kind: vouchtest.FaultSlow, Delay: -1},
	} {
		if s.Vouch.SetFault(f) == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
}

// TestTrap: whoever follows the redirect is seen, with what they carry.
func TestTrap(t *testing.T) {
	s := start(t, vouchtest.Options{})
	setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: "/oauth/jwks", Kind: vouchtest.FaultRedirect})
	resp, err := (&http.Client{}).Do(request(t, http.MethodGet, s.VouchURL+"/oauth/jwks", "", bearer("secret")...))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := s.Vouch.Requests("/-/trap"); len(got) != 1 || got[0].Header.Get("Authorization") != "Bearer secret" {
		t.Errorf("trap %v", got)
	}
}

func TestWhatIsRemembered(t *testing.T) {
	s := start(t, vouchtest.Options{})
	for range 40 {
		postJSON(t, s.VouchURL+githubPath+"?a=b", `{"owner":"acme"}`, "X-Test", "1")
	}
	got := s.Vouch.Requests(githubPath)
	if len(got) != 32 || s.Vouch.Count(githubPath) != 40 {
		t.Fatalf("%d requests, count %d", len(got), s.Vouch.Count(githubPath))
	}
	if r := got[0]; r.Method != "POST" || r.RawQuery != "a=b" || string(r.Body) != `{"owner":"acme"}` ||
		r.Header.Get("X-Test") != "1" || r.ContentLength != 16 {
		t.Errorf("request %+v", r)
	}
	postForm(t, s.STSURL, map[string][]string{"x": {strings.Repeat("y", 20<<10)}})
	if got := s.STS.Requests("/"); len(got) != 1 || len(got[0].Body) != 16<<10 {
		t.Errorf("long body: %d requests", len(got))
	}
	for i := range 200 {
		get(t, s.VouchURL+"/"+strings.Repeat("x", i+1))
	}
	if n := len(s.Vouch.Counts()); n > 129 || s.Vouch.Count("other") == 0 {
		t.Errorf("%d paths are remembered", n)
	}
}

// TestCutMints proves that the work was done although its answer got lost.
func TestCutMints(t *testing.T) {
	s := startWithClient(t, vouchtest.Options{})
	setFault(t, s.Vouch.Tap, vouchtest.Fault{Path: "/oauth/token", Kind: vouchtest.FaultCut, Times: 1})
	form := redemption(authorize(t, s, authorization()).Get("code"))
	r := request(t, http.MethodPost, s.VouchURL+"/oauth/token", form.Encode(), "Content-Type", "application/x-www-form-urlencoded")
	resp, err := browser.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if again := postForm(t, s.VouchURL+"/oauth/token", form); again.code(t) != "invalid_grant" {
		t.Errorf("the code was not spent: %s", again.body)
	}
}
