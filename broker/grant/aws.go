package grant

import (
	"context"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
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
		prepare:     prepareAWS,
	}
}

func prepareAWS(d *Desk, in arguments) (w credential, err error) {
	var input sts.Input
	arn, err := in.text("role_arn")
	if err != nil {
		return w, err
	}
	if input.Role, err = sts.ParseRoleARN(arn); err != nil {
		return w, invalid("role_arn must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/Developer")
	}
	w.target.RoleARN = input.Role.String()
	if input.DurationSeconds, err = in.whole("duration_seconds", 900, 43200); err != nil {
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
	w.request = policy.Request{Kind: policy.AWS, RoleARN: w.target.RoleARN, Seconds: input.DurationSeconds}
	w.mint = func(ctx context.Context, c *call) (minted, error) { return c.assumeRole(ctx, input) }
	return w, nil
}

// defaultRegion is the configured region where it belongs to the partition, and
// the partition's own default elsewhere.
func (d *Desk) defaultRegion(partition string) string {
	if _, err := sts.Endpoint(partition, d.config.AWSRegion); err == nil {
		return d.config.AWSRegion
	}
	return sts.DefaultRegion(partition)
}

// policiesOf narrow a session to a level, as Vouch's own command line does for an
// agent. A level that is none of them gets least.
func policiesOf(level policy.Level, partition string) sts.SessionPolicies {
	switch level {
	case policy.Write:
		return sts.SessionPolicies{}
	case policy.Read:
		return sts.SessionPolicies{ARNs: []string{sts.ManagedPolicy(partition, "ReadOnlyAccess")}}
	}
	return sts.SessionPolicies{ARNs: []string{sts.ManagedPolicy(partition, "job-function/ViewOnlyAccess")}}
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
	in.Token, in.DurationSeconds = id.Token, c.decision.Seconds
	in.Policies = policiesOf(c.decision.Level, in.Role.Partition)
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
