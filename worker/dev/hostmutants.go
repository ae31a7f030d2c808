package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"mcp-credential-broker/worker/stack"
)

// hostMutantTime is what the tests of one mutant of the host may take. Most end within
// seconds.
const hostMutantTime = time.Minute

// isHost reports whether the mutant is of the host, which runs in workerd alone: the
// tests of worker/e2e that it names are to catch it.
func (m mutant) isHost() bool { return path.Dir(m.file) == "worker" }

// tryHost runs its tests on the build for tests with the mutant in it.
func (m mutant) tryHost(ctx context.Context, root, dir, broken string) (caught bool, err error) {
	build := filepath.Join(dir, "build")
	if err := os.RemoveAll(build); err != nil {
		return false, err
	}
	if err := os.CopyFS(build, os.DirFS(filepath.Join(root, "build", "faults"))); err != nil {
		return false, fmt.Errorf("the build for tests is not there: run make mutants, not this alone (%w)", err)
	}
	if path.Ext(m.file) == ".go" {
		err = m.compileHost(ctx, root, dir, broken)
	} else {
		err = os.WriteFile(filepath.Join(build, path.Base(m.file)), []byte(broken), 0o600)
	}
	if err != nil {
		return false, err
	}
	ctx, stop := context.WithTimeout(ctx, hostMutantTime)
	defer stop()
	// Without a time of go test's own: at its end the Workers would be left running.
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-v", "-failfast", "-vet=off", "-timeout", "0", "-run", "^("+strings.Join(m.tests, "|")+")$", "./worker/e2e")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "FAULTS_ENTRY="+filepath.Join(build, "worker.mjs"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// Interrupted, go test waits for its tests, which stop their Workers. Another signal ends it there and then, and the
	// tests with their next line, before they have stopped anything.
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if caught, known := hostVerdict(out.String(), m.tests, ctx.Err() != nil); known {
		return caught, nil
	}
	return false, fmt.Errorf("mutants.txt:%d: its tests did not run, or not all, which proves nothing (%v):\n%s", m.line, err, out.Bytes())
}

// compileHost puts a Go program with the mutant in it into the build.
func (m mutant) compileHost(ctx context.Context, root, dir, broken string) error {
	overlay, err := m.overlay(root, dir, broken)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-tags", "faults", "-ldflags", "-s -w", "-o", filepath.Join(dir, "build", "app.wasm"), "./worker")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mutants.txt:%d: it does not compile, which proves nothing (%w):\n%s", m.line, err, out)
	}
	return nil
}

// overlay has the compiler read the mutant in the file's place, and returns the path
// of what says so.
func (m mutant) overlay(root, dir, broken string) (string, error) {
	instead, overlay := filepath.Join(dir, "mutant.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, filepath.FromSlash(m.file)): instead}})
	if err != nil {
		return "", err
	}
	return overlay, errors.Join(os.WriteFile(instead, []byte(broken), 0o600), os.WriteFile(overlay, replace, 0o600))
}

// testEnd is how go test -v tells a test's end.
var testEnd = regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL|SKIP): (\S+)`)

// hostVerdict reads what go test -v printed about the tests: whether one of them failed,
// or ran on until its time was over, and whether that is known. A test that was skipped
// or never began proves nothing, and neither does a Worker that does not start.
func hostVerdict(out string, tests []string, overdue bool) (caught, known bool) {
	ends := map[string]string{}
	for _, m := range testEnd.FindAllStringSubmatch(out, -1) {
		if m[1] == "SKIP" {
			return false, false
		}
		ends[m[2]] = m[1]
	}
	if strings.Contains(out, stack.NotUp) {
		return false, false
	}
	passed := 0
	for _, name := range tests {
		switch {
		case ends[name] == "FAIL":
			return true, true
		case ends[name] == "PASS":
			passed++
		case overdue && strings.Contains(out, "=== RUN   "+name+"\n"):
			return true, true
		}
	}
	return false, passed == len(tests)
}
