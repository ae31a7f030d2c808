package grant

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestAuditIsDocumented holds docs/audit.md to the line of a call: whoever reads the
// log relies on its fields.
func TestAuditIsDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "audit.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "## `tool_call`")
	section, _, _ = strings.Cut(section, "\n## ")
	fields := 0
	for _, kind := range []reflect.Type{reflect.TypeFor[record](), reflect.TypeFor[target](), reflect.TypeFor[issued](), reflect.TypeFor[hopRecord]()} {
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if fields++; name == "" || !strings.Contains(section, "`"+name+"`") {
				t.Errorf("%s.%s: docs/audit.md does not name %q", kind.Name(), kind.Field(i).Name, name)
			}
		}
	}
	if fields < 30 {
		t.Errorf("only %d fields were looked for", fields)
	}
}
