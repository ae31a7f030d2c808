package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestEntriesWhileMemoryGrows: linear memory that grows is a new buffer, whose views
// JavaScript must take anew, also when the inbox itself has made it grow.
func TestEntriesWhileMemoryGrows(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	callTool(t, s, token, goodCalls[1].tool, goodCalls[1].arguments)
	before, _ := memory(t, s)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 4 {
				if a := send(t, "GET", s.Worker.URL+"/faults/grow?mib=0", ""); i%8 == 0 {
					a = send(t, "GET", s.Worker.URL+"/faults/grow?mib=2", "")
					if a.status != 200 {
						t.Errorf("grow: %d %s", a.status, a.body)
					}
				}
				if result, e := callTool(t, s, token, goodCalls[i%3].tool, goodCalls[i%3].arguments); e != nil || result == nil {
					t.Errorf("a call while memory grows: %+v", e)
				}
				id := strings.Repeat("x", (i+1)*(n+1)<<11)
				a := send(t, "POST", s.MCP, `{"jsonrpc":"2.0","id":"`+id+`","method":"ping"}`, jsonType, "Authorization: Bearer "+token)
				if a.status != 200 || !strings.Contains(a.body, `"id":"`+id+`"`) {
					t.Errorf("a body of %d bytes comes back as %d, %d bytes", len(id), a.status, len(a.body))
				}
			}
		})
	}
	wg.Wait()
	if after, _ := memory(t, s); after <= before {
		t.Errorf("memory did not grow: %d and %d bytes", before, after)
	}
}

// TestAnswerOfTheCap: an upstream answer of exactly the most that may come is whole,
// and one byte more is none, whether its length is told or not.
func TestAnswerOfTheCap(t *testing.T) {
	const most = 64 << 10
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		body := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		if r.URL.Query().Has("told") {
			w.Header().Set("Content-Length", strconv.Itoa(n))
		}
		for len(body) > 0 {
			part := body[:min(len(body), 10_000)]
			_, _ = w.Write(part)
			body = body[len(part):]
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(upstream.Close)
	s := start(t, faults)
	for _, told := range []string{"", "&told"} {
		for n, whole := range map[int]bool{0: true, 1: true, most - 1: true, most: true, most + 1: false, 4 * most: false} {
			a := send(t, "GET", fmt.Sprintf("%s/faults/wait?most=%d&url=%s", s.Worker.URL, most, url.QueryEscape(fmt.Sprintf("%s/?n=%d%s", upstream.URL, n, told))), "")
			want := strings.Repeat("0123456789abcdef", n/16+1)[:n]
			if got := a.status == 200 && a.body == want; got != whole || !whole && !strings.Contains(a.body, "too large") {
				t.Errorf("%d bytes%s: %d, %d bytes, %.80q", n, told, a.status, len(a.body), a.body)
			}
		}
	}
}

// TestAnswersAreUTF8: an answer whose length is told is read as text. Each character of it
// comes to Go as it is, and what is no UTF-8 comes as that, whatever stood for it between.
func TestAnswersAreUTF8(t *testing.T) {
	body := ""
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(upstream.Close)
	s := start(t, faults)
	const notUTF8 = "\xff"
	for _, test := range []struct{ sent, want string }{
		{"aé😀\x00\r\n\u2028", "aé😀\x00\r\n\u2028"},
		{strings.Repeat("€", 21_845), strings.Repeat("€", 21_845)}, // three bytes for each character, up to the cap
		{"a\xff", notUTF8},
		{"caf\xe9 in Latin-1", notUTF8},
		{"\xf0\x9f\x98", notUTF8}, // as long as what stands for it
		{"\xed\xa0\x80", notUTF8}, // half of a surrogate pair
		{"\xc0\xaf", notUTF8},     // a slash, in more bytes than it needs
		{"lost: \ufffd", notUTF8},
	} {
		body = test.sent
		a := send(t, "GET", s.Worker.URL+"/faults/wait?most=65536&url="+url.QueryEscape(upstream.URL), "")
		if a.status != 200 || a.body != test.want {
			t.Errorf("%.20q: %d %.20q, want %.20q", test.sent, a.status, a.body, test.want)
		}
	}
}

// TestAnswerWithoutEnd: an upstream that goes on past the most that may come, or only
// tells of more, is given up there and then. It need not end.
func TestAnswerWithoutEnd(t *testing.T) {
	const most = 64 << 10
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("told") {
			w.Header().Set("Content-Length", strconv.Itoa(100*most))
		}
		_, _ = w.Write(make([]byte, 2*most))
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-time.After(5 * time.Second): // for the Worker that reads on
		}
	}))
	t.Cleanup(upstream.Close)
	s := start(t, faults)
	for _, query := range []string{"", "?told"} {
		a := send(t, "GET", fmt.Sprintf("%s/faults/wait?most=%d&url=%s", s.Worker.URL, most, url.QueryEscape(upstream.URL+"/"+query)), "")
		if !strings.Contains(a.body, "too large") {
			t.Errorf("%q: %d, %d bytes, %.80q", query, a.status, len(a.body), a.body)
		}
	}
}

// TestAnswerThatSwells: an answer may be small only while it is compressed, as its length
// tells. It is given up once what is inside is too much, before that has made memory grow.
func TestAnswerThatSwells(t *testing.T) {
	const most = 64 << 10 // and the whole so little that the program would stay, for its memory to be measured
	var swelling bytes.Buffer
	z := gzip.NewWriter(&swelling)
	if _, err := z.Write(make([]byte, 6<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if swelling.Len() >= most {
		t.Fatalf("compressed it has %d bytes, want fewer than %d", swelling.Len(), most)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Content-Length", strconv.Itoa(swelling.Len()))
		_, _ = w.Write(swelling.Bytes())
	}))
	t.Cleanup(upstream.Close)
	s := start(t, faults)
	before, _ := memory(t, s)
	a := send(t, "GET", fmt.Sprintf("%s/faults/wait?most=%d&url=%s", s.Worker.URL, most, url.QueryEscape(upstream.URL)), "")
	if !strings.Contains(a.body, "too large") {
		t.Errorf("%d, %d bytes, %.80q", a.status, len(a.body), a.body)
	}
	if after, _ := memory(t, s); after-before > 4<<20 {
		t.Errorf("memory went from %d to %d bytes", before, after)
	}
}

// TestMemoryIsFlat: after the first thousand of mixed calls, good and bad, nine
// thousand more take no more memory.
func TestMemoryIsFlat(t *testing.T) {
	s := start(t, faults)
	token := s.Token()
	var strangers atomic.Int64
	mixed := func(i int) {
		switch i % 8 {
		case 0, 1, 2:
			callTool(t, s, token, goodCalls[i%8].tool, goodCalls[i%8].arguments)
		case 3:
			callTool(t, s, token, "get-github-token", map[string]any{"owner": "no/name"})
		case 4:
			send(t, "POST", s.MCP, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, jsonType, "Authorization: Bearer "+token)
		case 5:
			send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer "+token[:len(token)-4]+fmt.Sprintf("%04d", i%10000))
		case 6:
			n := strangers.Add(1) // who send names that nobody sent before
			headers := []string{fmt.Sprintf("X-%d%s: long", n, strings.Repeat("x", 2000))}
			for i := range 50 {
				headers = append(headers, fmt.Sprintf("X-New-%d-%d: short", n, i))
			}
			send(t, "GET", s.Worker.URL+"/.well-known/oauth-protected-resource", "", headers...)
		case 7:
			send(t, "POST", s.MCP, `{"jsonrpc":"2.0","id":"`+strings.Repeat("x", i*397%5000)+`","method":"no/such"}`, jsonType, "Authorization: Bearer "+token)
		}
	}
	run := func(from, to int) int {
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := from + worker; i < to; i += 8 {
					mixed(i/8 + worker)
				}
			})
		}
		wg.Wait()
		used, retiring := memory(t, s)
		if retiring != 0 {
			t.Errorf("a program retired with %d bytes", retiring)
		}
		return used
	}
	first := run(0, 1000)
	if last := run(1000, 10_000); last-first > 512<<10 { // 58 bytes a call: what the heap has to give for its fragments
		t.Errorf("memory is %d bytes after 1,000 calls and %d after 10,000", first, last)
	}
}

// TestHeadersStayOne: whatever stands in a header that Go sets, it is one header on
// the other side, and the program lives on.
func TestHeadersStayOne(t *testing.T) {
	s := start(t, faults)
	for _, text := range []string{"a\nX-Injected\nyes", "a\r\nX-Injected: yes", "a\nX-Injected\nyes\n", "\n", "\x00", "\u00e9\u2028", "a\x7f"} {
		for _, query := range []string{"name=X-Test&value=" + url.QueryEscape(text), "name=" + url.QueryEscape("X-Test"+text) + "&value=x"} {
			a := send(t, "GET", s.Worker.URL+"/faults/header?"+query, "")
			if strings.HasPrefix(query, "name=X-Test&") && (a.status != 200 || a.body != "answered\n") {
				t.Errorf("%q: %d %q", text, a.status, a.body)
			}
			if a.header.Get("X-Injected") != "" || strings.ContainsAny(a.header.Get("X-Test"), "\r\n\x00") {
				t.Errorf("%q: headers %q", text, a.header)
			}
		}
	}
	if a := send(t, "GET", s.Worker.URL+"/healthz", ""); a.status != 200 {
		t.Errorf("the next request: %d %s", a.status, a.body)
	}
}
