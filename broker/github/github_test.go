package github_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"mcp-credential-broker/broker/github"
)

func TestValidOwner(t *testing.T) {
	tests := map[string]bool{
		"a": true, "acme": true, "Acme-Corp": true, "0x": true, "trailing-": true, "two--hyphens": true,
		"alice_acme": true, strings.Repeat("a", 39): true,
		"": false, "-a": false, strings.Repeat("a", 40): false, "_a": false, "a_": false, "a_b_c": false, "_": false,
		"a/b": false, "a.b": false, "a b": false, "a\n": false, "a\x00": false, "ä": false, "a%2fb": false, "..": false,
		"\u212aelvin": false, "a?b": false, "a\\b": false,
	}
	for name, want := range tests {
		if got := github.ValidOwner(name); got != want {
			t.Errorf("ValidOwner(%q) = %v", name, got)
		}
	}
}

func TestValidRepository(t *testing.T) {
	tests := map[string]bool{
		"a": true, "a.b": true, ".github": true, "...": true, "-": true, "_": true, "x.git": true,
		strings.Repeat("a", 100): true,
		"":                       false, ".": false, "..": false, strings.Repeat("a", 101): false, "a/b": false,
		"a b": false, "a\n": false, "ä": false, "a%2f": false, "*": false, "a\\b": false,
	}
	for name, want := range tests {
		if got := github.ValidRepository(name); got != want {
			t.Errorf("ValidRepository(%q) = %v", name, got)
		}
	}
}

func TestParseRepositories(t *testing.T) {
	many := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("r%d", i)
		}
		return list
	}
	tests := []struct {
		name      string
		owner     string
		list      []string
		wantOwner string
		want      []string
		wantErr   error
	}{
		{"nothing", "", nil, "", nil, nil},
		{"owner only", "acme", nil, "acme", nil, nil},
		{"bare names", "acme", []string{"api", "web"}, "acme", []string{"api", "web"}, nil},
		{"with owner", "acme", []string{"acme/api", "web"}, "acme", []string{"api", "web"}, nil},
		{"owner from the list", "", []string{"acme/api", "acme/web"}, "acme", []string{"api", "web"}, nil},
		{"owner from a later one", "", []string{"api", "acme/web"}, "acme", []string{"api", "web"}, nil},
		{"owner in another case", "Acme", []string{"aCME/api"}, "Acme", []string{"api"}, nil},
		{"duplicates", "acme", []string{"api", "acme/API", "api", "web"}, "acme", []string{"api", "web"}, nil},
		{"500", "acme", many(500), "acme", many(500), nil},

		{"501", "acme", many(501), "", nil, github.ErrTooManyRepositories},
		{"empty list", "acme", []string{}, "", nil, github.ErrNoRepositories},
		{"bare names without owner", "", []string{"api"}, "", nil, github.ErrOwnerMissing},
		{"other owner", "acme", []string{"evil/api"}, "", nil, github.ErrOwnersDiffer},
		{"other owner behind a good one", "acme", []string{"acme/api", "evil/web"}, "", nil, github.ErrOwnersDiffer},
		{"two owners", "", []string{"acme/api", "evil/api"}, "", nil, github.ErrOwnersDiffer},
		{"owner that only looks alike", "kelvin", []string{"\u212aelvin/api"}, "", nil, github.ErrOwner},
		{"bad owner", "ac/me", nil, "", nil, github.ErrOwner},
		{"bad owner in the list", "", []string{"-a/api"}, "", nil, github.ErrOwner},
		{"two slashes", "acme", []string{"acme/api/x"}, "", nil, github.ErrRepository},
		{"URL", "acme", []string{"https://github.com/acme/api"}, "", nil, github.ErrOwner},
		{"no name", "acme", []string{"acme/"}, "", nil, github.ErrRepository},
		{"no owner", "acme", []string{"/api"}, "", nil, github.ErrOwner},
		{"empty name", "acme", []string{""}, "", nil, github.ErrRepository},
		{"climbing", "acme", []string{"acme/.."}, "", nil, github.ErrRepository},
		{"bad name among good ones", "acme", []string{"api", "we b"}, "", nil, github.ErrRepository},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			owner, bare, err := github.ParseRepositories(test.owner, test.list)
			if err != test.wantErr || owner != test.wantOwner || !slices.Equal(bare, test.want) {
				t.Errorf("got %q, %q, %v; want %q, %q, %v", owner, bare, err, test.wantOwner, test.want, test.wantErr)
			}
			if test.list == nil && bare != nil {
				t.Error("nil list became an empty one")
			}
		})
	}
}

func FuzzParseRepositories(f *testing.F) {
	f.Add("acme", "api,acme/web")
	f.Add("", "acme/api,evil/api")
	f.Fuzz(func(t *testing.T, owner, list string) {
		asked := strings.Split(list, ",")
		gotOwner, bare, err := github.ParseRepositories(owner, asked)
		if err != nil {
			return
		}
		if !github.ValidOwner(gotOwner) || owner != "" && gotOwner != owner || len(bare) == 0 {
			t.Fatalf("owner %q, repositories %q", gotOwner, bare)
		}
		for _, name := range asked {
			prefix, after, found := strings.Cut(name, "/")
			if found && !strings.EqualFold(prefix, gotOwner) {
				t.Fatalf("%q passes under owner %q", name, gotOwner)
			}
			if !found {
				after = name
			}
			same := func(s string) bool { return strings.EqualFold(s, after) }
			if !github.ValidRepository(after) || !slices.ContainsFunc(bare, same) {
				t.Fatalf("%q became %q", name, bare)
			}
		}
	})
}
