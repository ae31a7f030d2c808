package e2e

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/worker/stack"
)

// An upload is a request whose body is sent part by part.
type upload struct {
	t    *testing.T
	conn net.Conn
	body string // what is still to be sent
}

// begin sends the head of a signed-in person's ping with a body of n bytes.
func begin(t *testing.T, s *stack.Stack, path string, n int, headers ...string) *upload {
	t.Helper()
	return announce(t, s, path, n, append(headers, "Authorization: Bearer "+s.Token())...)
}

// announce does so in nobody's name.
func announce(t *testing.T, s *stack.Stack, path string, n int, headers ...string) *upload {
	t.Helper()
	u, err := url.Parse(s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	headers = append(headers, fmt.Sprintf("Content-Length: %d", n))
	head := strings.ReplaceAll(strings.Replace(post(headers...), "/mcp", path, 1), "HOST", u.Host)
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	return &upload{t, conn, paddedPing(n)}
}

// paddedPing is a ping of exactly n bytes.
func paddedPing(n int) string {
	const before, after = `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"pad":"`, `"}}`
	return before + strings.Repeat("x", n-len(before)-len(after)) + after
}

// send sends the next n bytes.
func (u *upload) send(n int) {
	u.t.Helper()
	if _, err := io.WriteString(u.conn, u.body[:n]); err != nil {
		u.t.Fatal(err)
	}
	u.body = u.body[n:]
}

// answer reads the status of the answer.
func (u *upload) answer() int {
	u.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(u.conn), nil)
	if err != nil {
		u.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// TestSlowUploadSurvives: who sends a large body slowly keeps what has arrived of
// it, although strangers come later and send more than there is room for.
func TestSlowUploadSurvives(t *testing.T) {
	tests := []struct {
		name  string
		waves [2]int // connections
		least int    // bytes held by the first wave
		bytes int    // of each connection
		from  int    // so many networks
	}{
		{"many that send nearly all", [2]int{40, 24}, 10 << 20, 262000, 64},
		{"many that send little", [2]int{300, 300}, 300 << 10, 1000, 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, faults)
			held := func() int { return number(t, s, "/faults/held") }
			u := begin(t, s, "/mcp", 200_000, "CF-Connecting-IP: 192.0.2.1")
			u.send(50_000)
			waitUntil(t, "the first part", func() bool { return held() >= 50_000 })
			for i, connections := range tt.waves {
				b := besiege(t, s, connections, false, func(n int) string {
					address := fmt.Sprintf("CF-Connecting-IP: 2001:db8:%x::1", (i*tt.waves[0]+n)%tt.from)
					return post("Authorization: Bearer x", address, "Content-Length: 262144") + strings.Repeat("x", tt.bytes)
				})
				waitUntil(t, "the bodies of others", func() bool {
					u.send(1)
					return int(b.idled.Load()) >= connections && (i > 0 || held() >= tt.least)
				})
			}
			u.send(len(u.body))
			if status := u.answer(); status != 200 {
				t.Errorf("status %d", status)
			}
		})
	}
}

// TestWhoGaveWayComesAgain: who has sent much and idles gives way to who comes later. Its
// request never gets to Go, also when the rest of it comes: it is no longer whole.
func TestWhoGaveWayComesAgain(t *testing.T) {
	s := start(t, faults)
	held := func() int { return number(t, s, "/faults/held") }
	const address, bytes = "CF-Connecting-IP: 192.0.2.1", 200_000
	first := begin(t, s, "/mcp", bytes, address)
	first.send(bytes - 1)
	waitUntil(t, "the first body", func() bool { return held() >= bytes-1 })
	var last *upload
	gaveWay := false
	for i, before := 0, held(); i < 20 && !gaveWay; i++ {
		now := 0
		last = begin(t, s, "/mcp", bytes, address)
		last.send(bytes - 1)
		waitUntil(t, "one more body", func() bool { now = held(); return now < before || now >= before+bytes-1 })
		gaveWay, before = now < before, now
	}
	if !gaveWay {
		t.Fatalf("none of 20 bodies gave way: %d bytes are held", held())
	}
	first.send(1)
	if status := first.answer(); status != 503 {
		t.Errorf("the first: status %d, want 503", status)
	}
	last.send(1)
	if status := last.answer(); status != 200 {
		t.Errorf("the last: status %d, want 200", status)
	}
}

// TestBodiesInTime: a body may take longer than it may idle, but not for ever.
func TestBodiesInTime(t *testing.T) {
	s := start(t, faults)
	const parts, pace = 16, 400 * time.Millisecond
	slow, endless, small := begin(t, s, "/mcp", parts*1000), begin(t, s, "/mcp", 200_000), begin(t, s, "/mcp", 4000)
	ended := make(chan int, 2)
	for _, u := range []*upload{endless, small} {
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(u.conn), nil)
			if err != nil {
				ended <- 0
				return
			}
			ended <- resp.StatusCode
		}()
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for i, over := 0, 0; over < 2; i++ {
		if i < parts {
			slow.send(1000)
		}
		if i == parts {
			if status := slow.answer(); status != 200 {
				t.Errorf("an upload of %s: status %d", parts*pace, status)
			}
		}
		// Not by send: the Worker ends these two.
		_, _ = io.WriteString(endless.conn, "{")
		_, _ = io.WriteString(small.conn, "{")
		select {
		case status := <-ended:
			over++
			if status != http.StatusRequestTimeout {
				t.Errorf("a body without an end: status %d", status)
			}
		case <-tick.C:
		}
		if i > 60 {
			t.Fatal("a body without an end is read on and on")
		}
	}
	waitUntil(t, "the giving back", func() bool { return number(t, s, "/faults/held") == 0 })
}

// TestBodyLimits: a body may be as long as its request may have it, told or in
// chunks, and no byte longer.
func TestBodyLimits(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	const limit = 256 << 10
	tests := []struct {
		name    string
		bytes   int
		refused bool
	}{
		{"a small call", 4 << 10, false},
		{"more than small", 4<<10 + 1, false},
		{"the largest call", limit, false},
		{"one more", limit + 1, true},
		{"more than a part", limit + 100<<10, true},
	}
	for _, tt := range tests {
		for _, told := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, told %v", tt.name, told), func(t *testing.T) {
				var body io.Reader = strings.NewReader(paddedPing(tt.bytes))
				if !told {
					body = struct{ io.Reader }{body}
				}
				req, err := http.NewRequestWithContext(t.Context(), "POST", s.MCP, body)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + token}}
				resp, err := noRedirect.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				want := 200
				if tt.refused {
					want = 413
				}
				if resp.StatusCode != want {
					t.Errorf("status %d", resp.StatusCode)
				}
			})
		}
	}
	if n := number(t, s, "/faults/held"); n != 0 {
		t.Errorf("%d bytes are held at the end", n)
	}
}

// TestOthersAreReadLess: what is no call is answered as soon as it is longer than
// such a request may be, although more is announced: another path with a token, and
// the endpoint's without one.
func TestOthersAreReadLess(t *testing.T) {
	s := start(t, faults)
	for _, path := range []string{"/oauth/register?/mcp", "/", "/mcp/other"} {
		u := begin(t, s, path, 200_000)
		u.send(20_000)
		if status := u.answer(); status != 404 && status != 405 {
			t.Errorf("%s: status %d, want 404 or 405", path, status)
		}
	}
	u := announce(t, s, "/mcp", 200_000)
	u.send(20_000)
	if status := u.answer(); status != 401 && status != 413 {
		t.Errorf("a call without a token: status %d, want 401 or 413", status)
	}
}

// inNode runs a script in Node with names of a module of the Worker's.
func inNode(t *testing.T, names, module, script string, args ...string) string {
	t.Helper()
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	node, err := stack.Node(root)
	if err != nil {
		t.Fatal(err)
	}
	build := filepath.Dir(cmp.Or(instead, filepath.Join(root, "build", "worker.mjs")))
	script = `import { ` + names + ` } from "` + filepath.ToSlash(filepath.Join(build, module)) + "\";\n" + script
	out, err := exec.CommandContext(t.Context(), node, append([]string{"--input-type=module", "--eval", script, "--"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// TestRequestsGivenUp: what a request held that the platform has given up, so that
// nothing says when it is done, is given back after a minute, and not before.
func TestRequestsGivenUp(t *testing.T) {
	out := inNode(t, "Visit, held", "intake.mjs", `
let now = 1e12;
Date.now = () => now;
const visit = () => new Visit(new Request("https://broker.example/oauth/token", { headers: { "CF-Connecting-IP": "192.0.2.1" } }));
for (let i = 0; i < 32; i++) visit().wait();
const last = visit();
console.log(last.crowded(), held() > 0);
now += 59_999;
console.log(visit().crowded());
last.wait();
now += 1;
console.log(visit().crowded(), held());
last.done();
console.log(visit().crowded(), held());
for (let i = 0; i < 32; i++) visit().wait();
console.log(visit().crowded()); // its place was given back once
`)
	if want := "true true\ntrue\nfalse 0\nfalse 0\ntrue\n"; out != want {
		t.Errorf("%s\nwant\n%s", out, want)
	}
}

// TestBytesThatComeAlone: of a body that comes byte by byte nothing is held but the
// bytes, wherever it comes from. workerd reads each part into a buffer of its own.
func TestBytesThatComeAlone(t *testing.T) {
	const script = `
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
setFlagsFromString("--expose-gc");
const read = [];
let begun;
const reached = new Promise((resolve) => (begun = resolve));
const body = new ReadableStream({
  pull(controller) {
    if (read.length === 1000) return begun(), new Promise(() => {});
    const part = new Uint8Array(4096);
    read.push(new WeakRef(part.buffer));
    controller.enqueue(part.subarray(0, 1));
  },
}, { highWaterMark: 0 });
READ
await reached;
await new Promise((resolve) => setImmediate(resolve));
runInNewContext("gc")();
console.log(read.filter((buffer) => buffer.deref()).length < 10);
process.exit();
`
	for names, read := range map[string]string{
		"Visit":   `new Visit({ method: "POST", url: "https://broker.example/mcp", headers: new Headers({ Authorization: "Bearer x" }), body }).read();`,
		"readAll": `readAll({ headers: new Headers(), body }, 2000);`,
	} {
		module := map[string]string{"Visit": "intake.mjs", "readAll": "message.mjs"}[names]
		if out := inNode(t, names, module, strings.Replace(script, "READ", read, 1)); out != "true\n" {
			t.Errorf("%s: %s", names, out)
		}
	}
}

// TestBytesTakeNoMore: a body in parts takes no more than it may have, or its length tells:
// what is set aside counts, and others would give way to it.
func TestBytesTakeNoMore(t *testing.T) {
	out := inNode(t, "Bytes", "message.mjs", `
const bytes = new Bytes(10_000);
for (const length of [3900, 4096, 1004]) bytes.add(new Uint8Array(length));
console.log(bytes.length, bytes.buffer.length);
`)
	if want := "9000 10000\n"; out != want {
		t.Errorf("%s, want %s", out, want)
	}
}

// TestNetworks: one customer's addresses are one network, however they are
// written.
func TestNetworks(t *testing.T) {
	tests := []struct{ address, want string }{
		{"192.0.2.1", "192.0.2.1"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2"},
		{"2001:db8:1:2::", "2001:db8:1:2"},
		{"2001:db8:1:2::ffff", "2001:db8:1:2"},
		{"2001:db8::3:4:5:6", "2001:db8:0:0"},
		{"2001:db8::1", "2001:db8:0:0"},
		{"2001:db8:1::4:5:6", "2001:db8:1:0"},
		{"::1", "0:0:0:0"},
		{"::", "0:0:0:0"},
		{"", ""},
	}
	var addresses []string
	want := ""
	for _, tt := range tests {
		addresses = append(addresses, tt.address)
		want += tt.want + "\n"
	}
	out := inNode(t, "networkOf", "intake.mjs", `for (const address of process.argv.slice(1)) console.log(networkOf(address));
console.log(networkOf(null));`, addresses...)
	if out != want+"\n" {
		t.Errorf("%s\nwant\n%s", out, want)
	}
}
