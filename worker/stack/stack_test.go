package stack

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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

// TestLastLines keeps the last whole lines of what is written, here or in a file.
func TestLastLines(t *testing.T) {
	text := strings.Repeat("a line of some length\n", 1000) + "the end\n"
	path := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var last tail
	_, _ = last.Write([]byte(text[:20000]))
	_, _ = last.Write([]byte(text[20000:]))
	for _, printed := range []fmt.Stringer{&last, endOf(path)} {
		if kept := printed.String(); len(kept) < tailBytes/2 || len(kept) > tailBytes || !strings.HasPrefix(kept, "a line") || !strings.HasSuffix(kept, "the end\n") {
			t.Errorf("%T: %d bytes, %.20q ... ", printed, len(kept), kept)
		}
	}
	if err := os.WriteFile(path, []byte("short\n"), 0o600); err != nil || endOf(path).String() != "short\n" {
		t.Errorf("%q (%v)", endOf(path), err)
	}
}
