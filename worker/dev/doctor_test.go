package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/upstream"
)

// practice is a broker in sign-in mode, registered at a local Vouch, and what
// stands before it.
type practice struct {
	*client
	out   strings.Builder
	url   string
	vars  map[string]string
	front func(next http.Handler) http.Handler
}

func newPractice(t *testing.T) *practice {
	p := &practice{}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.front != nil {
			p.front(handler).ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	p.client = newClient(t, p.url+"/mcp")
	r := p.kept()
	p.vars = map[string]string{
		"VOUCH_ISSUER": r.Issuer, "VOUCH_AUDIENCE": r.Audience, "VOUCH_CLIENT_ID": r.ClientID, "BROKER_MODE": "sign-in", "BROKER_KEY": r.Key.Reveal(),
	}
	var err error
	handler, err = broker.New(broker.Environment{
		Getenv:  func(name string) string { return p.vars[name] },
		Fetcher: upstream.NetHTTP{}, Now: time.Now, Log: func(string) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *practice) examine(now func() time.Time) error {
	d := doctor{
		getenv: p.getenv, root: p.root, origin: p.url, out: &p.out,
		world: world{upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now}, now, nil},
	}
	return d.examine(p.t.Context())
}

func TestDoctor(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(p *practice)
		later time.Duration
		want  string // in a line that failed; empty: all is well
	}{
		{name: "healthy"},
		{name: "a bot rule", spoil: func(p *practice) {
			p.front = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.UserAgent(), "python-httpx") {
						w.Header().Set("Cf-Mitigated", "challenge")
						w.WriteHeader(http.StatusForbidden)
						return
					}
					next.ServeHTTP(w, r)
				})
			}
		}, want: "calls itself python-httpx/0.28.1 is asked to sign in: it was stopped with status 403: turn Bot Fight Mode off"},
		{name: "another key", spoil: func(p *practice) {
			key, err := p256.Generate()
			if err != nil {
				p.t.Fatal(err)
			}
			p.rewrite("key", key.Reveal())
		}, want: "Vouch takes the broker's key: "},
		{name: "a clock", later: 5 * time.Minute, want: "clock and Vouch's agree: they are"},
		{name: "no Vouch", spoil: func(p *practice) { _ = p.vouch.Close() }, want: "Vouch's keys are there: "},
		{name: "another site", spoil: func(p *practice) {
			p.front = func(http.Handler) http.Handler { return http.NotFoundHandler() }
		}, want: "/healthz says ok: an answer that is not this broker's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPractice(t)
			if tt.spoil != nil {
				tt.spoil(p)
			}
			err := p.examine(func() time.Time { return time.Now().Add(tt.later) })
			told := p.out.String()
			for _, secret := range p.secrets() {
				if strings.Contains(told, secret) {
					t.Errorf("a secret was told: %s", told)
				}
			}
			if tt.want == "" && (err != nil || !strings.Contains(told, "All is well") || strings.Count(told, "  ok ") < 9) {
				t.Errorf("error %v:\n%s", err, told)
			}
			if tt.want != "" && (err == nil || !strings.Contains(told, "FAIL  ") || !strings.Contains(told, tt.want)) {
				t.Errorf("error %v, want %q:\n%s", err, tt.want, told)
			}
		})
	}
}
