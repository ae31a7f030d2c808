package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/worker/stack"
)

// faults is the Worker with routes below /faults/ that do to the Go program
// what a defect would do (worker/faults_js.go).
var faults = stack.Config{Worker: stack.WorkerConfig{Entry: "build/faults/worker.mjs"}}

// The bounds of docs/architecture.md, in bytes.
const (
	maxProgramBytes = 40 << 20
	maxIsolateBytes = 96 << 20
)

func memory(t *testing.T, s *stack.Stack) (current, retiring int) {
	t.Helper()
	var both [2]int
	a := send(t, "GET", s.Worker.URL+"/faults/memory", "")
	if err := json.Unmarshal([]byte(a.body), &both); err != nil {
		t.Fatalf("memory: %d %s", a.status, a.body)
	}
	return both[0], both[1]
}

// slow makes every credential call wait at Vouch.
func slow(t *testing.T, s *stack.Stack, d time.Duration) {
	t.Helper()
	if err := s.Vouch.SetFault(fault.Fault{Path: "/v1/credentials/*", Kind: fault.Slow, Delay: d}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Vouch.ClearFaults)
}

// waitUntil asks for a condition until it holds or ten seconds are over.
func waitUntil(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

// TestConcurrentCalls: 200 calls that wait for a slow Vouch at the same time
// all succeed, in one program and little memory, and leave nothing behind.
func TestConcurrentCalls(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	callTool(t, s, token, goodCalls[0].tool, goodCalls[0].arguments)
	idle := goroutines(t, s)
	slow(t, s, 200*time.Millisecond)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			call := goodCalls[i%len(goodCalls)]
			if result, e := callTool(t, s, token, call.tool, call.arguments); e != nil || result == nil {
				t.Errorf("%s: %+v", call.tool, e)
			}
		})
	}
	wg.Wait()
	if current, retiring := memory(t, s); current+retiring > maxIsolateBytes {
		t.Errorf("linear memories of %d and %d bytes", current, retiring)
	}
	if n := goroutines(t, s); n > idle {
		t.Errorf("%d goroutines, %d before", n, idle)
	}
}

func goroutines(t *testing.T, s *stack.Stack) int {
	t.Helper()
	return number(t, s, "/faults/goroutines")
}

func number(t *testing.T, s *stack.Stack, path string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(send(t, "GET", s.Worker.URL+path, "").body, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// hangUp sends a request and breaks the connection once reached says so.
func hangUp(t *testing.T, s *stack.Stack, body string, headers []string, reached func() bool) {
	t.Helper()
	u, err := url.Parse(s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n%s\r\n\r\n%s", u.Host, len(body), strings.Join(headers, "\r\n"), body)
	waitUntil(t, "the upstream call", reached)
	// A reset, not an orderly end: half a connection may be closed by a client that still waits.
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// TestClientHangsUp: a modern client's hanging up ends what it asked for, unless
// something is being minted, which is finished and audited; a legacy client's
// is no cancellation at all.
func TestClientHangsUp(t *testing.T) {
	printed := &output{}
	config := faults
	config.Worker.Output = printed
	s := start(t, config)
	token := "Authorization: Bearer " + s.Token()
	send(t, "POST", s.MCP, ping, jsonType, token) // the keys are fetched
	idle := goroutines(t, s)
	outcomes := func(outcome string) int { return strings.Count(printed.String(), `"outcome":"`+outcome+`"`) }

	tests := []struct {
		name    string
		modern  bool
		path    string
		call    int // of goodCalls
		outcome string
	}{
		{"modern, before anything is minted", true, pathAWS, 0, "canceled"},
		{"modern, while GitHub's token is minted", true, pathGitHub, 1, "issued"},
		{"modern, while a certificate is signed", true, pathSSH, 2, "issued"},
		{"legacy", false, pathAWS, 0, "issued"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			slow(t, s, time.Second)
			before, count, sts := outcomes(tt.outcome), s.Vouch.Count(tt.path), s.STS.Count("/")
			arguments, err := json.Marshal(goodCalls[tt.call].arguments)
			if err != nil {
				t.Fatal(err)
			}
			params := `"name":"` + goodCalls[tt.call].tool + `","arguments":` + string(arguments)
			body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + params + `}}`
			headers := []string{jsonType, token}
			if tt.modern {
				body = modernBody("tools/call", params)
				headers = append(headers, modern, "Mcp-Method: tools/call", "Mcp-Name: "+goodCalls[tt.call].tool)
			}
			hangUp(t, s, body, headers, func() bool { return s.Vouch.Count(tt.path) > count })
			waitUntil(t, "the audit line", func() bool { return outcomes(tt.outcome) == before+1 })
			if tt.outcome == "canceled" && s.STS.Count("/") != sts {
				t.Error("STS was called for a client that had gone")
			}
			waitUntil(t, "the end of all goroutines", func() bool { return goroutines(t, s) <= idle })
		})
	}
}

// TestPanic: a panic ends its own request and no other.
func TestPanic(t *testing.T) {
	printed := &output{}
	config := faults
	config.Worker.Output = printed
	s := start(t, config)
	token := s.Token()
	slow(t, s, 500*time.Millisecond)
	done := make(chan *toolError)
	go func() {
		_, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments)
		done <- e
	}()
	waitUntil(t, "the upstream call", func() bool { return s.Vouch.Count(pathGitHub) > 0 })
	if a := send(t, "GET", s.Worker.URL+"/faults/panic", ""); a.status != 500 || !strings.Contains(a.body, "try again") || a.header.Get("X-Request-Id") != "of-the-panic" {
		t.Errorf("panic: %d %s, %v", a.status, a.body, a.header)
	}
	line := printed.lines(t, "panic", 1)[0]
	for name, want := range map[string]string{"request_id": "of-the-panic", "time": "T", "reason": "index out of range", "stack": "faults"} {
		if !strings.Contains(fmt.Sprint(line[name]), want) {
			t.Errorf("logged as %s: %v, want %q in it", name, line[name], want)
		}
	}
	if e := <-done; e != nil {
		t.Errorf("the request beside it failed: %+v", e)
	}
}

// TestProgramExits: when the Go program ends, the requests in flight are told
// to come again, and the next one meets a fresh program.
func TestProgramExits(t *testing.T) {
	s := start(t, faults)
	token := "Authorization: Bearer " + s.Token()
	slow(t, s, 500*time.Millisecond)
	const inFlight = 10
	answers := make(chan answer, inFlight)
	for range inFlight {
		go func() {
			answers <- send(t, "POST", s.MCP, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-github-token"}}`, jsonType, token)
		}()
	}
	waitUntil(t, "the upstream calls", func() bool { return s.Vouch.Count(pathGitHub) == inFlight })
	restarting := func(a answer) bool { return a.status == 503 && a.header.Get("Retry-After") == "1" }
	if a := send(t, "GET", s.Worker.URL+"/faults/exit", "", "Cf-Ray: 8f1e2d3c4b5a6978-FRA"); !restarting(a) || a.header.Get("X-Request-Id") != "8f1e2d3c4b5a6978-FRA" {
		t.Errorf("the request that ended the program: %d %s", a.status, a.body)
	}
	s.Vouch.ClearFaults()
	if a := send(t, "POST", s.MCP, ping, jsonType, token); a.status != 200 {
		t.Errorf("the next request: %d %s", a.status, a.body)
	}
	for range inFlight {
		if a := <-answers; !restarting(a) {
			t.Errorf("a request in flight: %d %s", a.status, a.body)
		}
	}
}

// TestEntryGivenUp: a program that was stopped in the middle of a request, without an
// end, is not entered again: the requests in flight are told to come again, and the
// next one meets a fresh program.
func TestEntryGivenUp(t *testing.T) {
	s := start(t, faults)
	token := "Authorization: Bearer " + s.Token()
	slow(t, s, 500*time.Millisecond)
	inFlight := make(chan answer, 1)
	go func() {
		inFlight <- send(t, "POST", s.MCP, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-github-token"}}`, jsonType, token)
	}()
	waitUntil(t, "the upstream call", func() bool { return s.Vouch.Count(pathGitHub) > 0 })
	if a := send(t, "GET", s.Worker.URL+"/faults/abandon", ""); a.status != 500 {
		t.Errorf("the request that was given up: %d %s", a.status, a.body)
	}
	if a := send(t, "POST", s.MCP, ping, jsonType, token); a.status != 200 {
		t.Errorf("the next request: %d %s", a.status, a.body)
	}
	if a := <-inFlight; a.status != 503 || a.header.Get("Retry-After") != "1" {
		t.Errorf("a request in flight: %d %s", a.status, a.body)
	}
}

// TestMemoryBound: a program past its bound takes no new request and goes when
// its last one ends; there are never more than two.
func TestMemoryBound(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer "+token)
	grow := func() int { return send(t, "GET", s.Worker.URL+"/faults/grow?mib=36", "").status }
	slow(t, s, 2*time.Second)
	inFlight := func() <-chan *toolError {
		before := s.Vouch.Count(pathGitHub)
		done := make(chan *toolError, 1)
		go func() {
			_, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments)
			done <- e
		}()
		waitUntil(t, "the upstream call", func() bool { return s.Vouch.Count(pathGitHub) > before })
		return done
	}
	first := inFlight()
	if status := grow(); status != 200 {
		t.Fatalf("grow: status %d", status)
	}
	current, retiring := memory(t, s)
	if current > maxProgramBytes || retiring <= maxProgramBytes {
		t.Errorf("memories of %d and %d bytes; want a fresh program and the old one retiring", current, retiring)
	}
	second := inFlight()
	if status := grow(); status != 200 {
		t.Fatalf("grow: status %d", status)
	}
	a := send(t, "GET", s.Worker.URL+"/healthz", "")
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("a third program was started: %d %s", a.status, a.body)
	}
	for _, done := range []<-chan *toolError{first, second} {
		if e := <-done; e != nil {
			t.Errorf("a call in a retiring program failed: %+v", e)
		}
	}
	waitUntil(t, "room for new requests", func() bool { return send(t, "GET", s.Worker.URL+"/healthz", "").status == 200 })
	if current, retiring := memory(t, s); current+retiring > maxIsolateBytes || retiring != 0 {
		t.Errorf("memories of %d and %d bytes at the end", current, retiring)
	}
}

// TestRetiringEnds: a program that waits for a request which the platform has given up
// goes all the same, after the longest time that a request can take.
func TestRetiringEnds(t *testing.T) {
	s := start(t, faults)
	fault := func(what string) int { return send(t, "GET", s.Worker.URL+"/faults/"+what, "").status }
	for _, what := range []string{"strand", "grow?mib=36", "age", "grow?mib=36"} {
		if status := fault(what); status != 200 {
			t.Fatalf("%s: status %d", what, status)
		}
	}
	if status := fault("strand"); status != 200 {
		t.Errorf("status %d while a program waits for what never ends", status)
	}
	if _, retiring := memory(t, s); retiring != 0 {
		t.Errorf("a program without requests is still there, with %d bytes", retiring)
	}
}

// TestHangUpBeforeMinting: a client that has gone before its credential was
// asked for gets none, although the hop that mints is not to be cancelled.
func TestHangUpBeforeMinting(t *testing.T) {
	printed := &output{}
	config := faults
	config.Worker.Output = printed
	s := start(t, config)
	if err := s.Vouch.SetFault(fault.Fault{Path: pathJWKS, Kind: fault.Slow, Delay: time.Second}); err != nil {
		t.Fatal(err)
	}
	headers := []string{jsonType, "Authorization: Bearer " + s.Token(), modern, "Mcp-Method: tools/call", "Mcp-Name: get-github-token"}
	hangUp(t, s, modernBody("tools/call", `"name":"get-github-token"`), headers, func() bool { return s.Vouch.Count(pathJWKS) > 0 })
	waitUntil(t, "the audit line", func() bool { return strings.Contains(printed.String(), `"outcome":"canceled"`) })
	if n := s.Vouch.Count(pathGitHub); n != 0 {
		t.Errorf("%d tokens were asked for", n)
	}
}

// TestCollections: a collection makes the Go runtime want a timer, which would
// fire inside whatever request is running then. It gets none, and no request
// suffers.
func TestCollections(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	slow(t, s, 50*time.Millisecond)
	var wg sync.WaitGroup
	for i := range 60 {
		wg.Go(func() {
			if i%3 == 0 {
				if a := send(t, "GET", s.Worker.URL+"/faults/collect", ""); a.status != 200 {
					t.Errorf("collect: %d %s", a.status, a.body)
				}
				return
			}
			if _, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments); e != nil {
				t.Errorf("a call across collections: %+v", e)
			}
		})
	}
	wg.Wait()
	if n := number(t, s, "/faults/timers"); n != 0 {
		t.Errorf("%d timers were armed for the Go runtime", n)
	}
}

// TestMemoryDoesNotGrow: a kept program must not leak by the request.
func TestMemoryDoesNotGrow(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	for range 100 {
		callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments)
	}
	before, _ := memory(t, s)
	for i := range 1000 {
		if _, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments); e != nil {
			t.Fatalf("call %d: %+v", i, e)
		}
	}
	after, retiring := memory(t, s)
	if retiring != 0 || after-before > 8<<20 {
		t.Errorf("1,000 calls took memory from %d to %d bytes", before, after)
	}
}

// TestColdIsolate: requests that arrive together in a new isolate, while the
// keys are slow to come, neither wait for each other's fetch nor fail.
func TestColdIsolate(t *testing.T) {
	s := start(t, faults)
	if err := s.Vouch.SetFault(fault.Fault{Path: pathJWKS, Kind: fault.Slow, Delay: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	token := s.Token()
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			if _, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments); e != nil {
				t.Errorf("%+v", e)
			}
		})
	}
	wg.Wait()
}

// TestLargeBodies: many bodies at the limit, held while their calls wait, are
// refused rather than let memory grow past the isolate's.
func TestLargeBodies(t *testing.T) {
	s := start(t, faults)
	token := "Authorization: Bearer " + s.Token()
	slow(t, s, time.Second)
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-github-token","arguments":{` + strings.Repeat(" ", 15<<10) +
		`},"pad":"` + strings.Repeat("x", 235<<10) + `"}}`
	const requests = 400
	statuses := make(chan int, requests)
	for range requests {
		go func() { statuses <- send(t, "POST", s.MCP, body, jsonType, token).status }()
	}
	waitUntil(t, "the upstream calls", func() bool { return s.Vouch.Count(pathGitHub) > 20 })
	if current, retiring := memory(t, s); current+retiring > maxIsolateBytes {
		t.Errorf("linear memories of %d and %d bytes while calls wait", current, retiring)
	}
	count := map[int]int{}
	for range requests {
		count[<-statuses]++
	}
	if count[200] == 0 || count[200]+count[503] != requests {
		t.Errorf("answers by status: %v", count)
	}
	if current, retiring := memory(t, s); current+retiring > maxIsolateBytes {
		t.Errorf("linear memories of %d and %d bytes", current, retiring)
	}
	t.Logf("answers by status: %v", count)
}

// TestSlowUploads: strangers who send bodies without an end hold little memory,
// and take no place from those who have a token.
func TestSlowUploads(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	u, err := url.Parse(s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n%s\r\n\r\n%x\r\n%s\r\n", u.Host, jsonType, 15<<10, strings.Repeat("x", 15<<10))
	}
	if _, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments); e != nil {
		t.Errorf("a call beside 300 slow uploads failed: %+v", e)
	}
}

// TestBrokenUploads: what was set aside for a body is given back when its client
// breaks off, or strangers could take all of it for good.
func TestBrokenUploads(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	u, err := url.Parse(s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	held := func() int { return number(t, s, "/faults/held") }
	openings := []string{
		post("Transfer-Encoding: chunked") + "10\r\nhalf a body here",
		post("Content-Length: 4000") + "half",
		post("Authorization: Bearer x", "Content-Length: 200000") + "half",
		post("Authorization: Bearer x", "Content-Length: 200000", "CF-Connecting-IP: 192.0.2.1"),
	}
	for i := range 2 * len(openings) {
		conn, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, strings.ReplaceAll(openings[i/2], "HOST", u.Host))
		waitUntil(t, "the reading of the body", func() bool { return held() > 0 })
		if i%2 == 0 {
			_ = conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
		waitUntil(t, "the giving back", func() bool { return held() == 0 })
	}
	if _, e := callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments); e != nil {
		t.Errorf("a call after broken uploads failed: %+v", e)
	}
	if n := held(); n != 0 {
		t.Errorf("%d bytes are held at the end", n)
	}
}

// TestMethodsAndHeadersPass: what the bridge must not change on the way.
func TestMethodsAndHeadersPass(t *testing.T) {
	s := start(t, faults)
	resp, err := http.Head(s.Worker.URL + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if rest, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || len(rest) != 0 {
		t.Errorf("HEAD: %d, %d bytes", resp.StatusCode, len(rest))
	}
	// One POST to STS, with its length, in the form that STS takes.
	callTool(t, s, s.Token(), goodCalls[0].tool, goodCalls[0].arguments)
	requests := s.STS.Requests("/")
	if len(requests) != 1 || requests[0].ContentLength <= 0 || requests[0].Header.Get("Authorization") != "" {
		t.Errorf("requests to STS: %d", len(requests))
	}
}
