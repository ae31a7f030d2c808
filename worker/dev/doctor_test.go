package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/worker/policyfile"
	"mcp-credential-broker/worker/settings"
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

// TestDoctorLimiters: each limiter that is not bound is named, of those that the
// mode has a use for.
func TestDoctorLimiters(t *testing.T) {
	text := strings.Replace(relaying, `"relay"`, "\"sign-in\"\nVOUCH_CLIENT_ID = \"x\"", 1) + routed
	for _, name := range limit.Bindings() {
		text += fmt.Sprintf("[[ratelimits]]\nname = %q\n", name)
	}
	relay := strings.NewReplacer("\"sign-in\"\nVOUCH_CLIENT_ID = \"x\"", `"relay"`)
	without := func(name limit.Binding) string {
		return strings.Replace(text, fmt.Sprintf("[[ratelimits]]\nname = %q\n", name), "", 1)
	}
	tests := []struct {
		name, text string
		want       string // in a line that failed; empty: none did
	}{
		{"all", text, ""},
		{"none for sign-ins", without(limit.SignIn), "SIGN_IN_LIMITER is bound: add the [[ratelimits]] of this name"},
		{"none for what costs Vouch a call", without(limit.SignInStrict), "SIGN_IN_STRICT_LIMITER is bound: add"},
		{"none for tools", without(limit.Tool), "TOOL_LIMITER is bound: add the [[ratelimits]] of this name from the repository's wrangler.toml: one person can"},
		{"relay without a limiter of sign-ins", relay.Replace(without(limit.SignIn)), ""},
		{"relay without one of tools", relay.Replace(without(limit.Tool)), "TOOL_LIMITER"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, told := newDoctor(t, tt.text)
			d.checkSettings()
			if tt.want == "" && d.failed != 0 {
				t.Errorf("refused:\n%s", told)
			}
			if tt.want != "" && (d.failed != 1 || !strings.Contains(told.String(), "FAIL  the rate limiter "+tt.want)) {
				t.Errorf("%d failed, want %q:\n%s", d.failed, tt.want, told)
			}
		})
	}
}

// newDoctor returns the doctor of broker.example, as wrangler.toml has it.
func newDoctor(t *testing.T, text string) (*doctor, *strings.Builder) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wrangler.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Read(path, "")
	if err != nil {
		t.Fatal(err)
	}
	told := new(strings.Builder)
	return &doctor{settings: s, getenv: func(string) string { return "" }, root: filepath.Dir(path), origin: "https://broker.example", out: told}, told
}

// TestDoctorPolicy: the policy that is here must be valid, and be the broker's.
func TestDoctorPolicy(t *testing.T) {
	document, err := os.ReadFile("../../policy.example.json")
	if err != nil {
		t.Fatal(err)
	}
	valid, err := policy.Compile(document)
	if err != nil {
		t.Fatal(err)
	}
	id := valid.ID()
	tests := []struct {
		name, file string
		health     health
		want       string
		failed     int
	}{
		{"none", "", health{Status: "ok"}, "ok    the broker has the policy that is here", 0},
		{"the same", string(document), health{Status: "ok", Policy: id}, "ok    the broker has the policy that is here", 0},
		{"not deployed yet", string(document), health{Status: "ok"}, "the broker has none, and here is " + id, 1},
		{"another", string(document), health{Status: "ok", Policy: "sha256:0"}, "the broker has sha256:0, and here is " + id, 1},
		{"removed here", "", health{Status: "ok", Policy: id}, "the broker has " + id + ", and here is none", 1},
		{"a test of it fails", strings.Replace(string(document), `"want": "allow"`, `"want": "deny"`, 1), health{Status: "ok", Policy: id}, "FAIL  the policy here is valid", 1},
		{"invalid", "{", health{Status: "ok"}, "FAIL  the policy here is valid, and its tests pass: ", 1},
		{"a broker that does not answer", string(document), health{}, "ok    the policy here is valid", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, told := newDoctor(t, relaying+routed)
			if tt.file != "" {
				if err := os.WriteFile(filepath.Join(d.root, policyfile.Name), []byte(tt.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d.checkPolicy(tt.health)
			if d.failed != tt.failed || !strings.Contains(told.String(), tt.want) {
				t.Errorf("%d failed, want %d and %q:\n%s", d.failed, tt.failed, tt.want, told)
			}
		})
	}
}
