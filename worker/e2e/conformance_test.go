//go:build conformance

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/worker/stack"
)

const scenarioTime = 60 * time.Second

// A scenario is one of the official suite's, and what it must come to. The
// checks that fail or warn are in testdata/conformance.
type scenario struct {
	name string
	// passed is the suite's own count, and exact: a run that checks less than it used to is not a good one.
	passed int
	// empty says, in the suite's or the server's words, why the scenario proves
	// nothing here although the suite is content. "" is for one that proves something.
	empty string
}

const (
	noFixture = "unknown tool"               // it calls a tool that only a test server has
	noSession = "did not provide session ID" // it resumes the streams of a session
)

// The scenarios that apply to a server with tools of its own and JSON answers
// only. The suite's others want its fixtures, prompts, resources, completion,
// logging or an extension.
var conformance = []struct {
	revision  string
	scenarios []scenario
}{
	{"2026-07-28", []scenario{
		{name: "server-stateless", passed: 21},
		{name: "http-header-validation", passed: 14},
		{name: "tools-list", passed: 4},
		{name: "dns-rebinding-protection", passed: 2},
		{name: "caching", passed: 4},
		{name: "server-sse-multiple-streams", passed: 1},
		{name: "sep-2164-resource-not-found", passed: 2},
		{name: "input-required-result-unsupported-methods", passed: 2},
		{name: "input-required-result-ignore-extra-params", passed: 1, empty: noFixture},
		{name: "input-required-result-missing-input-response", passed: 1, empty: "JSON-RPC error instead of re-requesting"},
		{name: "input-required-result-validate-input", passed: 3, empty: noFixture},
	}},
	{"2025-11-25", []scenario{
		{name: "server-initialize", passed: 2},
		{name: "ping", passed: 2},
		{name: "tools-list", passed: 3},
		{name: "dns-rebinding-protection", passed: 2},
		{name: "server-session-lifecycle", empty: "Server is stateless"},
		{name: "server-sse-multiple-streams", empty: noSession},
		{name: "server-sse-polling", empty: noSession},
	}},
}

// TestConformance runs the official suite against the Worker, one scenario at a
// time: a whole suite of it runs and counts what does not apply.
func TestConformance(t *testing.T) {
	endpoint := startBehindProxy(t)
	for _, c := range conformance {
		baseline := filepath.Join("testdata", "conformance", c.revision+".yml")
		expected := expectedFailures(t, baseline)
		for _, s := range c.scenarios {
			t.Run(c.revision+"/"+s.name, func(t *testing.T) {
				printed, checks := runSuite(t, endpoint, c.revision, s.name, baseline)
				s.verify(t, checks, expected[s.name])
				if t.Failed() {
					t.Logf("the suite printed:\n%s", printed)
				}
			})
			delete(expected, s.name)
		}
		for name := range expected {
			t.Errorf("%s names %s, which is not run", baseline, name)
		}
	}
}

// verify holds the checks of a scenario to what it must come to. expected are
// the ids of those that fail or warn.
func (s scenario) verify(t *testing.T, checks []check, expected []string) {
	t.Helper()
	var passed, failed, proofs int
	var unmet []string
	excused := false
	for _, c := range checks {
		excuse := s.empty != "" && strings.Contains(c.text, s.empty)
		excused = excused || excuse
		switch c.Status {
		case "SUCCESS":
			passed++
			// Whatever was said was said in good form: true of an empty run as well.
			if c.ID != "wire-schema-valid" && !excuse {
				proofs++
			}
		case "FAILURE":
			failed++
			unmet = append(unmet, c.ID)
		case "WARNING":
			unmet = append(unmet, c.ID)
		}
	}
	t.Logf("%d/%d passed, %d failed, %d warned", passed, passed+failed, failed, len(unmet)-failed)
	if s.empty != "" {
		t.Logf("this proves nothing here: %q", s.empty)
	}
	if passed != s.passed {
		t.Errorf("%d checks passed, want %d", passed, s.passed)
	}
	// The suite itself does not mind an expected failure that was not checked at all.
	slices.Sort(unmet)
	slices.Sort(expected)
	if !slices.Equal(unmet, expected) {
		t.Errorf("failed or warned: %q, want %q", unmet, expected)
	}
	if s.empty == "" && proofs == 0 {
		t.Error("the scenario proved nothing")
	}
	if s.empty != "" && (proofs > 0 || !excused) {
		t.Errorf("the scenario no longer proves nothing because of %q: look at it again", s.empty)
	}
}

// A check is one that the suite made.
type check struct {
	ID, Status string
	text       string // all of it
}

// UnmarshalJSON implements json.Unmarshaler.
func (c *check) UnmarshalJSON(b []byte) error {
	type plain check
	c.text = string(b)
	return json.Unmarshal(b, (*plain)(c))
}

// runSuite runs one scenario and returns what the suite printed and checked. It
// fails the test unless the suite ends well and has written its checks down:
// it ends just as well when it skips a scenario.
func runSuite(t *testing.T, endpoint, revision, name, baseline string) (printed string, checks []check) {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	node, err := stack.Node(root)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), scenarioTime)
	defer cancel()
	out := t.TempDir()
	cmd := exec.CommandContext(ctx, node, filepath.Join(root, "node_modules", ".bin", "conformance"), "server",
		"--url", endpoint, "--scenario", name, "--spec-version", revision, "--expected-failures", baseline, "-o", out)
	cmd.WaitDelay = time.Second
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the suite ended with: %v", err)
	}
	written, err := filepath.Glob(filepath.Join(out, "*", "checks.json"))
	if err != nil || len(written) != 1 {
		t.Fatalf("the suite wrote %d files of checks, want 1; it printed:\n%s", len(written), text)
	}
	content, err := os.ReadFile(written[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &checks); err != nil {
		t.Fatal(err)
	}
	return string(text), checks
}

// expectedFailures reads a baseline in the suite's format: the ids of the
// checks that fail or warn, by scenario.
func expectedFailures(t *testing.T, baseline string) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(baseline)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string][]string{}
	for line := range bytes.Lines(content) {
		entry, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "- ")
		if !ok {
			continue
		}
		name, id, ok := strings.Cut(entry, ":")
		if !ok {
			t.Fatalf("%s: %q excuses a whole scenario", baseline, entry)
		}
		expected[name] = append(expected[name], id)
	}
	return expected
}

// startBehindProxy starts a stack behind a proxy that adds a token, since the
// suite has no way to send one, and returns the URL to test. The rest goes on
// as it came: the Worker must see the Host and the Origin that the suite sent,
// so the proxy's URL is the Worker's public one.
func startBehindProxy(t *testing.T) string {
	t.Helper()
	proxy := httptest.NewUnstartedServer(nil)
	t.Cleanup(proxy.Close)
	endpoint := fmt.Sprintf("http://localhost:%d/mcp", proxy.Listener.Addr().(*net.TCPAddr).Port)
	s := start(t, stack.Config{Worker: stack.WorkerConfig{Vars: map[string]string{"VOUCH_AUDIENCE": endpoint}}})
	token := mint(t, s, vouchtest.TokenOptions{Audience: endpoint, Scope: "openid email"})
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	proxy.Config.Handler = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = "http", strings.TrimPrefix(s.Worker.URL, "http://")
			r.Out.Host = r.In.Host
			if r.In.Header["Authorization"] == nil {
				r.Out.Header.Set("Authorization", "Bearer "+token)
			}
		},
	}
	proxy.Start()
	return endpoint
}
