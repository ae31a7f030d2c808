package broker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
)

// TestLogPanic: a line of JSON, by which the request can be found, and of what was
// thrown no value that could be a client's.
func TestLogPanic(t *testing.T) {
	var lines []string
	b, err := broker.New(broker.Environment{Getenv: func(string) string { return "" }, Fetcher: upstream.NetHTTP{}, Now: time.Now, Log: func(line string) { lines = append(lines, line) }})
	if err != nil {
		t.Fatal(err)
	}
	thrown := func() (p any) {
		defer func() { p = recover() }()
		var none []int
		return none[len(lines)]
	}()
	b.LogPanic("ray-1", thrown, []byte("goroutine 1\nmain"))
	b.LogPanic("ray-2", "s3cret of a client", nil)
	b.LogPanic("ray-3", errors.New("s3cret"), nil)
	for i, want := range []string{"index out of range", "string", "*errors.errorString"} {
		var line map[string]string
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil {
			t.Fatalf("%s: %v", lines[i], err)
		}
		if ray := fmt.Sprintf("ray-%d", i+1); line["event"] != "panic" || line["request_id"] != ray || line["time"] == "" {
			t.Errorf("logged %v, want a panic of %s with its time", line, ray)
		}
		if !strings.Contains(line["reason"], want) {
			t.Errorf("the reason is %q, want %q in it", line["reason"], want)
		}
		if strings.Contains(lines[i], "s3cret") {
			t.Errorf("what was thrown is in the log: %s", lines[i])
		}
	}
}

// TestRequestIDs: every answer names its request, by Cloudflare's name for it.
func TestRequestIDs(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	unset := newBench(t, vouchtest.Options{}, map[string]string{"BROKER_MODE": "x"})
	for _, url := range []string{b.url, unset.url} {
		for _, path := range []string{"/", "/mcp", "/healthz", "/nothing", "/approve", "/oauth/token", "/.well-known/oauth-protected-resource", "/.well-known/oauth-authorization-server"} {
			for _, method := range []string{"GET", "POST", "OPTIONS", "PUT"} {
				req, err := http.NewRequest(method, url+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Cf-Ray", "8f1e2d3c4b5a6978-FRA")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if id := resp.Header.Get("X-Request-Id"); id != "8f1e2d3c4b5a6978-FRA" {
					t.Errorf("%s %s: %d, X-Request-Id %q", method, path, resp.StatusCode, id)
				}
			}
		}
	}
}
