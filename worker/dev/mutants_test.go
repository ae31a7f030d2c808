package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

// TestMutantsFit: each text of the list still stands in its file, once. So
// whoever moves a check moves its mutant along.
func TestMutantsFit(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	all, err := readMutants(mutantList)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 70 {
		t.Errorf("the list has only %d mutants", len(all))
	}
	tests := testsOf(t, filepath.Join(root, "worker", "e2e"))
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.String()] {
			t.Errorf("mutants.txt:%d: it is there twice: %s", m.line, m)
		}
		seen[m.String()] = true
		text, err := os.ReadFile(filepath.Join(root, m.file))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := m.apply(string(text)); err != nil {
			t.Error(err)
		}
		for _, name := range m.tests {
			if !strings.Contains(tests, "\nfunc "+name+"(t *testing.T)") {
				t.Errorf("mutants.txt:%d: worker/e2e has no %s", m.line, name)
			}
		}
	}
}

// testsOf returns the text of the tests in a folder.
func testsOf(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestHostVerdict: a mutant of the host is caught by a test that failed, or that was
// still running when its time was over; what did not run proves nothing.
func TestHostVerdict(t *testing.T) {
	const pass, fail, skip, run = "--- PASS: TestA (0.1s)\n", "--- FAIL: TestA (0.1s)\n", "--- SKIP: TestA (0.0s)\n", "=== RUN   TestA\n"
	for _, tt := range []struct {
		name, out     string
		overdue       bool
		caught, known bool
	}{
		{"passed", run + pass, false, false, true},
		{"failed", run + fail + "FAIL\n", false, true, true},
		{"skipped", run + skip + "PASS\n", false, false, false},
		{"a part of it skipped", run + pass + "    --- SKIP: TestA/part (0.0s)\n", false, false, false},
		{"not there", "testing: warning: no tests to run\nPASS\n", false, false, false},
		{"another failed", "--- FAIL: TestAB (0.1s)\nFAIL\n", false, false, false},
		{"runs on", run, true, true, true},
		{"ends before its time, without a word", run, false, false, false},
		{"never began", "", true, false, false},
		{"no Worker", run + "    x_test.go:1: " + stack.NotUp + ": it did not answer\n" + fail, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if caught, known := hostVerdict(tt.out, []string{"TestA"}, tt.overdue); caught != tt.caught || known != tt.known {
				t.Errorf("caught %v, known %v", caught, known)
			}
		})
	}
	if caught, known := hostVerdict(pass, []string{"TestA", "TestB"}, false); caught || known {
		t.Errorf("one of two did not run: caught %v, known %v", caught, known)
	}
}

// TestMutant: a check that a test watches is caught, one that none does survives,
// and what does not compile is neither.
func TestMutant(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":       "module m\n\ngo 1.26\n",
		"p/p.go":       "package p\n\nfunc Small(n int) bool { return n < 10 }\n\nfunc Even(n int) bool { return n%2 == 0 }\n",
		"p/p_test.go":  "package p\n\nimport \"testing\"\n\nfunc TestSmall(t *testing.T) {\n\tif Small(10) {\n\t\tt.Error()\n\t}\n}\n",
		"q/q.go":       "package q\n\nimport \"m/p\"\n\nvar Even = p.Even\n",
		"q/q_test.go":  "package q\n\nimport \"testing\"\n\nfunc TestEven(t *testing.T) {\n\tif Even(1) {\n\t\tt.Error()\n\t}\n}\n",
		"p/ignore.txt": "",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, block string
		caught, err bool
	}{
		{"caught", "p/p.go\n- n < 10\n+ true", true, false},
		{"survives", "p/p.go\n- n%2 == 0\n+ true", false, false},
		{"caught by another package", "p/p.go ./p ./q\n- n%2 == 0\n+ true", true, false},
		{"does not compile", "p/p.go\n- n < 10\n+ nothing", false, true},
		{"text is gone", "p/p.go\n- n > 10\n+ true", false, true},
		{"text twice", "p/p.go\n- bool\n+ int", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			all, err := readMutants(tt.block)
			if err != nil {
				t.Fatal(err)
			}
			caught, err := all[0].try(context.Background(), root, t.TempDir())
			if caught != tt.caught || (err != nil) != tt.err {
				t.Errorf("caught %v, error %v", caught, err)
			}
		})
	}
}

func TestReadMutants(t *testing.T) {
	for _, bad := range []string{"", "a.go", "a.go\n- x", "- x\n+ y", "a.go\n+ y", "a.go\nb.go\n- x\n+ y", "worker/a.mjs\n- x\n+ y"} {
		if all, err := readMutants(bad); err == nil {
			t.Errorf("%q is read as %v", bad, all)
		}
	}
}

func TestChosen(t *testing.T) {
	all := []mutant{{file: "a"}, {file: "b"}, {file: "a2"}, {file: "a3"}}
	for _, tt := range []struct {
		only, sample string
		want         []string
	}{
		{"", "", []string{"a", "b", "a2", "a3"}},
		{"a", "", []string{"a", "a2", "a3"}},
		{"a", "2", []string{"a", "a3"}},
		{"c", "", nil},
		{"", "0", nil},
		{"", "x", nil},
	} {
		got, err := chosen(append([]mutant(nil), all...), tt.only, tt.sample)
		if (err != nil) != (tt.want == nil) || len(got) != len(tt.want) {
			t.Errorf("%q, %q: got %v, %v", tt.only, tt.sample, got, err)
			continue
		}
		for i, file := range tt.want {
			if got[i].file != file {
				t.Errorf("%q, %q: got %v", tt.only, tt.sample, got)
			}
		}
	}
}
