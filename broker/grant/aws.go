package grant

import (
	"context"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/strictjson"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/vouch"
)

// awsCredentials is the result of get-aws-credentials, in the form of AWS's
// credential_process.
type awsCredentials struct {
	Version         int
	AccessKeyId     string
	SecretAccessKey string `json:",omitempty"`
	SessionToken    string `json:",omitempty"`
	Expiration      string // RFC 3339, UTC
	AssumedRoleArn  string
	// Level is what was decided, and PolicyArns what the session was narrowed with.
	Level      policy.Level
	PolicyArns []string `json:",omitempty"`
	delivery
}

func awsTool() tool {
	return tool{
		name: "get-aws-credentials", title: "AWS temporary credentials",
		description: "Get temporary AWS credentials for an IAM role that trusts Vouch. The result is a valid credential_process answer; " +
			"pass its values as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.",
		// It mints a credential, so it is not read-only: claiming that would invite approval without asking.
		annotations: mcp.Annotations{OpenWorldHint: true},
		scope:       authserver.ScopeAWS,
		formats:     format.AWSNames(),
		prepare:     func(d *Desk, in arguments) (credential, error) { return prepareAWS(d, in, false) },
	}
}

// awsWriteTool is apart from awsTool because a tool's name is what clients ask their
// person about.
func awsWriteTool() tool {
	t := awsTool()
	t.name, t.title, t.like = "get-aws-write-credentials", "AWS temporary credentials that change things", t.name
	t.description = "Get temporary AWS credentials with all that a role may do: change and delete, too. Use get-aws-credentials for whatever only looks. " +
		"The result is a valid credential_process answer."
	t.annotations.DestructiveHint, t.scope = true, authserver.ScopeAWSWrite
	t.prepare = func(d *Desk, in arguments) (credential, error) { return prepareAWS(d, in, true) }
	return t
}

func prepareAWS(d *Desk, in arguments, write bool) (w credential, err error) {
	var input sts.Input
	arn, err := d.role(in, &w.target)
	if err != nil {
		return w, err
	}
	if input.Role, err = sts.ParseRoleARN(arn); err != nil {
		return w, invalid("role_arn must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/Developer; list-access shows what else you may name")
	}
	w.target.RoleARN = input.Role.String()
	if input.DurationSeconds, err = in.whole("duration_seconds", sts.MinDurationSeconds, sts.MaxDurationSeconds); err != nil {
		return w, err
	}
	if input.Region, err = in.text("region"); err != nil {
		return w, err
	}
	if input.Region == "" {
		input.Region = d.defaultRegion(input.Role.Partition)
	}
	if _, err = sts.Endpoint(input.Role.Partition, input.Region); err != nil {
		return w, invalid("region must be an AWS region of the role's partition, %s", input.Role.Partition)
	}
	w.request = policy.Request{Kind: policy.AWS, Profile: w.target.Profile, Write: write, Seconds: input.DurationSeconds}
	if w.request.Profile == "" {
		w.request.RoleARN = w.target.RoleARN
	}
	if input.Policies.Inline, err = inlinePolicy(in); err != nil {
		return w, err
	}
	w.fits = func(decided policy.Decision) error {
		policies := sts.SessionPolicies{ARNs: policiesOf(decided.Level, input.Role.Partition), Inline: input.Policies.Inline}
		if sts.CheckSessionPolicies(policies) != nil {
			return invalid("policy must have at most 2048 characters, those of the ARN that narrows the session to its level included, and none beyond U+00FF")
		}
		if policies.ARNs != nil && allows(gjson.Parse(policies.Inline)) {
			return invalid("at level %s policy may only deny, for AWS adds up what session policies allow, so that an Allow in it would widen the session: deny whatever is not to be done (with NotAction or NotResource, all but what is), or use get-aws-write-credentials, which gives what role and policy both allow", decided.Level)
		}
		return nil
	}
	if input.Policies.Inline != "" {
		w.facts = append(w.facts, approval.Fact{Name: "Narrowed", Value: "by a policy in the call"})
		w.facts[0].Claimed = true // it may allow everything
	}
	w.mint = func(ctx context.Context, c *call) (minted, error) { return c.assumeRole(ctx, input) }
	return w, nil
}

// role is the role that a call names, by its ARN or by a profile of the catalog. It
// fills in the profile.
func (d *Desk) role(in arguments, to *target) (arn string, err error) {
	if arn, err = in.text("role_arn"); err != nil {
		return "", err
	}
	name, err := in.text("profile")
	switch {
	case err != nil:
		return "", err
	case name == "":
		return arn, nil
	case arn != "":
		return "", invalid("name either a profile or a role_arn, not both")
	case d.config.Policy == nil:
		return "", invalid("this broker has no profiles; name a role_arn")
	}
	profile, ok := d.config.Policy.Profile(name)
	if !ok {
		return "", invalid("there is no such profile: list-access shows those that you may have")
	}
	to.Profile = name
	return profile.RoleARN, nil
}

// defaultRegion is the configured region where it belongs to the partition, and
// the partition's own default elsewhere.
func (d *Desk) defaultRegion(partition string) string {
	if _, err := sts.Endpoint(partition, d.config.AWSRegion); err == nil {
		return d.config.AWSRegion
	}
	return sts.DefaultRegion(partition)
}

// inlinePolicy is the policy that a call narrows its session with. By itself it can
// only take away: STS grants what the role allows and a session policy too.
func inlinePolicy(in arguments) (string, error) {
	text, err := in.text("policy")
	if err != nil || text == "" {
		return "", err
	}
	if !strictjson.Valid(text, maxPolicyDepth) || !gjson.Parse(text).IsObject() {
		return "", invalid("policy must be an IAM policy as JSON text")
	}
	return text, nil
}

// allows reports whether a policy, or a part of one, may allow something. Beside the
// policy of a level that would widen: what one session policy allows, none of the
// others takes back but by a Deny. Whoever reads the policy, in whatever case and
// whichever of two members, an Allow is a text of its own in it.
func allows(part gjson.Result) (found bool) {
	if part.Type != gjson.JSON {
		return strings.EqualFold(part.Str, "Allow")
	}
	part.ForEach(func(_, inside gjson.Result) bool {
		found = allows(inside)
		return !found
	})
	return found
}

// policiesOf narrow a session to a level, as Vouch's own command line does for an
// agent. A level that is none of them gets least.
func policiesOf(level policy.Level, partition string) []string {
	switch level {
	case policy.Write:
		return nil
	case policy.Read:
		return []string{sts.ManagedPolicy(partition, "ReadOnlyAccess")}
	}
	return []string{sts.ManagedPolicy(partition, "job-function/ViewOnlyAccess")}
}

// assumeRole has Vouch vouch for the person to one role, and STS turn that into
// credentials of the role.
func (c *call) assumeRole(ctx context.Context, in sts.Input) (m minted, err error) {
	var id *vouch.IDToken
	err = c.hop(ctx, hopVouch, false, func(ctx context.Context) (err error) {
		id, err = c.desk.config.Vouch.AWSToken(ctx, c.caller.Auth, in.Role.String())
		return err
	})
	if err != nil {
		return m, err
	}
	c.record.Region = in.Region
	in.Token, in.DurationSeconds = id.Token, c.decision.Seconds
	in.Policies.ARNs = policiesOf(c.decision.Level, in.Role.Partition)
	in.SessionName = sts.SessionName(sts.UnverifiedSubject(id.Token))
	var got *sts.Credentials
	err = c.hop(ctx, hopSTS, true, func(ctx context.Context) (err error) {
		got, err = c.desk.config.STS.AssumeRoleWithWebIdentity(ctx, in)
		return err
	})
	if err != nil {
		return m, err
	}
	c.record.Issued = &issued{AccessKeyID: got.AccessKeyID}
	whole := awsCredentials{
		Version:         1,
		AccessKeyId:     got.AccessKeyID,
		SecretAccessKey: got.SecretAccessKey.Reveal(),
		SessionToken:    got.SessionToken.Reveal(),
		Expiration:      got.Expiration.UTC().Format(time.RFC3339),
		AssumedRoleArn:  got.AssumedRoleARN,
		Level:           c.decision.Level,
		PolicyArns:      in.Policies.ARNs,
	}
	return minted{
		whole: whole,
		bare: func(d delivery) any {
			bare := whole
			bare.SecretAccessKey, bare.SessionToken, bare.delivery = "", "", d
			return bare
		},
		text: format.AWS{
			AccessKeyID: got.AccessKeyID, SecretAccessKey: got.SecretAccessKey, SessionToken: got.SessionToken,
			Expiration: got.Expiration, Section: c.record.Target.Profile,
		}.Text,
	}, nil
}
