package broker

import (
	"context"
	"time"

	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/vouch"
)

// awsCredentials is the result of get-aws-credentials, in the form of AWS's
// credential_process.
type awsCredentials struct {
	Version         int
	AccessKeyId     string
	SecretAccessKey string
	SessionToken    string
	Expiration      string // RFC 3339, UTC
	AssumedRoleArn  string
}

// getAWSCredentials has Vouch vouch for the person to one role, and STS turn
// that into credentials of the role.
func (b *Broker) getAWSCredentials(ctx context.Context, c *call) (any, error) {
	in, err := b.awsInput(c)
	if err != nil {
		return nil, err
	}
	var id *vouch.IDToken
	err = c.hop(ctx, hopVouch, false, func(ctx context.Context) (err error) {
		id, err = b.vouch.AWSToken(ctx, c.visit.auth, in.Role.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	in.Token = id.Token
	in.SessionName = sts.SessionName(sts.UnverifiedSubject(id.Token))
	var got *sts.Credentials
	err = c.hop(ctx, hopSTS, true, func(ctx context.Context) (err error) {
		got, err = b.sts.AssumeRoleWithWebIdentity(ctx, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.record.Issued = &issued{AccessKeyID: got.AccessKeyID}
	return awsCredentials{
		Version:         1,
		AccessKeyId:     got.AccessKeyID,
		SecretAccessKey: got.SecretAccessKey.Reveal(),
		SessionToken:    got.SessionToken.Reveal(),
		Expiration:      got.Expiration.UTC().Format(time.RFC3339),
		AssumedRoleArn:  got.AssumedRoleARN,
	}, nil
}

// awsInput checks the arguments before anything leaves.
func (b *Broker) awsInput(c *call) (in sts.Input, err error) {
	arn, err := c.text("role_arn")
	if err != nil {
		return in, err
	}
	if in.Role, err = sts.ParseRoleARN(arn); err != nil {
		return in, invalid("role_arn must be the ARN of an IAM role, such as arn:aws:iam::123456789012:role/Developer")
	}
	c.record.Target.RoleARN = in.Role.String()
	if in.DurationSeconds, err = c.whole("duration_seconds", 900, 43200); err != nil {
		return in, err
	}
	if in.Region, err = c.text("region"); err != nil {
		return in, err
	}
	if in.Region == "" {
		in.Region = b.defaultRegion(in.Role.Partition)
	}
	if _, err = sts.Endpoint(in.Role.Partition, in.Region); err != nil {
		return in, invalid("region must be an AWS region of the role's partition, %s", in.Role.Partition)
	}
	return in, nil
}

// defaultRegion is the configured region where it belongs to the partition, and
// the partition's own default elsewhere.
func (b *Broker) defaultRegion(partition string) string {
	if _, err := sts.Endpoint(partition, b.config.AWSRegion); err == nil {
		return b.config.AWSRegion
	}
	return sts.DefaultRegion(partition)
}
