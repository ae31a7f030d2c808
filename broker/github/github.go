// Package github checks the names of GitHub owners and repositories before they
// go into a request for a token.
//
// It promises that what passes names one owner and repositories of that owner
// only, in the one form that cannot be read in two ways: an owner beside bare
// names. It does not know whether they exist.
package github

import (
	"errors"
	"strings"

	"mcp-credential-broker/broker/ascii"
)

// MaxRepositories is how many repositories GitHub takes for one installation
// token.
const MaxRepositories = 500

var (
	// ErrOwner says that an owner's name breaks GitHub's grammar.
	ErrOwner = errors.New("GitHub owner name is not valid")
	// ErrRepository says that a repository's name breaks GitHub's grammar.
	ErrRepository = errors.New("GitHub repository name is not valid")
	// ErrOwnerMissing says that there are bare repository names and no owner.
	ErrOwnerMissing = errors.New("GitHub owner is missing")
	// ErrOwnersDiffer says that a repository belongs to another owner than the
	// one asked for, or than another repository. A token is for one.
	ErrOwnersDiffer = errors.New("repositories belong to different GitHub owners")
	// ErrNoRepositories says that the list of repositories is there and empty.
	ErrNoRepositories = errors.New("list of repositories is empty")
	// ErrTooManyRepositories says that there are more than MaxRepositories.
	ErrTooManyRepositories = errors.New("too many repositories")
)

// ValidOwner reports whether name can be a user or an organisation: 1 to 39
// letters, digits and hyphens. Old names may begin or end in a hyphen or hold two
// in a row, and names managed by an enterprise hold one underscore inside.
func ValidOwner(name string) bool {
	if len(name) < 1 || len(name) > 39 {
		return false
	}
	before, company, managed := strings.Cut(name, "_")
	if managed && (before == "" || company == "" || strings.Contains(company, "_")) {
		return false
	}
	return ascii.Only(name, ascii.Alphanumeric+"-_")
}

// ValidRepository reports whether name can be a repository, without its owner:
// 1 to 100 letters, digits, dots, hyphens and underscores, and neither "." nor
// "..", which would climb out of a path, nor one that ends in ".git", which GitHub
// does not give.
func ValidRepository(name string) bool {
	return len(name) >= 1 && len(name) <= 100 && name != "." && name != ".." && cutGit(name) == name && ascii.Only(name, ascii.Alphanumeric+".-_")
}

// ParseRepositories checks the arguments of a token request. Each repository is
// a bare name, "owner/name", or an address as a browser or git shows it; the result holds bare names, in order, without
// duplicates, and the owner of them all, which may come from either argument.
// Names are compared without regard to case, as GitHub does.
//
// A nil list is every repository of the installation, and an empty owner leaves
// the choice to the server. An empty list that is not nil is ErrNoRepositories:
// passed on, a list that was filtered down to nothing would open everything.
//
// Its error is one of this package's sentinels.
func ParseRepositories(owner string, repositories []string) (string, []string, error) {
	if owner != "" && !ValidOwner(owner) {
		return "", nil, ErrOwner
	}
	if repositories == nil {
		return owner, nil, nil
	}
	if len(repositories) == 0 {
		return "", nil, ErrNoRepositories
	}
	if len(repositories) > MaxRepositories {
		return "", nil, ErrTooManyRepositories
	}
	bare := make([]string, 0, len(repositories))
	seen := make(map[string]bool, len(repositories))
	for _, repository := range repositories {
		prefix, name, err := split(repository)
		if err != nil {
			return "", nil, err
		}
		switch {
		case prefix == "":
		case owner == "":
			owner = prefix
		case !strings.EqualFold(prefix, owner):
			return "", nil, ErrOwnersDiffer
		}
		if key := strings.ToLower(name); !seen[key] {
			seen[key] = true
			bare = append(bare, name)
		}
	}
	if owner == "" {
		return "", nil, ErrOwnerMissing
	}
	return owner, bare, nil
}

// split takes a repository apart. The owner of a bare name is empty. GitHub gives
// no repository a name that ends in ".git", which is how git writes addresses.
func split(repository string) (owner, name string, err error) {
	path, isAddress, ok := cutAddress(repository)
	owner, name, found := strings.Cut(path, "/")
	if !found {
		owner, name = "", path
	}
	name = cutGit(name)
	if !ok || (found || isAddress) && !ValidOwner(owner) || !ValidRepository(name) {
		return "", "", ErrRepository
	}
	return owner, name, nil
}

// cutGit cuts git's ending, in any case: who denies "payroll" denies "payroll.GIT" too,
// whatever GitHub makes of that.
func cutGit(name string) string {
	const ending = ".git"
	if at := len(name) - len(ending); at >= 0 && strings.EqualFold(name[at:], ending) {
		return name[:at]
	}
	return name
}

// cutAddress cuts what precedes "owner/name" in the address of a repository at
// github.com, and what may follow it in one for a browser. Another host, another
// user than git's and a port that is not the scheme's are not ok: the token would
// not be for what they name.
func cutAddress(text string) (path string, isAddress, ok bool) {
	scheme, rest, isURL := strings.Cut(text, "://")
	scheme = strings.TrimPrefix(strings.ToLower(scheme), "git+")
	if !isURL {
		if rest, ok := cutFold(text, "git@github.com:"); ok { // as scp writes it
			return strings.TrimPrefix(rest, "/"), true, true
		}
		if rest, ok = cutFold(text, "github.com/"); !ok {
			return text, false, true
		}
		return cutPage(rest), true, true
	}
	hosts := map[string][]string{
		"https": {"github.com/", "www.github.com/", "github.com:443/"},
		"http":  {"github.com/", "www.github.com/"},
		"git":   {"github.com/"},
		"ssh":   {"git@github.com/", "git@github.com:22/", "git@ssh.github.com:443/"},
	}[scheme]
	for _, host := range hosts {
		if path, ok := cutFold(rest, host); ok && (scheme == "http" || scheme == "https") {
			return cutPage(path), true, true
		} else if ok {
			return path, true, true
		}
	}
	return "", true, false
}

// cutPage keeps of a page's path the owner and the repository that it is of.
func cutPage(path string) string {
	path = path[:strings.IndexAny(path+"?", "?#")]
	parts := strings.SplitN(path, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

// cutFold cuts a prefix that may be written in any case.
func cutFold(s, prefix string) (after string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
