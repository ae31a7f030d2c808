package sts_test

import (
	"strings"
	"testing"

	"mcp-credential-broker/broker/sts"
)

func TestParseRoleARN(t *testing.T) {
	tests := []struct {
		arn  string
		want sts.RoleARN
	}{
		{"arn:aws:iam::123456789012:role/Deploy", sts.RoleARN{"aws", "123456789012", "/", "Deploy"}},
		{"arn:aws:iam::123456789012:role/a", sts.RoleARN{"aws", "123456789012", "/", "a"}},
		{"arn:aws-cn:iam::000000000000:role/team/ci/Deploy", sts.RoleARN{"aws-cn", "000000000000", "/team/ci/", "Deploy"}},
		{"arn:aws-us-gov:iam::123456789012:role/a:b&c=d#?%/_+=,.@-x", sts.RoleARN{"aws-us-gov", "123456789012", "/a:b&c=d#?%/", "_+=,.@-x"}},
		{"arn:aws-iso-f:iam::123456789012:role/a//b/N", sts.RoleARN{"aws-iso-f", "123456789012", "/a//b/", "N"}},
		{"arn:aws:iam::123456789012:role/" + strings.Repeat("p", 510) + "/" + strings.Repeat("n", 64),
			sts.RoleARN{"aws", "123456789012", "/" + strings.Repeat("p", 510) + "/", strings.Repeat("n", 64)}},
	}
	for _, test := range tests {
		got, err := sts.ParseRoleARN(test.arn)
		if err != nil || got != test.want || got.String() != test.arn {
			t.Errorf("%s: got %+v, %v", test.arn, got, err)
		}
	}
}

func TestParseRoleARNRefuses(t *testing.T) {
	const head = "arn:aws:iam::123456789012:role/"
	tests := map[string]string{
		"empty":               "",
		"short":               "arn:aws:iam::1:role",
		"no name":             head,
		"no name after path":  head + "team/",
		"no path":             head + "/Deploy",
		"only slashes":        head + "//",
		"no slash":            "arn:aws:iam::123456789012:roleDeploy",
		"user":                "arn:aws:iam::123456789012:user/Deploy",
		"upper-case role":     "arn:aws:iam::123456789012:Role/Deploy",
		"sts":                 "arn:aws:sts::123456789012:assumed-role/Deploy/x",
		"region":              "arn:aws:iam:us-east-1:123456789012:role/Deploy",
		"11 digits":           "arn:aws:iam::12345678901:role/Deploy",
		"13 digits":           "arn:aws:iam::1234567890123:role/Deploy",
		"letter in account":   "arn:aws:iam::12345678901a:role/Deploy",
		"foreign digits":      "arn:aws:iam::١٢٣٤٥٦:role/Deploy",
		"unknown partition":   "arn:aws-mars:iam::123456789012:role/Deploy",
		"no partition":        "arn::iam::123456789012:role/Deploy",
		"host as partition":   "arn:aws.evil.example:iam::123456789012:role/Deploy",
		"upper case":          "ARN:AWS:IAM::123456789012:ROLE/DEPLOY",
		"space before":        " " + head + "Deploy",
		"line end after":      head + "Deploy\n",
		"space in the path":   head + "a b/Deploy",
		"control in the path": head + "a\x00b/Deploy",
		"non-ASCII path":      head + "ä/Deploy",
		"colon in the name":   head + "a:b",
		"star":                head + "*",
		"ampersand":           head + "Deploy&Policy=x",
		"non-ASCII name":      head + "Déploy",
		"65 letters":          head + strings.Repeat("n", 65),
		"513 of path":         head + strings.Repeat("p", 511) + "/N",
		"2049 in all":         head + strings.Repeat("p", 2049-len(head)),
	}
	for name, arn := range tests {
		if role, err := sts.ParseRoleARN(arn); err != sts.ErrRole {
			t.Errorf("%s: got %+v, %v", name, role, err)
		}
	}
}

func FuzzParseRoleARN(f *testing.F) {
	f.Add("arn:aws:iam::123456789012:role/team/Deploy")
	f.Add("arn:aws-us-gov:iam::123456789012:role/a:b/Deploy")
	f.Fuzz(func(t *testing.T, arn string) {
		role, err := sts.ParseRoleARN(arn)
		if err != nil {
			return
		}
		if role.String() != arn {
			t.Fatalf("%q became %q", arn, role.String())
		}
		if sts.DefaultRegion(role.Partition) == "" || strings.ContainsAny(arn, " \r\n\x00") || len(arn) > 2048 {
			t.Fatalf("%q accepted", arn)
		}
	})
}
