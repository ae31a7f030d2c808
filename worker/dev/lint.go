package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"mcp-credential-broker/worker/stack"
)

// runLint runs the checks that read code instead of running it.
func runLint(ctx context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	step("Looking for Go that is not formatted")
	out, err := exec.CommandContext(ctx, "gofmt", "-l", "broker", "worker").Output()
	if err != nil {
		return fmt.Errorf("gofmt: %w", err)
	}
	if len(out) > 0 {
		return fmt.Errorf("not formatted: %s", strings.Join(strings.Fields(string(out)), ", "))
	}
	step("Vetting the native and the Wasm build")
	for _, v := range []struct{ tags, pkg string }{{"conformance", "./..."}, {"js", "./worker"}, {"js,faults", "./worker"}, {"js", "./worker/bench/stock"}} {
		cmd := exec.CommandContext(ctx, "go", "vet", "-tags", v.tags, v.pkg)
		if strings.HasPrefix(v.tags, "js") {
			cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go vet: %w\n%s", err, out)
		}
	}
	step("Looking for mistakes that staticcheck knows")
	for _, v := range []struct{ goos, goarch, pkg string }{{"", "", "./..."}, {"js", "wasm", "./worker"}} {
		// ST1005: our errors are sentences for people. SA1019: tests make keys of kinds that nobody should use.
		cmd := exec.CommandContext(ctx, "go", "tool", "staticcheck", "-checks", "inherit,-ST1005,-SA1019", v.pkg)
		if v.goos != "" {
			tool, err := exec.CommandContext(ctx, "go", "tool", "-n", "staticcheck").Output()
			if err != nil {
				return fmt.Errorf("staticcheck: %w", err)
			}
			cmd = exec.CommandContext(ctx, strings.TrimSpace(string(tool)), "-checks", "inherit,-ST1005,-SA1019", v.pkg)
			cmd.Env = append(os.Environ(), "GOOS="+v.goos, "GOARCH="+v.goarch)
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("staticcheck: %w\n%s", err, out)
		}
	}
	step("Looking for JavaScript that is not formatted")
	if err := checkFormat(ctx, root); err != nil {
		return err
	}
	step("Reading the Worker's modules with the TypeScript compiler")
	if err := checkScripts(ctx, root); err != nil {
		return err
	}
	step("Looking for what must not be linked into the Wasm build")
	return checkLinked(ctx)
}

// checkLinked asks the linker what it keeps. Package lists would not do:
// net/http always names crypto/tls, and the linker drops it.
func checkLinked(ctx context.Context) error {
	edges, err := dependencies(ctx)
	if err != nil {
		return err
	}
	if found := forbidden(edges); len(found) > 0 {
		return errors.New("linked into the Wasm build, which must not be:\n  " + strings.Join(found, "\n  "))
	}
	return compareLinked(edges)
}

// dependencies returns the linker's edges "from -> to" of what it keeps.
func dependencies(ctx context.Context) ([]string, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-dumpdep", "-o", os.DevNull, "./worker")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("the Worker does not compile: %w\n%s", err, out.Bytes())
	}
	edges := strings.Split(out.String(), "\n")
	if len(edges) < 1000 {
		return nil, fmt.Errorf("the linker told only %d dependencies; the check would prove nothing", len(edges))
	}
	return edges, nil
}

// bannedCode is code of which no part may be kept: each costs 0.8 MB or more.
var bannedCode = []string{
	"net/http.(*Client).", "net/http.(*Transport).", "net/http.(*Server).", "crypto/tls.(*Conn).",
	"text/template.", "html/template.", "encoding/xml.", "log/slog.", "regexp.",
}

// timers are the functions that arm a Go timer. It would fire inside a request
// that has nothing to do with it, or never.
var timers = []string{
	"time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick", "time.newTimer", "time.(*Timer).Reset",
	"context.WithTimeout", "context.WithDeadline", "context.WithTimeoutCause", "context.WithDeadlineCause",
}

// timersAllowed are the edges to them that the standard library brings along:
// the source of randomness arms a one-minute warning and disarms it at once.
var timersAllowed = []string{
	"crypto/internal/sysrand.Read -> time.AfterFunc",
	"time.AfterFunc -> time.newTimer",
}

// forbidden returns the edges "from -> to" of a dependency dump that break a rule.
func forbidden(edges []string) []string {
	var found []string
	for _, edge := range edges {
		from, to, ok := strings.Cut(edge, " -> ")
		if !ok {
			continue
		}
		to, _, _ = strings.Cut(to, " ") // the linker may append how it is reached
		banned := func(prefix string) bool { return strings.HasPrefix(from, prefix) }
		if slices.ContainsFunc(bannedCode, banned) ||
			slices.Contains(timers, to) && !slices.Contains(timersAllowed, from+" -> "+to) {
			found = append(found, edge)
		}
	}
	return found
}
