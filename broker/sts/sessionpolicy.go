package sts

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SessionPolicies narrow a session: it may do what its role allows, any of these
// allows too, and none denies. So one more may widen it. The zero value narrows
// nothing.
type SessionPolicies struct {
	// ARNs are of managed policies in the role's account or AWS's own.
	ARNs []string
	// Inline is a policy as JSON text, passed on byte for byte.
	Inline string
}

// CheckSessionPolicies holds policies to the sizes and characters that STS takes.
// Its error is ErrPolicies.
func CheckSessionPolicies(p SessionPolicies) error {
	size := utf8.RuneCountInString(p.Inline)
	for _, arn := range p.ARNs {
		size += len(arn)
		if len(arn) < minARN || !isGraphic(arn) {
			return fmt.Errorf("%w: ARN", ErrPolicies)
		}
	}
	switch {
	case len(p.ARNs) > maxPolicyARNs:
		return fmt.Errorf("%w: number of ARNs", ErrPolicies)
	case size > maxPolicies:
		return fmt.Errorf("%w: size", ErrPolicies)
	case strings.ContainsFunc(p.Inline, notPolicyText):
		return fmt.Errorf("%w: characters", ErrPolicies)
	}
	return nil
}

// notPolicyText is outside of [\u0009\u000A\u000D\u0020-\u00FF]. What is no UTF-8 comes
// as U+FFFD.
func notPolicyText(r rune) bool {
	return r > 0xff || r < ' ' && r != '\t' && r != '\n' && r != '\r'
}

// ManagedPolicy is the ARN of one of AWS's own policies, such as ReadOnlyAccess,
// in a partition.
func ManagedPolicy(partition, name string) string {
	return "arn:" + partition + ":iam::aws:policy/" + name
}

func (p SessionPolicies) appendTo(form []byte) []byte {
	if p.Inline != "" {
		form = appendField(form, "Policy", p.Inline)
	}
	for i, arn := range p.ARNs {
		form = appendField(form, "PolicyArns.member."+strconv.Itoa(i+1)+".arn", arn)
	}
	return form
}
