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
		"-a": true, "-": true, "--a-": true,
		"": false, strings.Repeat("a", 40): false, "_a": false, "a_": false, "a_b_c": false, "_": false,
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
		"a": true, "a.b": true, ".github": true, "...": true, "-": true, "_": true, "x.github": true, "git": true,
		strings.Repeat("a", 100): true,
		"":                       false, ".": false, "..": false, "x.git": false, "x.GIT": false, ".git": false, strings.Repeat("a", 101): false, "a/b": false,
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
		{"owner with a hyphen first", "", []string{"-acme/api"}, "-acme", []string{"api"}, nil},
		{"as git writes a name", "acme", []string{"api.git", "acme/web.git"}, "acme", []string{"api", "web"}, nil},
		{"one repository in many forms", "", []string{
			"https://github.com/acme/api", "HTTPS://GitHub.com/acme/api.git", "https://www.github.com/Acme/API/", "http://github.com/acme/api",
			"https://github.com:443/acme/api", "git://github.com/acme/api.git", "git+https://github.com/acme/api.git",
			"git@github.com:acme/api.git", "git@github.com:/acme/api", "ssh://git@github.com/acme/api.git", "ssh://git@github.com:22/acme/api",
			"git+ssh://git@github.com/acme/api.git", "ssh://git@ssh.github.com:443/acme/api.git", "github.com/acme/api", "github.com/acme/api/",
			"https://github.com/acme/api/tree/main/docs", "https://github.com/acme/api/pull/3#discussion", "https://github.com/acme/api?tab=readme", "api",
		}, "acme", []string{"api"}, nil},
		{"a repository that is called like the host", "acme", []string{"github.com"}, "acme", []string{"github.com"}, nil},
		{"an owner that is called like a scheme", "", []string{"https/api"}, "https", []string{"api"}, nil},

		{"two owners in URLs", "", []string{"https://github.com/acme/api", "git@github.com:evil/api.git"}, "", nil, github.ErrOwnersDiffer},
		{"URL of another owner", "acme", []string{"https://github.com/evil/api"}, "", nil, github.ErrOwnersDiffer},
		{"URL of an owner", "acme", []string{"https://github.com/acme"}, "", nil, github.ErrRepository},
		{"URL of GitHub", "acme", []string{"https://github.com/"}, "", nil, github.ErrRepository},
		{"URL without a path", "acme", []string{"https://github.com"}, "", nil, github.ErrRepository},
		{"other host", "acme", []string{"https://github.com.evil.example/acme/api"}, "", nil, github.ErrRepository},
		{"other host's page", "acme", []string{"https://evil.example/github.com/acme/api"}, "", nil, github.ErrRepository},
		{"other host at git", "acme", []string{"git@evil.example:acme/api.git"}, "", nil, github.ErrRepository},
		{"other host behind a user", "acme", []string{"https://github.com@evil.example/acme/api"}, "", nil, github.ErrRepository},
		{"password", "acme", []string{"https://x-access-token:ghs_x@github.com/acme/api"}, "", nil, github.ErrRepository},
		{"other user", "acme", []string{"ssh://root@github.com/acme/api"}, "", nil, github.ErrRepository},
		{"other port", "acme", []string{"https://github.com:8443/acme/api"}, "", nil, github.ErrRepository},
		{"other scheme", "acme", []string{"file://github.com/acme/api"}, "", nil, github.ErrRepository},
		{"two slashes in an address of git", "acme", []string{"git@github.com:acme/api/x"}, "", nil, github.ErrRepository},
		{"empty owner in a URL", "acme", []string{"https://github.com//api"}, "", nil, github.ErrRepository},
		{"escaped in a URL", "acme", []string{"https://github.com/acme/api%2f..%2fx"}, "", nil, github.ErrRepository},
		{"climbing in a URL", "acme", []string{"https://github.com/acme/../evil/api"}, "", nil, github.ErrRepository},
		{"host's letters that only look alike", "acme", []string{"https://g\u0131thub.com/acme/api"}, "", nil, github.ErrRepository},
		{"git's ending in another case", "acme", []string{"payroll.GIT", "https://github.com/acme/web.Git"}, "acme", []string{"payroll", "web"}, nil},
		{"git's ending twice, in two cases", "acme", []string{"api.GIT.git"}, "", nil, github.ErrRepository},
		{"git's ending twice", "acme", []string{"api.git.git"}, "", nil, github.ErrRepository},
		{"nothing but .git", "acme", []string{".git"}, "", nil, github.ErrRepository},
		{"other owner", "acme", []string{"evil/api"}, "", nil, github.ErrOwnersDiffer},
		{"other owner behind a good one", "acme", []string{"acme/api", "evil/web"}, "", nil, github.ErrOwnersDiffer},
		{"two owners", "", []string{"acme/api", "evil/api"}, "", nil, github.ErrOwnersDiffer},
		{"owner that only looks alike", "kelvin", []string{"\u212aelvin/api"}, "", nil, github.ErrRepository},
		{"bad owner", "ac/me", nil, "", nil, github.ErrOwner},
		{"bad owner in the list", "", []string{"a.b/api"}, "", nil, github.ErrRepository},
		{"two slashes", "acme", []string{"acme/api/x"}, "", nil, github.ErrRepository},
		{"no name", "acme", []string{"acme/"}, "", nil, github.ErrRepository},
		{"no owner", "acme", []string{"/api"}, "", nil, github.ErrRepository},
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
	f.Add("", "https://github.com/acme/api/pull/3?x#y,git@github.com:acme/web.git")
	f.Add("acme", "ssh://git@ssh.github.com:443/acme/api.git,GITHUB.com/acme/x")
	f.Fuzz(func(t *testing.T, owner, list string) {
		asked := strings.Split(list, ",")
		gotOwner, bare, err := github.ParseRepositories(owner, asked)
		if err != nil {
			return
		}
		if !github.ValidOwner(gotOwner) || owner != "" && gotOwner != owner || len(bare) == 0 {
			t.Fatalf("owner %q, repositories %q", gotOwner, bare)
		}
		for _, name := range bare {
			// Each is in what was asked, by whole words, and so is the owner.
			if !github.ValidRepository(name) || !strings.Contains(list, name) {
				t.Fatalf("%q became %q", list, bare)
			}
		}
		for _, name := range asked {
			if found := strings.Contains(name, "/"); found && !strings.Contains(strings.ToLower(name), strings.ToLower(gotOwner)+"/") {
				t.Fatalf("%q passes under owner %q", name, gotOwner)
			}
		}
		again, same, err := github.ParseRepositories(gotOwner, bare)
		if err != nil || again != gotOwner || !slices.Equal(same, bare) {
			t.Fatalf("%q, %q are read as %q, %q: %v", gotOwner, bare, again, same, err)
		}
	})
}
