package policytest

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"mcp-credential-broker/broker/policy"
)

// Listed finds the first rule of a list that gives all of a request.
func Listed(all []policy.Entry, q policy.Request) *policy.Entry {
	for i, e := range all {
		if e.Tool != q.Tool || i > 0 && all[i-1].Rule == e.Rule && q.Kind == policy.GitHub && all[i-1].Kind == q.Kind {
			continue // for repositories a rule is looked at once
		}
		switch q.Kind {
		case policy.SSH:
			return &e
		case policy.AWS:
			if q.Seconds <= e.Seconds && (q.Profile != "" && q.Profile == e.Profile || q.RoleARN != "" && e.Roles != "" && Like(e.Roles, q.RoleARN) && !slices.ContainsFunc(e.Except, func(x string) bool { return Like(x, q.RoleARN) })) {
				return &e
			}
			if q.Seconds > e.Seconds && (q.Profile != "" && q.Profile == e.Profile || q.RoleARN != "" && e.Roles != "" && Like(e.Roles, q.RoleARN)) {
				return nil // the first that covers it decides
			}
		case policy.GitHub:
			if holds(all, e.Rule, q) {
				return &e
			}
		}
	}
	return nil
}

func holds(all []policy.Entry, rule string, q policy.Request) bool {
	gives := func(e policy.Entry, repository string) bool {
		if e.Kind != policy.GitHub || e.Rule != rule {
			return false
		}
		if repository == "" {
			return e.Installation && LikeFold(strings.Split(e.Repositories, "/")[0], q.Owner) && !slices.ContainsFunc(e.Except, func(x string) bool { return LikeFold(strings.Split(x, "/")[0], q.Owner) })
		}
		full := q.Owner + "/" + repository
		return LikeRepository(e.Repositories, full) && !slices.ContainsFunc(e.Except, func(x string) bool { return LikeRepository(x, full) })
	}
	wanted := q.Repositories
	if wanted == nil {
		wanted = []string{""}
	}
	for _, repository := range wanted {
		if !slices.ContainsFunc(all, func(e policy.Entry) bool { return gives(e, repository) }) {
			return false
		}
	}
	return true
}

// Like reports whether a text is what a glob means, by way of regular expressions.
func Like(glob, s string) bool { return matches("(?s)^(?:"+pattern(glob)+")$", s) }

// LikeFold is Like whatever the case.
func LikeFold(glob, s string) bool { return matches("(?si)^(?:"+pattern(glob)+")$", s) }

// LikeRepository is LikeFold where no star stands for a slash.
func LikeRepository(glob, s string) bool {
	return matches("(?si)^(?:"+strings.ReplaceAll(pattern(glob), ".*", "[^/]*")+")$", s)
}

func pattern(glob string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(glob), `\*`, ".*")
}

var expressions sync.Map // by their text; to compile them takes most of the time

func matches(expression, s string) bool {
	compiled, ok := expressions.Load(expression)
	if !ok {
		compiled, _ = expressions.LoadOrStore(expression, regexp.MustCompile(expression))
	}
	return compiled.(*regexp.Regexp).MatchString(s)
}
