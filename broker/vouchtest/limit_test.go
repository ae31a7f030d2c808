package vouchtest_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

func TestRateLimit(t *testing.T) {
	now := newClock()
	v, err := vouchtest.New(vouchtest.Options{Issuer: "https://vouch.example", Now: now.Now, RateLimit: true})
	if err != nil {
		t.Fatal(err)
	}
	from := func(address, method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		return w
	}
	tests := []struct {
		name, method, path string
		burst              int
		interval           time.Duration
		limit              string
	}{
		{"authentication", "POST", "/oauth/token", 8, 2 * time.Second, "8"},
		{"credential", "GET", awsPath, 15, 2 * time.Second, "15"},
		{"general", "GET", caPath, 20, time.Second, "20"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			send := func() *httptest.ResponseRecorder { return from("192.0.2.1:1000", test.method, test.path) }
			for i := range test.burst {
				if w := send(); w.Code == http.StatusTooManyRequests || w.Header().Get("x-ratelimit-limit") != test.limit {
					t.Fatalf("request %d: status %d, headers %v", i, w.Code, w.Header())
				}
			}
			w := send()
			if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" ||
				w.Header().Get("x-ratelimit-after") != w.Header().Get("Retry-After") || w.Header().Get("x-ratelimit-remaining") != "0" {
				t.Fatalf("status %d, headers %v", w.Code, w.Header())
			}
			now.advance(test.interval)
			if w := send(); w.Code == http.StatusTooManyRequests {
				t.Errorf("after the interval: status %d", w.Code)
			}
			if w := send(); w.Code != http.StatusTooManyRequests {
				t.Errorf("twice after one interval: status %d", w.Code)
			}
			if w := from("192.0.2.2:1000", test.method, test.path); w.Code == http.StatusTooManyRequests {
				t.Error("another address pays")
			}
		})
	}
	for range 20 {
		from("[2001:db8::1]:1", "GET", caPath)
	}
	if w := from("[2001:db8::ffff:1]:1", "GET", caPath); w.Code != http.StatusTooManyRequests {
		t.Errorf("same /64: status %d", w.Code)
	}
	if w := from("[2001:db8:0:1::1]:1", "GET", caPath); w.Code != http.StatusOK {
		t.Errorf("other /64: status %d", w.Code)
	}
	for range 100 {
		if w := from("192.0.2.1:1", "GET", "/oauth/jwks"); w.Code != http.StatusOK || w.Header().Get("x-ratelimit-limit") != "" {
			t.Fatalf("keys: status %d", w.Code)
		}
	}
}

func TestNewRefusals(t *testing.T) {
	for _, issuer := range []string{"", "vouch.example", "https://vouch.example/", "https://vouch.example/x", "https://vouch.example?x", "ftp://vouch.example", "https://u@vouch.example"} {
		if _, err := vouchtest.New(vouchtest.Options{Issuer: issuer}); err == nil {
			t.Errorf("issuer %q is accepted", issuer)
		}
	}
	if _, err := vouchtest.New(vouchtest.Options{Issuer: "https://vouch.example", Person: vouchtest.Person{Email: "x"}}); err == nil {
		t.Error("a person without address is accepted")
	}
}

func TestStartRefusals(t *testing.T) {
	for _, o := range []vouchtest.StackOptions{
		{VouchAddress: "0.0.0.0:0"}, {STSAddress: ":0"}, {VouchAddress: "x"}, {Vouch: vouchtest.Options{Issuer: "x"}},
	} {
		if s, err := vouchtest.Start(o); err == nil {
			t.Errorf("%+v is accepted", o)
			_ = s.Close()
		}
	}
}
