package sts

import "strings"

// A RoleARN is the Amazon Resource Name of an IAM role, taken apart.
type RoleARN struct {
	// Partition is one that Endpoint knows, e.g. "aws" or "aws-us-gov".
	Partition string
	// Account is the account's id, 12 digits.
	Account string
	// Path is the role's path with its slashes: "/", or for example "/team/ci/".
	Path string
	// Name is the role's name without its path.
	Name string
}

// ParseRoleARN reads arn:{partition}:iam::{account}:role/{path/}{name} as the
// IAM API reference defines it: an account of 12 digits, a path of at most 512
// printable ASCII characters, a name of 1 to 64 letters, digits and _+=,.@-. The
// partition must be known. So the whole is within IAM's 20 to 2048 characters.
// Its error is ErrRole.
func ParseRoleARN(s string) (RoleARN, error) {
	// The path may hold colons, so it stays whole in the sixth field.
	fields := strings.SplitN(s, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[2] != "iam" || fields[3] != "" {
		return RoleARN{}, ErrRole
	}
	resource, isRole := strings.CutPrefix(fields[5], "role/")
	nameAt := strings.LastIndexByte(resource, '/') + 1
	role := RoleARN{
		Partition: fields[1],
		Account:   fields[4],
		Path:      "/" + resource[:nameAt],
		Name:      resource[nameAt:],
	}
	if !isRole || !role.valid() {
		return RoleARN{}, ErrRole
	}
	return role, nil
}

func (r RoleARN) valid() bool {
	_, known := findPartition(r.Partition)
	return known &&
		len(r.Account) == 12 && isDigits(r.Account) &&
		r.Path != "//" && len(r.Path) <= maxRolePath && isGraphic(r.Path) &&
		r.Name != "" && len(r.Name) <= maxRoleName && keepSessionName(r.Name) == r.Name
}

// String returns the ARN as it was parsed.
func (r RoleARN) String() string {
	return "arn:" + r.Partition + ":iam::" + r.Account + ":role" + r.Path + r.Name
}

// isGraphic reports whether s holds visible ASCII only. Like every scan of a
// credential it is a loop: a call for each character of a session token shows.
func isGraphic(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
