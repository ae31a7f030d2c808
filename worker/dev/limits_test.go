package main

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mcp-credential-broker/worker/stack"
)

// standInTime is package time for go/types: reading the real one from its source
// would take seconds.
const standInTime = `package time
type Duration int64
const (
	Millisecond Duration = 1e6
	Second               = 1000 * Millisecond
	Minute               = 60 * Second
	Hour                 = 60 * Minute
)`

var (
	scriptConst = regexp.MustCompile(`(?m)^const (\w+) = ([\w */]+);`)
	limitNames  = regexp.MustCompile("((?:`\\w+`,? ?(?:and )?)+) in `([\\w/]+\\.(?:go|mjs))`")
	inCode      = regexp.MustCompile("`(\\w+)`")
	bound       = regexp.MustCompile(`\d[\d,.]*(?: (?:KiB|MiB|B|s|min|h)\b)?`)
	isLimit     = regexp.MustCompile(`^[mM]ax[A-Z]`)
)

// A quantity is one constant.
type quantity struct {
	value  int64 // nanoseconds, of a time
	isTime bool
}

// A unit is one in which the table may tell a limit.
type unit struct {
	size int64
	name string
}

var (
	timeUnits  = []unit{{1e9, " s"}, {60e9, " min"}, {3600e9, " h"}}
	otherUnits = []unit{{1, ""}, {1, " s"}, {1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}}
)

// is reports whether text, a number of the table with its unit, is the limit.
func (l quantity) is(text string) bool {
	units := otherUnits
	if l.isTime {
		units = timeUnits
	}
	text = strings.ReplaceAll(text, ",", "")
	return slices.ContainsFunc(units, func(u unit) bool {
		return l.value%u.size == 0 && text == fmt.Sprint(l.value/u.size)+u.name
	})
}

// limitsOf returns the constants of a Go file or of a module of the host that are
// numbers, by name. What a constant of another package goes into is left out.
func limitsOf(t *testing.T, path string) map[string]quantity {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(path) == ".mjs" {
		text = []byte(asGo(string(text)))
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	// Constants are found in spite of all that one file lacks of its package.
	conf := types.Config{Importer: onlyTime{}, Error: func(error) {}}
	pkg, _ := conf.Check("limits", files, []*ast.File{file}, nil)
	limits := map[string]quantity{}
	for _, name := range pkg.Scope().Names() {
		c, ok := pkg.Scope().Lookup(name).(*types.Const)
		if !ok || c.Val().Kind() != constant.Int {
			continue
		}
		value, _ := constant.Int64Val(c.Val())
		l := quantity{value, c.Type().String() == "time.Duration"}
		if strings.HasSuffix(name, "Ms") {
			l = quantity{value * 1e6, true}
		}
		limits[name] = l
	}
	return limits
}

// asGo writes the constants of a module of the host in Go.
func asGo(text string) string {
	out := "package limits\n"
	for _, m := range scriptConst.FindAllStringSubmatch(text, -1) {
		out += "const " + m[1] + " = " + strings.ReplaceAll(m[2], "2 ** ", "1 << ") + "\n"
	}
	return out
}

// onlyTime imports package time, and nothing else.
type onlyTime struct{}

func (onlyTime) Import(path string) (*types.Package, error) {
	if path != "time" {
		return nil, fmt.Errorf("%s is not looked at", path)
	}
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "time.go", standInTime, 0)
	if err != nil {
		return nil, err
	}
	return new(types.Config).Check("time", files, []*ast.File{file}, nil)
}

// TestTableOfLimits: each row of the table of caps and time limits says what the
// constants are that it names, and no number besides; and each cap and time limit of
// what is deployed is named.
func TestTableOfLimits(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "## Caps and time limits\n")
	table, _, _ = strings.Cut(table, "\n## ")
	named := map[string]bool{}
	for row := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(row, "|\n"), "|")
		if len(cells) != 3 || strings.HasPrefix(row, "|---") || cells[0] == " what " {
			continue
		}
		var limits []quantity
		for _, m := range limitNames.FindAllStringSubmatch(cells[2], -1) {
			known := limitsOf(t, filepath.Join(root, m[2]))
			for _, name := range inCode.FindAllStringSubmatch(m[1], -1) {
				l, ok := known[name[1]]
				if !ok {
					t.Errorf("%s has no constant %s, which the table names", m[2], name[1])
				}
				limits, named[m[2]+" "+name[1]] = append(limits, l), true
			}
		}
		if len(limits) > 0 {
			checkRow(t, strings.TrimSpace(cells[0]), cells[1], limits)
		}
	}
	for _, limit := range deployedLimits(t, root) {
		if !named[limit] {
			t.Errorf("the table of limits in docs/architecture.md does not name %s", limit)
		}
	}
}

func checkRow(t *testing.T, what, bounds string, limits []quantity) {
	t.Helper()
	numbers := bound.FindAllString(bounds, -1)
	for i, number := range numbers {
		numbers[i] = strings.TrimRight(number, ",.")
	}
	for _, l := range limits {
		if !slices.ContainsFunc(numbers, l.is) {
			t.Errorf("%s: the table says %q, and the code has %d", what, numbers, l.value)
		}
	}
	for _, number := range numbers {
		if !slices.ContainsFunc(limits, func(l quantity) bool { return l.is(number) }) {
			t.Errorf("%s: the table says %s, which no constant that it names is", what, number)
		}
	}
}

// deployedLimits are the caps and time limits of all that is linked into the Worker,
// as a file and a name.
func deployedLimits(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	add := func(path string) {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		for constant, l := range limitsOf(t, path) {
			if l.isTime || isLimit.MatchString(constant) || filepath.Base(path) == "limits.go" {
				all = append(all, filepath.ToSlash(name)+" "+constant)
			}
		}
	}
	err := filepath.WalkDir(filepath.Join(root, "broker"), func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasSuffix(entry.Name(), "test"): // stand-ins: theirs are the other side's
			return fs.SkipDir
		case filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go"):
			add(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"*_js.go", "*.mjs"} {
		paths, err := filepath.Glob(filepath.Join(root, "worker", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			add(path)
		}
	}
	slices.Sort(all)
	return all
}
