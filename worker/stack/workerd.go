package stack

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// bareWorkerd is the command that runs the Worker in workerd itself, with the
// compatibility settings of wrangler.toml.
func bareWorkerd(root, dir, entry string, port int, vars map[string]string) (*exec.Cmd, error) {
	found, _ := filepath.Glob(filepath.Join(root, "node_modules", "@cloudflare", "workerd-*", "bin", "workerd"))
	if len(found) == 0 {
		return nil, errors.New("workerd is not installed yet: run make tools first")
	}
	settings, err := os.ReadFile(filepath.Join(root, "wrangler.toml"))
	if err != nil {
		return nil, err
	}
	date := regexp.MustCompile(`(?m)^compatibility_date = (".*")$`).FindSubmatch(settings)
	flags := regexp.MustCompile(`(?m)^compatibility_flags = (\[.*\])$`).FindSubmatch(settings)
	if date == nil || flags == nil {
		return nil, errors.New("wrangler.toml has no compatibility_date or no compatibility_flags on a line of its own")
	}
	modules, err := copyModules(filepath.Dir(entry), dir)
	if err != nil {
		return nil, err
	}
	var bindings []string
	for name, value := range vars {
		kind := "text"
		if strings.HasSuffix(name, "_LIMITER") { // an object that stands for a rate-limit binding, which workerd itself has not
			kind = "json"
		}
		bindings = append(bindings, fmt.Sprintf("(name = %q, %s = %q)", name, kind, value))
	}
	config := filepath.Join(dir, "workerd.capnp")
	text := fmt.Sprintf(workerdConfig, port, strings.Join(modules, ", "), date[1], flags[1], strings.Join(bindings, ", "))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(found[0], "serve", config)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, nil
}

const workerdConfig = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .main), (name = "internet", network = (allow = ["public", "private"]))],
  sockets = [(name = "http", address = "127.0.0.1:%d", http = (), service = "main")],
);
const main :Workerd.Worker = (
  modules = [%s],
  compatibilityDate = %s,
  compatibilityFlags = %s,
  bindings = [%s],
);
`

// copyModules copies a build to where workerd's configuration embeds it from,
// the entry module first, as workerd wants it.
func copyModules(from, to string) (modules []string, err error) {
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{".mjs": "esModule", ".js": "esModule", ".wasm": "wasm", ".txt": "text"}
	for _, entry := range entries {
		name, kind := entry.Name(), kinds[filepath.Ext(entry.Name())]
		if kind == "" || entry.IsDir() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(to, name), content, 0o600); err != nil {
			return nil, err
		}
		module := fmt.Sprintf("(name = %q, %s = embed %q)", name, kind, name)
		if name == "worker.mjs" {
			modules = append([]string{module}, modules...)
		} else {
			modules = append(modules, module)
		}
	}
	return modules, nil
}
