package vouch

import (
	"fmt"
	"slices"
	"time"

	"mcp-credential-broker/broker/openssh"
	"mcp-credential-broker/broker/upstream"
)

// check checks that the certificate is what was asked for, a user certificate for
// this very key, and what the answer says of it, which is what the caller is told
// and the audit keeps. A certificate for another key would be of use to somebody
// else, a host certificate would let its holder pose as a server, one without
// principals opens every account on servers before OpenSSH 10.3, and one that
// lives longer than it says outlives the sign-in.
func (c *Certificate) check(key *openssh.PublicKey, now time.Time) error {
	cert, err := openssh.ParseCertificate(c.Line.Reveal())
	if err != nil {
		// Not wrapped: the sentinels of openssh are about the caller's key.
		return fmt.Errorf("%w: certificate: %v", ErrMalformed, err)
	}
	lives := time.Duration(c.ValidForSeconds) * time.Second
	for _, fault := range [...]struct {
		is   bool
		what string
	}{
		{!cert.Key.Equal(key), "for another key"},
		{cert.Kind != openssh.UserCertificate, "not of a user"},
		{cert.Serial != c.Serial, "with another serial"}, // the audit would refer to another one
		{len(cert.Principals) == 0, "without principals"},
		{!sameNames(cert.Principals, c.Principals), "with other principals"},
		{c.ValidForSeconds == 0, "that has ended"},
		{!isNear(cert.ValidBefore, now.Add(lives)), "with another end"},
		{cert.ValidAfter > uint64(now.Add(upstream.MaxClockSkew).Unix()), "not valid yet"},
		{slices.ContainsFunc(cert.CriticalOptions, isSurprising), "with critical options"},
		{cert.Damaged(), "damaged"},
	} {
		if fault.is {
			return fmt.Errorf("%w: certificate %s", ErrMalformed, fault.what)
		}
	}
	return nil
}

func sameNames(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// isNear reports whether a certificate's Unix time, of 64 bits without a sign, is
// at most upstream.MaxClockSkew from t.
func isNear(unix uint64, t time.Time) bool {
	return unix >= uint64(t.Add(-upstream.MaxClockSkew).Unix()) && unix <= uint64(t.Add(upstream.MaxClockSkew).Unix())
}

// isSurprising reports whether a critical option does more than narrow from where
// and how a certificate is used. Vouch sets none; a command that servers run in
// place of what was asked for is one.
func isSurprising(option string) bool {
	return option != "source-address" && option != "verify-required"
}
