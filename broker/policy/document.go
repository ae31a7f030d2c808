package policy

// The types of this file are the document as its operator writes it; their tags
// become policy.schema.json, the description of it for editors.

//go:generate go test -run TestSchemaIsCurrent -update .

type document struct {
	Schema  string             `json:"$schema,omitempty" jsonschema:"Where this schema lies, for editors; the broker does not read it."`
	Version int                `json:"version" jsonschema:"Version of this format: 1."`
	Mode    Mode               `json:"mode,omitempty" jsonschema:"enforce (the default) refuses what no rule allows. audit lets it through, AWS at level read, and says would-deny in the audit line; it never skips an approval or a seal."`
	AWS     map[string]Profile `json:"aws,omitempty" jsonschema:"Catalog of AWS profiles by name: letters, digits, dots, hyphens and underscores. A rule must name each."`
	Rules   []rule             `json:"rules" jsonschema:"Every deny that matches wins. Else the first allow that covers the whole request decides. Nothing matches: refused."`
	Tests   []test             `json:"tests,omitempty" jsonschema:"Calls and what the rules must make of them. While one fails the document is invalid."`
}

// Mode is what becomes of a call that the rules refuse.
type Mode string

const (
	// Enforce refuses it.
	Enforce Mode = "enforce"
	// Audit lets it through and says so.
	Audit Mode = "audit"
)

// A Profile is an AWS role under a name, with what the broker gives of it.
type Profile struct {
	RoleARN    string `json:"role_arn" jsonschema:"ARN of the IAM role."`
	Level      Level  `json:"level,omitempty" jsonschema:"The most that the profile gives: view (names and settings, no stored data), read (the default; stored data too), write (all that the role may, through get-aws-write-credentials)."`
	MaxSeconds int    `json:"max_seconds,omitempty" jsonschema:"The longest life of its credentials. Left out: what AWS takes, 43200. A call that names no life gets 3600 or this, whichever is less."`
	About      string `json:"about,omitempty" jsonschema:"What it is for, in the words that list-access shows."`
}

// Level is how much of an AWS role a session gets.
type Level string

const (
	// View is AWS's ViewOnlyAccess: names and settings, no stored data.
	View Level = "view"
	// Read is AWS's ReadOnlyAccess. It does read stored data.
	Read Level = "read"
	// Write is all that the role itself may.
	Write Level = "write"
)

type rule struct {
	ID         string   `json:"id" jsonschema:"Name of the rule, the only one of that name; refusals and the audit line tell it."`
	Allow      grant    `json:"allow,omitempty" jsonschema:"What the rule allows, and to whom. A rule has either allow or deny."`
	Deny       grant    `json:"deny,omitempty" jsonschema:"What the rule denies, and to whom; without aws, github and ssh everything. A deny of a profile denies its role by ARN too, and a deny of a role the profiles on it."`
	Level      Level    `json:"level,omitempty" jsonschema:"Level of the roles that the allow's ARN globs match; read is the default. Profiles have a level of their own."`
	MaxSeconds int      `json:"max_seconds,omitempty" jsonschema:"The longest life for the roles that the allow's ARN globs match. Profiles have one of their own."`
	Approve    Approve  `json:"approve,omitempty" jsonschema:"none (the default), ask (the client asks its person) or touch (the person signs in again with the hardware key)."`
	Approvers  []string `json:"approvers,omitempty" jsonschema:"With touch: who else must give it, each by a verified e-mail or a sub. Never the one who calls."`
	Delivery   Delivery `json:"delivery,omitempty" jsonschema:"any (the default) or sealed: then a call must name an age recipient in seal_to."`
	Recipients []string `json:"recipients,omitempty" jsonschema:"With sealed: the only age recipients (age1...) that seal_to may name."`

	source *node
}

// Approve is what must happen before a call that a rule allows is answered.
type Approve string

const (
	// ApproveNone is nothing.
	ApproveNone Approve = "none"
	// ApproveAsk is a yes of the person in the client.
	ApproveAsk Approve = "ask"
	// ApproveTouch is a fresh sign-in with the hardware key.
	ApproveTouch Approve = "touch"
)

// Delivery is how a credential may leave.
type Delivery string

const (
	// DeliverAny is in the open, or sealed if the caller wants it.
	DeliverAny Delivery = "any"
	// DeliverSealed is encrypted to an age recipient, and no other way.
	DeliverSealed Delivery = "sealed"
)

type grant struct {
	Who    who      `json:"who,omitempty" jsonschema:"Whose calls. All members that are there must match; left out: everyone's."`
	AWS    []string `json:"aws,omitempty" jsonschema:"Names of profiles in the catalog, or globs of role ARNs (* is special and crosses /). A glob covers calls that name a role_arn, a name those that name the profile."`
	GitHub []string `json:"github,omitempty" jsonschema:"Globs owner/repository, without regard to case. A token for all of an installation needs owner/*."`
	SSH    bool     `json:"ssh,omitempty" jsonschema:"Certificates for SSH."`
	Tools  []string `json:"tools,omitempty" jsonschema:"Only calls of these tools; left out: of any."`

	source *node
}

type who struct {
	Email  []string `json:"email,omitempty" jsonschema:"Globs of e-mails, without regard to case. An e-mail that the issuer has not verified matches no allow and every deny."`
	Sub    []string `json:"sub,omitempty" jsonschema:"Globs of the issuer's ids of persons."`
	Client []string `json:"client,omitempty" jsonschema:"Globs of the host of the client's metadata document or of its name; in relay mode of its client id. A client chooses its name itself: use this to narrow a rule, never rely on it to widen one."`

	source *node
}

type test struct {
	Who  person `json:"who" jsonschema:"Who calls. No e-mail: one that the issuer has not verified."`
	Call call   `json:"call" jsonschema:"The tool and those of its arguments that matter to the rules."`
	Want want   `json:"want" jsonschema:"What must come out: allow, deny, ask or touch. An approval comes before a seal: a rule that wants both answers a call without seal_to with ask or touch."`

	source *node
}

type person struct {
	Email  string `json:"email,omitempty" jsonschema:"A verified e-mail."`
	Sub    string `json:"sub,omitempty" jsonschema:"The issuer's id of the person."`
	Client string `json:"client,omitempty" jsonschema:"Host or name of the client; in relay mode its client id."`
}

type call struct {
	Tool         string   `json:"tool" jsonschema:"Name of the tool."`
	Profile      string   `json:"profile,omitempty" jsonschema:"Name of a profile in the catalog."`
	RoleARN      string   `json:"role_arn,omitempty" jsonschema:"ARN of an IAM role."`
	Seconds      int      `json:"duration_seconds,omitempty" jsonschema:"Life that is asked for."`
	Owner        string   `json:"owner,omitempty" jsonschema:"GitHub user or organisation."`
	Repositories []string `json:"repositories,omitempty" jsonschema:"Names of repositories; left out: all of the installation."`
	SealTo       string   `json:"seal_to,omitempty" jsonschema:"An age recipient."`

	// What else a tool takes may be copied from a real call.
	Region    string `json:"region,omitempty" jsonschema:"No rule looks at it."`
	Policy    string `json:"policy,omitempty" jsonschema:"No rule looks at it."`
	Format    string `json:"format,omitempty" jsonschema:"No rule looks at it."`
	Purpose   string `json:"purpose,omitempty" jsonschema:"No rule looks at it."`
	PublicKey string `json:"public_key,omitempty" jsonschema:"No rule looks at it."`

	source *node
}

// want is what a test expects.
type want string

const (
	wantAllow want = "allow"
	wantDeny  want = "deny"
	wantAsk   want = "ask"
	wantTouch want = "touch"
)
