// Package e2e drives the built Worker in workerd from outside: with the
// official Go SDK client, and with raw HTTP where a client would be too polite.
// Vouch and STS are the strict ones of broker/vouchtest, on loopback.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/stack"
)

// shared is the stack that tests share when they leave no trace in it: the
// Worker as wrangler dev runs it, and all that it printed so far.
var shared struct {
	*stack.Stack
	printed *output
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// A test binary that is interrupted runs no clean-up of its own.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-interrupted
		stack.StopAll()
		os.Exit(1)
	}()
	if err := allowConnections(); err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	shared.printed = &output{}
	s, err := stack.Start(context.Background(), stack.Config{Worker: stack.WorkerConfig{Entry: instead, Output: shared.printed}})
	if err != nil {
		os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	defer s.Stop()
	shared.Stack = s
	return m.Run()
}

// allowConnections lets this process and each Worker that it starts have as many
// connections as the attacks of strangers_test.go want. Go raises the limit for
// itself alone unless it is told to.
func allowConnections() error {
	const wanted = 4096
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	if files.Max < wanted {
		return fmt.Errorf("the tests open up to %d files, and this system allows %d: raise the hard limit (ulimit -Hn)", wanted, files.Max)
	}
	files.Cur = wanted
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
}

// instead is the build for tests with a mutant in it, when make mutants runs the tests.
var instead = os.Getenv("FAULTS_ENTRY")

// start starts a stack of the test's own, in workerd without wrangler.
func start(t *testing.T, c stack.Config) *stack.Stack {
	t.Helper()
	c.Worker.Bare = true
	c.Worker.Entry = cmp.Or(instead, c.Worker.Entry)
	s, err := stack.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// output collects what a Worker prints.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// whole returns all that the Worker of s has printed of what was answered so far. It
// prints before it answers, but its words come through a pipe: so one more line is
// made it print, which is the last one when it is there.
func (o *output) whole(t *testing.T, s *stack.Stack) string {
	t.Helper()
	last := fmt.Sprintf("%016x-LAST", rand.Uint64())
	send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer x.y.z", "Cf-Ray: "+last)
	waitUntil(t, "the last line of the log", func() bool { return strings.Contains(o.String(), last) })
	return o.String()
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// An answer is an HTTP answer, read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

// send makes a request with headers given as "Name: value"; a name that comes
// twice is sent twice.
func send(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			req.Host = value
			continue
		}
		req.Header.Add(name, value)
	}
	resp, err := noRedirect.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

var noRedirect = http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// rpc is what the tests look at in a JSON-RPC answer.
type rpc struct {
	ID     json.RawMessage
	Result *struct {
		ResultType        string
		IsError           bool
		Content           []struct{ Type, Text string }
		StructuredContent map[string]any
	}
	Error *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

func (a answer) rpc(t *testing.T) rpc {
	t.Helper()
	var r rpc
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		t.Fatalf("status %d, body is no JSON-RPC answer: %v\n%s", a.status, err, a.body)
	}
	return r
}

// toolError is the guide's error form in an isError result.
type toolError struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
	Link   string `json:"approve_at"` // where a person can approve the call
	// RetryAfter is the wait of a limit, in seconds.
	RetryAfter int `json:"retry_after"`
}

// callTool calls a tool by raw HTTP in the legacy era and returns its result or
// its error form.
func callTool(t *testing.T, s *stack.Stack, token, tool string, arguments any) (map[string]any, *toolError) {
	t.Helper()
	params, err := json.Marshal(map[string]any{"name": tool, "arguments": arguments})
	if err != nil {
		t.Fatal(err)
	}
	a := send(t, "POST", s.MCP, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+string(params)+`}`,
		"Content-Type: application/json", "Authorization: Bearer "+token)
	r := a.rpc(t)
	if a.status != 200 || r.Result == nil || len(r.Result.Content) != 1 {
		t.Fatalf("status %d, want a result of one text: %s", a.status, a.body)
	}
	if !r.Result.IsError {
		return r.Result.StructuredContent, nil
	}
	if r.Result.StructuredContent != nil {
		t.Errorf("an error result has structured content: %s", a.body)
	}
	var e toolError
	if err := json.Unmarshal([]byte(r.Result.Content[0].Text), &e); err != nil || e.Error == "" || e.Status == 0 {
		t.Fatalf("error is not in the guide's form: %s", r.Result.Content[0].Text)
	}
	return nil, &e
}

// toolNames are the tools that a broker lists. Relay mode without a policy has one
// level, so one AWS tool.
func toolNames(signsIn bool) []string {
	names := []string{"get-aws-credentials", "get-github-token", "get-ssh-certificate", "whoami", "list-access", "explain-access"}
	if signsIn {
		names = slices.Insert(names, 1, "get-aws-write-credentials")
	}
	return names
}

// The calls that succeed against a fresh stack.
var goodCalls = []struct {
	tool      string
	arguments map[string]any
}{
	{"get-aws-credentials", map[string]any{"role_arn": ststest.RoleARN, "duration_seconds": 900}},
	{"get-github-token", map[string]any{"owner": "acme", "repositories": []string{"web"}}},
	{"get-ssh-certificate", map[string]any{"public_key": publicKey}},
}

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIU8WiQ3N5pgVFR96r2X2vc7olsv4mZHF/BnL2jH3gvw alice@laptop"

// mint mints a token of the stack's Vouch.
func mint(t *testing.T, s *stack.Stack, o vouchtest.TokenOptions) string {
	t.Helper()
	if o.Audience == "" {
		o.Audience = s.MCP
	}
	return s.Vouch.MintAccessToken(o)
}
