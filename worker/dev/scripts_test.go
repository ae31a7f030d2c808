package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

// TestCheckScripts: a mistyped name is found, and what ships has none.
func TestCheckScripts(t *testing.T) {
	project, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(project, "node_modules", "typescript")); err != nil {
		if os.Getenv("REQUIRE_WRANGLER") != "" {
			t.Fatal(err)
		}
		t.Skip("typescript is not installed: make tools")
	}
	globals, err := os.ReadFile(filepath.Join(project, "worker", "globals.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "worker"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(project, "node_modules"), filepath.Join(root, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"export default { fetch: () => new Response('x') };": "",
		"export default { fetch: () => new Respons('x') };":  "Respons",
		"import { a } from './b.mjs'; a();":                  "b.mjs",
		"export default {":                                   "TS1005",
	} {
		for name, content := range map[string]string{"globals.d.ts": string(globals), "worker.mjs": text} {
			if err := os.WriteFile(filepath.Join(root, "worker", name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := checkScripts(t.Context(), root)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}
