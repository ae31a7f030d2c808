package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// What wrangler needs.
const minNodeMajor, minNodeMinor = 22, 12

// wranglerDev is the command that runs the Worker as wrangler dev does.
func wranglerDev(root, dir, entry string, port int, vars map[string]string) (*exec.Cmd, error) {
	// An env file of its own keeps wrangler from reading anybody's .dev.vars.
	var lines strings.Builder
	for name, value := range vars {
		fmt.Fprintf(&lines, "%s='%s'\n", name, value) // dotenv takes what is in single quotes as it is
	}
	varsFile := filepath.Join(dir, "worker.env")
	if err := os.WriteFile(varsFile, []byte(lines.String()), 0o600); err != nil {
		return nil, err
	}
	// wrangler looks for its configuration above the entry, which may lie elsewhere.
	return Wrangler(root, "dev", entry, "--config", filepath.Join(root, "wrangler.toml"),
		"--ip", "127.0.0.1", "--port", strconv.Itoa(port), "--inspector-port", "0",
		"--env-file", varsFile, "--show-interactive-dev-session=false")
}

// Wrangler returns the command "wrangler args...", pinned by the project's lock
// file, on a Node that is new enough for it, in a process group of its own, and
// without any traffic that does not serve the command.
func Wrangler(root string, args ...string) (*exec.Cmd, error) {
	script := filepath.Join(root, "node_modules", "wrangler", "bin", "wrangler.js")
	if _, err := os.Stat(script); err != nil {
		return nil, errors.New("wrangler is not installed yet: run make tools first")
	}
	node, err := Node(root)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(node, append([]string{script}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(),
		"WORKER_IS_BUILT=1", // by the Makefile, so that wrangler's own build step has nothing to do
		"WRANGLER_SEND_METRICS=false", "CLOUDFLARE_CF_FETCH_ENABLED=false", "WRANGLER_HIDE_BANNER=true",
		"PATH="+filepath.Dir(node)+string(os.PathListSeparator)+os.Getenv("PATH"))
	if _, set := os.LookupEnv("CLOUDFLARE_ENV"); !set {
		cmd.Env = append(cmd.Env, "CLOUDFLARE_ENV=") // the top level of wrangler.toml is meant, and wrangler need not warn
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

// Run runs cmd and ends it, with its process group if it has one, when ctx does.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		if cmd.SysProcAttr != nil && cmd.SysProcAttr.Setpgid {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
			return
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
	})
	defer stop()
	return cmd.Wait()
}

// Node returns the path of a Node that can run wrangler: the machine's own when
// it is new enough, else the one that npm installed for this platform.
func Node(root string) (string, error) {
	if path, err := exec.LookPath("node"); err == nil {
		if out, err := exec.Command(path, "--version").Output(); err == nil && nodeSuffices(string(out)) {
			return path, nil
		}
	}
	found, _ := filepath.Glob(filepath.Join(root, "node_modules", "node-*", "bin", "node"))
	for _, path := range found {
		if out, err := exec.Command(path, "--version").Output(); err == nil && nodeSuffices(string(out)) {
			return path, nil
		}
	}
	return "", fmt.Errorf("wrangler needs Node.js %d.%d or newer, and npm has none for %s/%s: install it from https://nodejs.org",
		minNodeMajor, minNodeMinor, runtime.GOOS, runtime.GOARCH)
}

func nodeSuffices(version string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(strings.TrimSpace(version), "v%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > minNodeMajor || major == minNodeMajor && minor >= minNodeMinor
}
