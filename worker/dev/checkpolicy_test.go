package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckPolicy(t *testing.T) {
	tests := []struct {
		name, document string
		valid          bool
		want           []string
	}{
		{"valid", `{"version": 1, "rules": [{"id": "a", "allow": {"ssh": true}}], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "allow"}]}`, true,
			[]string{"FILE is valid: mode enforce, 1 rule, 0 profiles, 1 test passed, id "}},
		{"without tests", `{"version": 1, "rules": []}`, true, []string{"0 rules", "It has no tests"}},
		{"faults", "{\"version\": 1,\n \"mood\": 1,\n \"rules\": [{\"id\": \"a\"}]}", false,
			[]string{"FILE:2:2: the document has no member \"mood\"", "FILE:3:12: rule \"a\": it has neither allow nor deny"}},
		{"failing test", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "allow"}]}`, false,
			[]string{"tests[0]: got deny, want allow"}},
		{"approval in relay mode", `{"version": 1, "rules": [{"id": "a", "allow": {"ssh": true}, "approve": "touch"}]}`, true,
			[]string{"FILE:1:73: warning: rule \"a\": in relay mode"}},
		{"client alone", `{"version": 1, "rules": [{"id": "a", "allow": {"who": {"client": ["x"]}, "ssh": true}}]}`, true,
			[]string{"warning: rule \"a\": a client chooses its name itself"}},
		{"mode audit", `{"version": 1, "mode": "audit", "rules": []}`, true, []string{"FILE:1:24: warning: mode audit"}},
		{"allow that a deny takes", `{"version": 1, "rules": [{"id": "a", "allow": {"github": ["x/y"]}}, {"id": "b", "deny": {"github": ["x/*"]}}]}`, true,
			[]string{`FILE:1:33: warning: rule "a" never gives github: the deny "b" takes all of it`}},
		{"allow behind a wider one", `{"version": 1, "rules": [{"id": "a", "allow": {"ssh": true}}, {"id": "b", "allow": {"who": {"email": ["x@y"]}, "ssh": true}}]}`, true,
			[]string{`warning: rule "b" never decides about ssh: rule "a" stands before it`}},
		{"allow behind a narrower one", `{"version": 1, "rules": [{"id": "b", "allow": {"who": {"email": ["x@y"]}, "ssh": true}}, {"id": "a", "allow": {"ssh": true}}]}`, true, []string{"FILE is valid"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "policy.json")
			if err := os.WriteFile(file, []byte(tt.document), 0o600); err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if err := checkPolicy(&out, file); (err == nil) != tt.valid {
				t.Errorf("got error %v", err)
			}
			for _, want := range tt.want {
				if want = strings.ReplaceAll(want, "FILE", file); !strings.Contains(out.String(), want) {
					t.Errorf("it does not print %q, but\n%s", want, out.String())
				}
			}
			warned := strings.Contains(strings.Join(tt.want, ""), "warning")
			if warned != strings.Contains(out.String(), "warning") {
				t.Errorf("warnings:\n%s", out.String())
			}
		})
	}
	if err := checkPolicy(&strings.Builder{}, filepath.Join(t.TempDir(), "none.json")); err == nil {
		t.Error("a file that is not there is valid")
	}
}
