package stack

import (
	"net"
	"strings"
	"testing"
)

// TestPortTaken: a taken port is told in a sentence, and nothing keeps running.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = Start(t.Context(), Config{Worker: WorkerConfig{Port: l.Addr().(*net.TCPAddr).Port}})
	if err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("error %v", err)
	}
}

// TestNotBuilt: a Worker that was not built is told in a sentence.
func TestNotBuilt(t *testing.T) {
	_, err := Start(t.Context(), Config{Worker: WorkerConfig{Entry: "build/nothing/worker.mjs"}})
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error %v", err)
	}
}

func TestNodeSuffices(t *testing.T) {
	for version, want := range map[string]bool{
		"v22.12.0\n": true, "v22.11.9": false, "v20.20.2": false, "v26.0.0": true, "": false, "22.12.0": false,
	} {
		if got := nodeSuffices(version); got != want {
			t.Errorf("nodeSuffices(%q) = %v", version, got)
		}
	}
}

// TestTail keeps the last whole lines.
func TestTail(t *testing.T) {
	var last tail
	for range 1000 {
		_, _ = last.Write([]byte("a line of some length\n"))
	}
	_, _ = last.Write([]byte("the end\n"))
	text := last.String()
	if len(text) > tailBytes || !strings.HasPrefix(text, "a line") || !strings.HasSuffix(text, "the end\n") {
		t.Errorf("%d bytes, %.20q ... ", len(text), text)
	}
}
