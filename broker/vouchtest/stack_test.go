package vouchtest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"mcp-credential-broker/broker/vouchtest"
)

// assume has the official SDK ask the STS for a session.
func assume(t *testing.T, s *vouchtest.Stack, idToken string) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	t.Helper()
	client := sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(s.STSURL), Retryer: aws.NopRetryer{},
		Credentials: aws.AnonymousCredentials{},
	})
	return client.AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(roleARN), RoleSessionName: aws.String(vouchtest.DefaultPerson().Email),
		WebIdentityToken: aws.String(idToken), DurationSeconds: aws.Int32(900),
		PolicyArns: []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}},
		Policy:     aws.String(`{"Version":"2012-10-17","Statement":[]}`),
	})
}

// TestAssumeRoleWithOfficialClient: what Vouch mints, STS takes.
func TestAssumeRoleWithOfficialClient(t *testing.T) {
	s := start(t, vouchtest.Options{})
	access := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	minted := get(t, s.VouchURL+awsPath+"?role_arn="+url.QueryEscape(roleARN), access...)
	email := vouchtest.DefaultPerson().Email
	before := time.Now()
	out, err := assume(t, s, minted.decode(t)["id_token"].(string))
	if err != nil {
		t.Fatal(err)
	}
	c := out.Credentials
	if !strings.HasPrefix(*c.AccessKeyId, "ASIA") || len(*c.AccessKeyId) != 20 || len(*c.SecretAccessKey) != 40 || *c.SessionToken == "" {
		t.Error("the credentials do not have AWS's form")
	}
	if life := c.Expiration.Sub(before); life < 890*time.Second || life > 910*time.Second {
		t.Errorf("life %v", life)
	}
	if *out.AssumedRoleUser.Arn != "arn:aws:sts::123456789012:assumed-role/developer/"+email ||
		*out.SubjectFromWebIdentityToken != email || *out.Provider != s.VouchURL || *out.Audience != s.VouchURL ||
		*out.SourceIdentity != email || out.PackedPolicySize == nil {
		t.Errorf("answer %+v", out)
	}
}
