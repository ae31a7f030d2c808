package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/worker/stack"
)

// A siege is connections to the Worker that stay open and do as little as they can.
type siege struct {
	t       *testing.T
	address string
	ctx     context.Context
	stop    context.CancelFunc
	wg      sync.WaitGroup
	open    atomic.Int64 // connections that are open now
	begun   atomic.Int64 // connections that have sent their opening
	idled   atomic.Int64 // times that a connection has heard nothing for half a second
	sent    atomic.Int64 // bytes after the openings
	ended   atomic.Int64 // connections that the Worker has ended or answered
}

// besiege opens connections that each send opening, then one more byte each time
// that nothing has come for a while, if trickle. Those that end are opened anew.
func besiege(t *testing.T, s *stack.Stack, connections int, trickle bool, opening func(i int) string) *siege {
	t.Helper()
	u, err := url.Parse(s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	b := &siege{t: t, address: u.Host, ctx: ctx, stop: stop}
	t.Cleanup(b.lift)
	for i := range connections {
		b.wg.Go(func() {
			for ctx.Err() == nil {
				b.hold(opening(i), trickle)
			}
		})
	}
	waitUntil(t, "the siege", func() bool { return int(b.begun.Load()) >= connections })
	return b
}

// lift ends the siege.
func (b *siege) lift() {
	b.stop()
	b.wg.Wait()
}

// hold keeps one connection for as long as the Worker does.
func (b *siege) hold(opening string, trickle bool) {
	conn, err := (&net.Dialer{}).DialContext(b.ctx, "tcp", b.address)
	if err != nil {
		return
	}
	defer conn.Close()
	defer context.AfterFunc(b.ctx, func() { conn.Close() })()
	if _, err := conn.Write([]byte(strings.ReplaceAll(opening, "HOST", b.address))); err != nil {
		return
	}
	b.begun.Add(1)
	b.open.Add(1)
	defer b.open.Add(-1)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			b.ended.Add(1)
			return
		}
		b.idled.Add(1)
		if trickle {
			if _, err := conn.Write([]byte("x")); err != nil {
				return
			}
			b.sent.Add(1)
		}
	}
}

// serves makes calls in the name of a signed-in person from an address of their
// own, and wants nearly all of them served.
func (b *siege) serves(s *stack.Stack, calls int, body string, headers ...string) {
	b.t.Helper()
	headers = append([]string{jsonType, "Authorization: Bearer " + s.Token()}, headers...)
	served, other := 0, ""
	for range calls {
		if a := send(b.t, "POST", s.MCP, body, headers...); a.status == 200 && strings.Contains(a.body, `"result"`) && !strings.Contains(a.body, `"isError":true`) {
			served++
		} else {
			other = fmt.Sprint(a.status, " ", a.body)
		}
	}
	if served*100 < calls*95 {
		b.t.Errorf("%d of %d calls were served; the last of the others: %.200s", served, calls, other)
	}
	b.t.Logf("%d of %d calls were served; %d connections were ended, %d bytes trickled", served, calls, b.ended.Load(), b.sent.Load())
}

const githubCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-github-token"}}`

// post is the head of a request to /mcp.
func post(headers ...string) string {
	return "POST /mcp HTTP/1.1\r\nHost: HOST\r\n" + jsonType + "\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"
}

// TestStalledBodies: bodies that are announced and do not come, or come by the
// byte, take no place from a person's calls.
func TestStalledBodies(t *testing.T) {
	large := []string{"Authorization: Bearer x", "Content-Length: 262144"}
	from := func(address string, i int, headers ...string) string {
		return post(append(headers, "CF-Connecting-IP: "+fmt.Sprintf(address, i))...)
	}
	const manyNetworks, oneNetwork = "2001:db8:%x::1", "2001:db8::%x"
	nearlyWhole := strings.Repeat("x", 262000)
	tests := []struct {
		name        string
		connections int
		trickle     bool
		least       int // bytes held by them
		opening     func(i int) string
	}{
		{"large, with a token", 48, false, 48 << 10, func(int) string { return post(large...) }},
		{"more of them, by the byte", 96, true, 96 << 10, func(int) string { return post(large...) }},
		{"without a token", 768, true, 768 << 10, func(int) string { return post("Content-Length: 16384") }},
		{"small", 768, true, 768 << 10, func(int) string { return post("Content-Length: 4000") }},
		{"small, with heads that are not", 1000, true, 10 << 20, func(i int) string {
			return from(manyNetworks, i, "X-Pad: "+strings.Repeat("x", 14<<10), "Content-Length: 4000")
		}},
		{"nearly whole, from many addresses", 96, false, 10 << 20, func(i int) string { return from(manyNetworks, i, large...) + nearlyWhole }},
		{"nearly whole, from one address", 96, true, 2 << 20, func(i int) string { return from(oneNetwork, i+1, large...) + nearlyWhole }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, faults)
			held := func() int { return number(t, s, "/faults/held") }
			b := besiege(t, s, tt.connections, tt.trickle, tt.opening)
			waitUntil(t, "the counting of what has arrived", func() bool { return held() >= tt.least })
			if tt.trickle {
				waitUntil(t, "the first bytes", func() bool { return int(b.sent.Load()) >= tt.connections })
			}
			b.serves(s, 60, githubCall, "CF-Connecting-IP: 192.0.2.1")
			b.serves(s, 20, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"pad":"`+strings.Repeat("x", 200<<10)+`"}}`, "CF-Connecting-IP: 192.0.2.1")
			if open := int(b.open.Load()); open < tt.connections*9/10 {
				t.Errorf("%d connections are open at the end of the calls", open)
			}
			if held := held(); held > 12<<20 || tt.name == "nearly whole, from one address" && held > 3<<20 {
				t.Errorf("%d bytes are held", held)
			}
			if current, retiring := memory(t, s); current+retiring > maxIsolateBytes {
				t.Errorf("linear memories of %d and %d bytes", current, retiring)
			}
			if !tt.trickle {
				waitUntil(t, "the end of those that sent nothing", func() bool { return int(b.ended.Load()) >= tt.connections })
			}
			b.lift()
			waitUntil(t, "the giving back", func() bool { return held() == 0 })
		})
	}
}

// TestOneAddressLeavesRoom: what one address sends and lets wait leaves room for
// those of others, whatever addresses of its /64 it uses.
func TestOneAddressLeavesRoom(t *testing.T) {
	s := start(t, faults)
	token := "Authorization: Bearer " + s.Token()
	if err := s.Vouch.SetFault(fault.Fault{Path: pathGitHub, Kind: fault.Hang}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Vouch.ClearFaults)
	send(t, "POST", s.MCP, ping, jsonType, token) // the keys are fetched
	body := fmt.Sprintf("Content-Length: %d", len(githubCall))
	b := besiege(t, s, 600, false, func(i int) string {
		return post(token, fmt.Sprintf("CF-Connecting-IP: 2001:db8:0:1:%x::%d", i+1, i), body) + githubCall
	})
	waitUntil(t, "the waiting calls", func() bool { return s.Vouch.Count(pathGitHub) >= 256 })
	b.serves(s, 40, ping, "CF-Connecting-IP: 2001:db8:0:2::1")
	if n := s.Vouch.Count(pathGitHub); n > 256 {
		t.Errorf("%d calls of one address wait at once", n)
	}
	if a := send(t, "POST", s.MCP, ping, jsonType, token, "CF-Connecting-IP: 2001:db8:0:1::77"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one more of the address: %d %s", a.status, a.body)
	}
}

// TestCallsThatWait: no more calls wait at once than an isolate has memory for,
// whoever makes them; the others are told when to come again.
func TestCallsThatWait(t *testing.T) {
	const most = 512
	s := start(t, faults)
	token := "Authorization: Bearer " + s.Token()
	if err := s.Vouch.SetFault(fault.Fault{Path: pathGitHub, Kind: fault.Hang}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Vouch.ClearFaults)
	send(t, "POST", s.MCP, ping, jsonType, token) // the keys are fetched
	b := besiege(t, s, most+100, false, func(i int) string {
		return post(token, fmt.Sprintf("CF-Connecting-IP: 2001:db8:%x::1", i), fmt.Sprintf("Content-Length: %d", len(githubCall))) + githubCall
	})
	waitUntil(t, "the waiting calls, and the refusal of others", func() bool { return s.Vouch.Count(pathGitHub) >= most && b.ended.Load() >= 100 })
	if n := s.Vouch.Count(pathGitHub); n > most {
		t.Errorf("%d calls wait at once", n)
	}
	if a := send(t, "POST", s.MCP, ping, jsonType, token, "CF-Connecting-IP: 192.0.2.1"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one more: %d %s", a.status, a.body)
	}
}

// TestStrangersLeaveRoom: requests that are no calls and wait, of any number of
// addresses, with or without the header of those who call, leave room for calls.
func TestStrangersLeaveRoom(t *testing.T) {
	s := start(t, faults)
	if err := s.Vouch.SetFault(fault.Fault{Path: pathSSH, Kind: fault.Hang}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Vouch.ClearFaults)
	b := besiege(t, s, 600, false, func(i int) string {
		return strangersWait(s, fmt.Sprintf("2001:db8:%x::1", i), "Authorization: Bearer x")
	})
	waitUntil(t, "the waiting strangers", func() bool { return s.Vouch.Count(pathSSH) >= 128 })
	b.serves(s, 40, githubCall, "CF-Connecting-IP: 192.0.2.1")
	if n := s.Vouch.Count(pathSSH); n > 128 {
		t.Errorf("%d strangers wait at once", n)
	}
	if a := send(t, "GET", s.Worker.URL+"/healthz", "", "CF-Connecting-IP: 192.0.2.1"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one more stranger: %d %s", a.status, a.body)
	}
}

// strangersWait is a request that is no call and waits for as long as Vouch does.
func strangersWait(s *stack.Stack, address, header string) string {
	return fmt.Sprintf("GET /faults/wait?path=/mcp&url=%s HTTP/1.1\r\nHost: HOST\r\n%s\r\nCF-Connecting-IP: %s\r\n\r\n", url.QueryEscape(s.VouchURL+pathSSH), header, address)
}

// TestOneStrangerLeavesRoom: strangers of one address leave room for those of
// others, who want to sign in.
func TestOneStrangerLeavesRoom(t *testing.T) {
	s := start(t, faults)
	if err := s.Vouch.SetFault(fault.Fault{Path: pathSSH, Kind: fault.Hang}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Vouch.ClearFaults)
	besiege(t, s, 200, false, func(i int) string { return strangersWait(s, "192.0.2.7", "X-Number: 1") })
	waitUntil(t, "the waiting strangers", func() bool { return s.Vouch.Count(pathSSH) >= 32 })
	for range 20 {
		if a := send(t, "GET", s.Worker.URL+"/healthz", "", "CF-Connecting-IP: 192.0.2.1"); a.status != 200 {
			t.Errorf("a stranger of another address: %d %s", a.status, a.body)
		}
	}
	if a := send(t, "GET", s.Worker.URL+"/healthz", "", "CF-Connecting-IP: 192.0.2.7"); a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one more of the address: %d %s", a.status, a.body)
	}
	if n := s.Vouch.Count(pathSSH); n > 32 {
		t.Errorf("%d strangers of one address wait at once", n)
	}
}

// TestLargeHeads: heads count too. One that is too large is refused, and as many as
// may wait at once fit into memory.
func TestLargeHeads(t *testing.T) {
	s := start(t, faults)
	token := "Authorization: Bearer " + s.Token()
	const ray = "8f1e2d3c4b5a6978-FRA" // answers without Go name their request, too
	if a := send(t, "POST", s.MCP, ping, jsonType, token, "X-Pad: "+strings.Repeat("x", 100<<10), "Cf-Ray: "+ray); a.status != 431 || !strings.Contains(a.body, "16 KiB") || a.header.Get("X-Request-Id") != ray {
		t.Errorf("a head of 100 KiB: %d %s", a.status, a.body)
	}
	slow(t, s, 2*time.Second)
	body := fmt.Sprintf("Content-Length: %d", len(githubCall))
	pad := "X-Pad: " + strings.Repeat("x", 14<<10)
	b := besiege(t, s, 400, false, func(i int) string {
		return post(token, pad, fmt.Sprintf("CF-Connecting-IP: 203.0.113.%d", i%200), body) + githubCall
	})
	waitUntil(t, "the waiting calls", func() bool { return s.Vouch.Count(pathGitHub) >= 400 })
	b.serves(s, 40, ping, "CF-Connecting-IP: 192.0.2.1")
	if current, retiring := memory(t, s); current+retiring > maxIsolateBytes {
		t.Errorf("linear memories of %d and %d bytes", current, retiring)
	}
}
