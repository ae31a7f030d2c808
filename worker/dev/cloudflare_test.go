package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/worker/settings"
	"mcp-credential-broker/worker/stack"
)

// cloudflare stands in for the part of Cloudflare's API that wrangler uses to
// deploy: it takes one token, and keeps what it was sent.
type cloudflare struct {
	mu       sync.Mutex
	calls    []string
	uploaded []byte
	domains  []byte
}

const (
	cloudflareToken   = "a-token-of-the-test"
	cloudflareAccount = "0123456789abcdef0123456789abcdef"
)

func (c *cloudflare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 32<<20))
	if err != nil || r.Header.Get("Authorization") != "Bearer "+cloudflareToken {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/accounts/"+cloudflareAccount)
	c.calls = append(c.calls, r.Method+" "+path)
	var result any = map[string]any{}
	status := http.StatusOK
	switch {
	case r.Method == http.MethodPut && path == "/workers/scripts/b":
		c.uploaded = body
		result = map[string]any{"id": "b", "startup_time_ms": 9, "available_on_subdomain": false, "has_assets": false, "deployment_id": "d1", "etag": "e"}
	case r.Method == http.MethodPut && path == "/workers/scripts/b/domains/records":
		c.domains = body
		result = []any{}
	case strings.HasSuffix(path, "/domains/changeset"):
		result = map[string]any{"added": []any{}, "removed": []any{}, "updated": []any{}, "conflicting": []any{}}
	case path == "/workers/workers/b":
		result = map[string]any{"id": "b", "name": "b", "subdomain": map[string]any{"enabled": false, "previews_enabled": false}}
	case strings.HasSuffix(path, "/subdomain"):
		result = map[string]any{"subdomain": "acme", "enabled": false, "previews_enabled": false}
	case path == "/workers/services/b" || strings.HasPrefix(path, "/workers/scripts/b/"):
		status = http.StatusNotFound // it has never been deployed
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	errors := []any{}
	if status != http.StatusOK {
		errors = append(errors, map[string]any{"code": 10007, "message": "This Worker does not exist"})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"success": status == http.StatusOK, "errors": errors, "messages": []any{}, "result": result})
}

// TestDeployWithWrangler: the real wrangler deploys a Worker to the stand-in, its
// custom domain with it, and what answers then is waited for.
func TestDeployWithWrangler(t *testing.T) {
	project, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(project, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "wrangler")); err != nil {
		if os.Getenv("REQUIRE_WRANGLER") != "" { // CI has run make tools
			t.Fatal(err)
		}
		t.Skip("wrangler is not installed: make tools")
	}
	api := &cloudflare{}
	server := httptest.NewServer(api)
	defer server.Close()
	answers := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"status":"ok","version":%q,"commit":"abc123","mode":"relay"}`, broker.Version)
	}))
	defer answers.Close()
	t.Setenv("BROKER", answers.URL)
	t.Setenv("CLOUDFLARE_API_BASE_URL", server.URL)
	t.Setenv("CLOUDFLARE_API_TOKEN", cloudflareToken)
	t.Setenv("CLOUDFLARE_ACCOUNT_ID", cloudflareAccount)
	t.Setenv("WRANGLER_LOG_PATH", t.TempDir())
	t.Setenv("CI", "1")

	root := t.TempDir()
	text := "main = \"build/worker.mjs\"\ncompatibility_date = \"2026-10-01\"\nsend_metrics = false\n" + strings.Replace(relaying, "[vars]", routed+"[vars]", 1)
	for name, content := range map[string]string{
		"go.mod": "module x\n", "wrangler.toml": text, "build/commit": "abc123\n",
		"build/worker.mjs": "export default { fetch: () => new Response('hello') };\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(modules, filepath.Join(root, "node_modules")); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Read(filepath.Join(root, "wrangler.toml"), "")
	if err != nil {
		t.Fatal(err)
	}
	var told strings.Builder
	d := deployer{
		Settings: s, getenv: func(string) string { return "" }, commit: "abc123", world: scriptedWorld(), out: &told,
		size: func(context.Context) error { return nil },
		wrangler: func(ctx context.Context) error {
			cmd, err := stack.Wrangler(root, "deploy")
			if err != nil {
				return err
			}
			cmd.Stdout, cmd.Stderr = &told, &told
			return stack.Run(ctx, cmd)
		},
	}
	if err := d.deploy(t.Context()); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &told, strings.Join(api.calls, "\n"))
	}
	api.mu.Lock()
	defer api.mu.Unlock()
	if !strings.Contains(string(api.uploaded), "hello") || !strings.Contains(string(api.uploaded), "https://broker.example/mcp") {
		t.Errorf("uploaded %d bytes, without the module or its variables", len(api.uploaded))
	}
	if !strings.Contains(string(api.domains), "broker.example") {
		t.Errorf("custom domains %q\n%s", api.domains, strings.Join(api.calls, "\n"))
	}
	if strings.Contains(told.String(), cloudflareToken) {
		t.Error("the token was printed")
	}
}
