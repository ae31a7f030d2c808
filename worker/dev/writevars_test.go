package main

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
		{"environment", "env.s.vars", "[vars]\nA = \"top\"\n[env.s.vars]\n", "[vars]\nA = \"top\"\n[env.s.vars]\nA = \"1\"\nB = \"2\"\n"},
		{"a comment is no variable", "vars", "[vars]\n# A = \"x\"\n", "[vars]\nA = \"1\"\nB = \"2\"\n# A = \"x\"\n"},
		{"no table", "vars", "name = \"x\"\n", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "wrangler.toml")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			err := writeVars(path, tt.table, vars)
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

func TestCheckNames(t *testing.T) {
	tests := []struct{ name, entry, want string }{
		{"known", "VOUCH_AUDIENCE=x", ""},
		{"mistyped in the environment", "VOUCH_AUDIANCE=x", "did you mean VOUCH_AUDIENCE"},
		{"another program's", "VOUCH_SESSION_TOKEN=x", ""},
		{"mistyped on make's line", "MAKEFLAGS= -- VOUCH_ISUER=https://x RUN=1", "did you mean VOUCH_ISSUER"},
		{"unknown on make's line", "MAKEFLAGS=s -- COLOUR=blue", "COLOUR is no variable"},
		{"known on make's line", "MAKEFLAGS= -- RUN=1", ""},
		{"flags alone", "MAKEFLAGS=kw", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkNames([]string{"HOME=/root", tt.entry})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
