package policy

import (
	"strings"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/glob"
)

// matchesRoles reports whether some ARN of an IAM role matches the glob:
// arn:{partition}:iam::{12 digits}:role/{path/}{name}. It does not look at lengths
// of paths and names.
func matchesRoles(g *glob.Glob) bool {
	pattern := g.String()
	if strings.ContainsFunc(pattern, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	if g.Exact() {
		rest, ok := cutRoleStart(pattern)
		return ok && rest != "" && !strings.HasPrefix(rest, "/") && isRoleName(rest)
	}
	head, _, _ := strings.Cut(pattern, "*")
	if _, ok := cutRoleStart(head); !ok && !beginsRole(head) {
		return false
	}
	// The star can stand for anything that is missing before, and a path can hold
	// whatever follows it; only the end must be a name.
	tail := pattern[strings.LastIndexByte(pattern, '*')+1:]
	return tail == "" || isRoleName(tail)
}

// isRoleName judges what follows the last slash.
func isRoleName(s string) bool {
	name := s[strings.LastIndexByte(s, '/')+1:]
	return ascii.Only(name, ascii.Alphanumeric+"_+=,.@-")
}

// cutRoleStart takes everything up to the path off an ARN.
func cutRoleStart(s string) (rest string, ok bool) {
	fields := strings.SplitN(s, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || !isPartition(fields[1]) || fields[2] != "iam" || fields[3] != "" ||
		len(fields[4]) != 12 || !ascii.Only(fields[4], ascii.Digits) {
		return "", false
	}
	return strings.CutPrefix(fields[5], "role/")
}

// beginsRole reports whether an ARN can begin with s, which ends before the path.
func beginsRole(s string) bool {
	fields := strings.SplitN(s, ":", 6)
	last := len(fields) - 1
	for i, field := range fields {
		var ok bool
		switch i {
		case 0:
			ok = part(field, "arn", i == last)
		case 1:
			ok = i == last && (strings.HasPrefix("aws", field) || isPartition(field) || strings.HasPrefix(field, "aws-")) || isPartition(field)
		case 2:
			ok = part(field, "iam", i == last)
		case 3:
			ok = field == ""
		case 4:
			ok = strings.Trim(field, ascii.Digits) == "" && (len(field) == 12 || i == last && len(field) < 12)
		case 5:
			ok = strings.HasPrefix("role/", field)
		}
		if !ok {
			return false
		}
	}
	return true
}

// part reports whether field is whole, or may begin it as the last one.
func part(field, whole string, last bool) bool {
	return field == whole || last && strings.HasPrefix(whole, field)
}

func isPartition(s string) bool {
	rest, ok := strings.CutPrefix(s, "aws")
	return ok && (rest == "" || rest[0] == '-' && len(rest) > 1 && ascii.Only(rest, ascii.Lower+"-"))
}
