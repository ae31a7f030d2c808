package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

var (
	docLink   = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	docTarget = regexp.MustCompile("make ([a-z][a-z-]+)")
	docFile   = regexp.MustCompile(`docs/[a-z]+\.md`)
	docSource = regexp.MustCompile(`^[\w./-]+\.(?:go|mjs|ts)$|^(?:broker|worker|docs)/[\w./-]+$`)
	makeRule  = regexp.MustCompile(`(?m)^([a-z-]+):`)
)

// pages returns the text of each Markdown file of the project by its path.
func pages(t *testing.T, root string) map[string]string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, path := range append(found, more...) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	if len(texts) < 5 {
		t.Fatalf("only %d pages found", len(texts))
	}
	return texts
}

// TestPages: each page that another one links is there, and so is each target of
// make, and each source file, that one names in code.
func TestPages(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range makeRule.FindAllStringSubmatch(string(makefile), -1) {
		targets[m[1]] = true
	}
	for path, text := range pages(t, root) {
		for _, m := range docLink.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links %s, which is not there", filepath.Base(path), m[1])
			}
		}
		for i, part := range strings.Split(text, "`") {
			if i%2 == 0 {
				continue // not in code
			}
			if docSource.MatchString(part) && !isIn(part, root, "", "broker", "worker", "broker/*", "worker/*") {
				t.Errorf("%s names %s, which is not there", filepath.Base(path), part)
			}
			for _, m := range docTarget.FindAllStringSubmatch(part, -1) {
				if !targets[m[1]] {
					t.Errorf("%s names make %s, which is no target", filepath.Base(path), m[1])
				}
			}
		}
	}
}

// isIn reports whether a path lies in one of these folders of root.
func isIn(path, root string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(folder string) bool {
		found, err := filepath.Glob(filepath.Join(root, folder, path))
		return err == nil && len(found) > 0
	})
}

// TestCitedPages: a comment or an error that cites a page cites one that is there.
func TestCitedPages(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	cited := 0
	for _, dir := range []string{"broker", "worker"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() && entry.Name() == "node_modules" {
				return fs.SkipDir
			}
			if ext := filepath.Ext(path); ext != ".go" && ext != ".mjs" {
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, page := range docFile.FindAllString(string(text), -1) {
				cited++
				if _, err := os.Stat(filepath.Join(root, page)); err != nil {
					t.Errorf("%s cites %s, which is not there", path, page)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if cited == 0 {
		t.Error("no citation was found; the test proves nothing")
	}
}
