// Package policy decides who gets what: it compiles a document that an operator
// wrote, and answers for one caller and one request whether it is allowed, by
// which rule, at which level, and what must happen before.
//
// It promises that a decision depends on the document, the caller and the request
// alone, that explaining, listing, the document's own tests and the real call ask
// the same Decide, and that a document with any fault compiles to nothing. It
// knows no HTTP, no MCP and no clock, and issues nothing.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
)

// A Policy is a compiled document. It never changes, so any number of goroutines
// may use it.
type Policy struct {
	id       string
	mode     Mode
	profiles map[string]Profile
	names    []string // of the profiles, in the order of the document
	// allows and denies hold the rules that can match a kind, in order.
	allows, denies [kinds][]*compiled
}

// Compile checks a whole document and returns every fault joined, each a *Fault
// (see Faults). There is no policy beside a fault.
func Compile(data []byte) (*Policy, error) {
	f := &faults{document: string(data)}
	root, ok := readJSON(f.document, f)
	if !ok {
		return nil, f.err()
	}
	d, names := f.decode(root)
	p := &Policy{mode: d.Mode, profiles: d.AWS, names: names}
	sum := sha256.Sum256(data)
	p.id = hex.EncodeToString(sum[:])[:12]
	c := compiler{faults: f, policy: p, root: root, used: map[string]bool{}, ids: map[string]bool{}}
	c.compile(d)
	if !f.unsure {
		c.try(d.Tests)
	}
	if err := f.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// ID returns the first 12 hex digits of the document's SHA-256.
func (p *Policy) ID() string { return p.id }

// Mode returns what becomes of a call that the rules refuse.
func (p *Policy) Mode() Mode { return p.mode }

// Profile returns the profile of the catalog with that name.
func (p *Policy) Profile(name string) (Profile, bool) {
	profile, ok := p.profiles[name]
	return profile, ok
}

// A Kind is what a tool hands out.
type Kind uint8

const (
	AWS Kind = iota + 1
	GitHub
	SSH

	kinds = iota + 1
)

// The tools that rules govern.
const (
	readTool   = "get-aws-credentials"
	writeTool  = "get-aws-write-credentials"
	githubTool = "get-github-token"
	sshTool    = "get-ssh-certificate"
)

// toolKinds says what each tool hands out.
func toolKind(tool string) Kind {
	switch tool {
	case readTool, writeTool:
		return AWS
	case githubTool:
		return GitHub
	case sshTool:
		return SSH
	}
	return 0
}

// A Caller is who asks.
type Caller struct {
	// Subject is the issuer's id of the person.
	Subject string
	// Email is empty unless the issuer has verified it.
	Email string
	// Clients is what who.client is compared with: the host of the client's
	// metadata document and its own name, or in relay mode its client id.
	Clients []string
}

// A Request is what is asked for, its shape already checked.
type Request struct {
	// Tool is the tool's name and Kind what it hands out. A Kind that is not the
	// tool's is refused.
	Tool string
	Kind Kind

	// Exactly one of Profile and RoleARN is set for AWS. Write asks for all that
	// the role may; Seconds is the life asked for, 0 for none.
	Profile, RoleARN string
	Write            bool
	Seconds          int

	// Owner and Repositories (bare names) are for GitHub; nil is all of the
	// owner's installation.
	Owner        string
	Repositories []string

	// SealTo is the recipient that the answer will be sealed to, or empty.
	SealTo string
}
