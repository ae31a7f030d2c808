package authserver

import "strings"

// Scopes is a set of the scopes that there are.
type Scopes uint8

// The scopes. ScopeAWS is to look, ScopeAWSWrite to change things: neither
// contains the other.
const (
	ScopeAWS Scopes = 1 << iota
	ScopeAWSWrite
	ScopeGitHub
	ScopeSSH

	AllScopes = ScopeAWS | ScopeAWSWrite | ScopeGitHub | ScopeSSH
	// deliberate are the scopes whose boxes the person ticks: they are asked for
	// like the others and given by nobody who just goes on.
	deliberate = ScopeAWSWrite
)

// scopeNames are in the order of the constants.
var scopeNames = [...]string{"aws", "aws:write", "github", "ssh"}

// ParseScopes reads a scope parameter (RFC 6749 section 3.3). Unknown scopes are
// dropped, as the RFC allows: clients ask for those of other servers too.
func ParseScopes(text string) Scopes {
	var set Scopes
	for token := range strings.FieldsSeq(text) {
		for i, name := range scopeNames {
			if token == name {
				set |= 1 << i
			}
		}
	}
	return set
}

// Names returns the scopes' names, always in the same order.
func (s Scopes) Names() []string {
	var names []string
	for i, name := range scopeNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String returns the scopes as a scope parameter.
func (s Scopes) String() string { return strings.Join(s.Names(), " ") }

// Has reports whether all of wanted are in s.
func (s Scopes) Has(wanted Scopes) bool { return s&wanted == wanted }
