package settings

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteVars(t *testing.T) {
	vars := [][2]string{{"A", "1"}, {"B", "2"}}
	tests := []struct{ name, table, text, want string }{
		{"replaced and added", "vars", "name = \"x\"\n[vars] # ours\nA = \"old\" # note\nC = \"3\"\n\n[env.s]\nA = \"other\"\n",
			"name = \"x\"\n[vars] # ours\nB = \"2\"\nA = \"1\"\nC = \"3\"\n\n[env.s]\nA = \"other\"\n"},
		{"environment", "env.s.Vars", "[vars]\nA = \"top\"\n[env.s.Vars]\n", "[vars]\nA = \"top\"\n[env.s.Vars]\nA = \"1\"\nB = \"2\"\n"},
		{"a comment is no variable", "vars", "[vars]\n# A = \"x\"\n", "[vars]\nA = \"1\"\nB = \"2\"\n# A = \"x\"\n"},
		{"no table", "vars", "name = \"x\"\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "wrangler.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := WriteVars(path, tt.table, vars)
			got, _ := os.ReadFile(path)
			if tt.want == "" {
				if err == nil || !strings.Contains(err.Error(), "[vars]") || string(got) != tt.text {
					t.Errorf("error %v, file %q", err, got)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("error %v, file %q, want %q", err, got, tt.want)
			}
		})
	}
}
