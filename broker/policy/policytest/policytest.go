// Package policytest makes random valid policies, and callers and requests that
// their rules often meet, for tests of what must hold for all of them.
package policytest

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"

	"mcp-credential-broker/broker/policy"
)

// Two age recipients whose keys nobody has.
const (
	Recipient      = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	OtherRecipient = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
)

// A Document is a policy as it is written. Its mode is enforce unless set.
type Document struct {
	Version int                `json:"version"`
	Mode    string             `json:"mode,omitempty"`
	AWS     map[string]Profile `json:"aws,omitempty"`
	Rules   []Rule             `json:"rules"`
	Tests   []Test             `json:"tests,omitempty"`
}

// A Profile is an entry of the catalog.
type Profile struct {
	RoleARN    string `json:"role_arn"`
	Level      string `json:"level,omitempty"`
	MaxSeconds int    `json:"max_seconds,omitempty"`
}

// A Rule has one of Allow and Deny.
type Rule struct {
	ID         string   `json:"id"`
	Allow      *Grant   `json:"allow,omitempty"`
	Deny       *Grant   `json:"deny,omitempty"`
	Level      string   `json:"level,omitempty"`
	MaxSeconds int      `json:"max_seconds,omitempty"`
	Approve    string   `json:"approve,omitempty"`
	Approvers  []string `json:"approvers,omitempty"`
	Delivery   string   `json:"delivery,omitempty"`
	Recipients []string `json:"recipients,omitempty"`
}

// A Grant is what a rule speaks of.
type Grant struct {
	Who    *Who     `json:"who,omitempty"`
	AWS    []string `json:"aws,omitempty"`
	GitHub []string `json:"github,omitempty"`
	SSH    bool     `json:"ssh,omitempty"`
	Tools  []string `json:"tools,omitempty"`
}

// A Who is whose calls a rule is for.
type Who struct {
	Email  []string `json:"email,omitempty"`
	Sub    []string `json:"sub,omitempty"`
	Client []string `json:"client,omitempty"`
}

// A Test is a call and what must come out.
type Test struct {
	Who  map[string]string `json:"who"`
	Call map[string]any    `json:"call"`
	Want string            `json:"want"`
}

// JSON returns the document.
func (d Document) JSON() []byte {
	data, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return data
}

var (
	roles = []string{
		"arn:aws:iam::111111111111:role/Dev", "arn:aws:iam::111111111111:role/DevAdmin",
		"arn:aws:iam::222222222222:role/team/Dev", "arn:aws-cn:iam::222222222222:role/Ops",
	}
	roleGlobs = append([]string{
		"arn:aws:iam::111111111111:role/*", "arn:*:role/Dev*", "arn:*Admin", "*", "arn:aws:iam::*:role/*/Dev", "arn:aws-cn:*",
	}, roles...)
	owners       = []string{"acme", "Other"}
	repositories = []string{"app", "Infra", "payroll"}
	repoGlobs    = []string{"acme/*", "Acme/APP", "*/payroll", "a*/i*", "other/infra", "other/*", "*/*", "acme/*p*"}
	emails       = []string{"bob@example.com", "Eve@ops.example.com", "eve@example.com", "mallory@elsewhere.example"}
	emailGlobs   = []string{"*@example.com", "*@ops.example.com", "BOB@example.com", "eve@*", "*.example*", "*"}
	subs         = []string{"1", "2", "robot-3"}
	subGlobs     = []string{"1", "2", "robot-*", "*"}
	clients      = []string{"claude.example", "Claude Code", "ci.example"}
	clientGlobs  = []string{"claude.example", "Claude*", "*.example"}
	levels       = []string{"", "view", "read", "write"}
	lives        = []int{0, 900, 1800, 7200}
)

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// some returns one to three different items.
func some(r *rand.Rand, of []string) []string {
	var all []string
	for _, i := range r.Perm(len(of))[:1+r.IntN(min(3, len(of)))] {
		all = append(all, of[i])
	}
	return all
}

// New returns a valid document.
func New(r *rand.Rand) Document {
	d := Document{Version: 1, AWS: map[string]Profile{}}
	for i := range r.IntN(4) {
		d.AWS["p"+strconv.Itoa(i)] = Profile{RoleARN: one(r, roles), Level: one(r, levels), MaxSeconds: one(r, lives)}
	}
	named := map[string]bool{}
	for i := range 1 + r.IntN(7) {
		rule := Rule{ID: "r" + strconv.Itoa(i)}
		if r.IntN(3) == 0 {
			rule.Deny = d.grant(r, true)
		} else {
			rule.Allow = d.grant(r, false)
			terms(r, &rule)
		}
		for _, g := range []*Grant{rule.Allow, rule.Deny} {
			for i := 0; g != nil && i < len(g.AWS); i++ {
				named[g.AWS[i]] = true
			}
		}
		d.Rules = append(d.Rules, rule)
	}
	for name := range d.AWS {
		if !named[name] {
			delete(d.AWS, name)
		}
	}
	return d
}

// Deny returns a rule that denies something, valid in d.
func (d Document) Deny(r *rand.Rand, id string) Rule { return Rule{ID: id, Deny: d.grant(r, true)} }

func (d Document) grant(r *rand.Rand, deny bool) *Grant {
	g := &Grant{}
	for g.AWS == nil && g.GitHub == nil && !g.SSH {
		if r.IntN(2) == 0 {
			g.AWS = some(r, append(d.profiles(), roleGlobs...))
		}
		if r.IntN(2) == 0 {
			g.GitHub = some(r, repoGlobs)
		}
		g.SSH = r.IntN(3) == 0
		if deny && r.IntN(8) == 0 {
			g = &Grant{Tools: some(r, []string{"get-aws-credentials", "get-aws-write-credentials", "get-github-token", "get-ssh-certificate"})}
			break
		}
	}
	if g.Tools == nil && r.IntN(4) == 0 {
		g.Tools = g.tools(r)
	}
	if r.IntN(3) > 0 {
		g.Who = &Who{}
		for g.Who.Email == nil && g.Who.Sub == nil && g.Who.Client == nil {
			if r.IntN(2) == 0 {
				g.Who.Email = some(r, emailGlobs)
			}
			if r.IntN(4) == 0 {
				g.Who.Sub = some(r, subGlobs)
			}
			if r.IntN(4) == 0 {
				g.Who.Client = some(r, clientGlobs)
			}
		}
	}
	return g
}

// tools names a tool for each kind that the grant speaks of.
func (g *Grant) tools(r *rand.Rand) (tools []string) {
	if g.AWS != nil {
		tools = append(tools, "get-aws-credentials")
		if r.IntN(2) == 0 {
			tools = append(tools, "get-aws-write-credentials")
		}
	}
	if g.GitHub != nil {
		tools = append(tools, "get-github-token")
	}
	if g.SSH {
		tools = append(tools, "get-ssh-certificate")
	}
	return tools
}

func (d Document) profiles() (names []string) {
	for i := range 4 {
		if name := "p" + strconv.Itoa(i); d.AWS[name].RoleARN != "" {
			names = append(names, name)
		}
	}
	return names
}

func terms(r *rand.Rand, rule *Rule) {
	for _, entry := range rule.Allow.AWS {
		if entry[0] != 'p' {
			rule.Level, rule.MaxSeconds = one(r, levels), one(r, lives)
		}
	}
	rule.Approve = one(r, []string{"", "", "none", "ask", "touch"})
	if rule.Approve == "touch" && r.IntN(2) == 0 {
		rule.Approvers = some(r, append(emails, subs...))
	}
	if r.IntN(4) == 0 {
		rule.Delivery = "sealed"
		if r.IntN(2) == 0 {
			rule.Recipients = []string{Recipient}
		}
	}
}

// Caller returns somebody whom rules may know.
func Caller(r *rand.Rand) policy.Caller {
	c := policy.Caller{Subject: one(r, subs), Clients: []string{one(r, clients)}}
	if r.IntN(5) > 0 {
		c.Email = one(r, emails)
	}
	return c
}

// Request returns something that a tool would ask for in that policy.
func (d Document) Request(r *rand.Rand) policy.Request {
	var q policy.Request
	if r.IntN(4) == 0 {
		q.SealTo = one(r, []string{Recipient, OtherRecipient})
	}
	switch r.IntN(5) {
	case 0:
		q.Tool, q.Kind = "get-ssh-certificate", policy.SSH
	case 1, 2:
		q.Tool, q.Kind, q.Owner = "get-github-token", policy.GitHub, one(r, owners)
		if r.IntN(4) > 0 {
			q.Repositories = some(r, repositories)
		}
	default:
		q.Tool, q.Kind, q.Write = "get-aws-credentials", policy.AWS, r.IntN(2) == 0
		if q.Write {
			q.Tool = "get-aws-write-credentials"
		}
		q.Seconds = one(r, []int{0, 0, 900, 1800, 3600, 43200})
		if names := d.profiles(); len(names) > 0 && r.IntN(2) == 0 {
			q.Profile = one(r, names)
		} else {
			q.RoleARN = one(r, roles)
		}
	}
	return q
}

// Arguments returns the arguments of the call that asks for q, without those that
// no rule looks at.
func Arguments(q policy.Request) map[string]any {
	arguments := map[string]any{}
	for name, value := range map[string]string{"profile": q.Profile, "role_arn": q.RoleARN, "owner": q.Owner, "seal_to": q.SealTo} {
		if value != "" {
			arguments[name] = value
		}
	}
	if q.Seconds != 0 {
		arguments["duration_seconds"] = q.Seconds
	}
	if q.Repositories != nil {
		arguments["repositories"] = q.Repositories
	}
	return arguments
}
