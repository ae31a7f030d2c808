package policyfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	if text, err := Read(dir, ""); text != "" || err != nil {
		t.Errorf("no file: %q, %v", text, err)
	}
	path := filepath.Join(dir, Name)
	if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for variable, want := range map[string]string{"": "{}", "none": "none", `{"version": 1}`: `{"version": 1}`} {
		if text, err := Read(dir, variable); text != want || err != nil {
			t.Errorf("POLICY=%s: %q, %v", variable, text, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if text, err := Read(dir, ""); err == nil {
		t.Errorf("what cannot be read is %q", text)
	}
}
