package settings

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

func readText(t *testing.T, text, env string) (Settings, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "wrangler.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Read(path, env)
}

func TestReadSettings(t *testing.T) {
	for name, text := range map[string]string{
		"not TOML":             "name = ",
		"number as a variable": "name = \"b\"\n[vars]\nPORT = 3\n",
	} {
		if _, err := readText(t, text, ""); err == nil || !strings.Contains(err.Error(), "wrangler.toml") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := readText(t, "name = \"b\"\n", "stagin"); err == nil || !strings.Contains(err.Error(), "[env.stagin]") {
		t.Errorf("an environment that is not there: %v", err)
	}
}

// TestShippedSettings: an environment inherits no bindings, so each must repeat
// them.
func TestShippedSettings(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "wrangler.toml")
	top, err := Read(path, "")
	if err != nil {
		t.Fatal(err)
	}
	staging, err := Read(path, "staging")
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Limiters) == 0 || !slices.Equal(top.Limiters, staging.Limiters) {
		t.Errorf("limiters %v, in staging %v", top.Limiters, staging.Limiters)
	}
	if top.Worker == staging.Worker {
		t.Errorf("both are the Worker %s", top.Worker)
	}
}
