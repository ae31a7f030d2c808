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
// letters, digits and hyphens, the first not a hyphen. Old names may end in a
// hyphen or hold two in a row, and names managed by an enterprise hold one
// underscore inside.
func ValidOwner(name string) bool {
	if len(name) < 1 || len(name) > 39 || name[0] == '-' {
		return false
	}
	before, company, managed := strings.Cut(name, "_")
	if managed && (before == "" || company == "" || strings.Contains(company, "_")) {
		return false
	}
	return consistsOf(name, "-_")
}

// ValidRepository reports whether name can be a repository, without its owner:
// 1 to 100 letters, digits, dots, hyphens and underscores, and neither "." nor
// "..", which would climb out of a path.
func ValidRepository(name string) bool {
	return len(name) >= 1 && len(name) <= 100 && name != "." && name != ".." && consistsOf(name, ".-_")
}

// ParseRepositories checks the arguments of a token request. Each repository is
// a bare name or "owner/name"; the result holds bare names, in order, without
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

// split takes "owner/name" apart at its only slash. The owner of a bare name is
// empty.
func split(repository string) (owner, name string, err error) {
	owner, name, found := strings.Cut(repository, "/")
	if !found {
		owner, name = "", repository
	} else if !ValidOwner(owner) {
		return "", "", ErrOwner
	}
	if !ValidRepository(name) {
		return "", "", ErrRepository
	}
	return owner, name, nil
}

// consistsOf reports whether name has only ASCII letters, digits and the given
// marks.
func consistsOf(name, marks string) bool {
	for _, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && strings.IndexByte(marks, c) < 0 {
			return false
		}
	}
	return true
}
