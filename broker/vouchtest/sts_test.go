package vouchtest_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"mcp-credential-broker/broker/vouchtest"
)

const aliceEmail = "alice@example.com"

func stsClient(s *vouchtest.Stack) *sts.Client {
	return sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(s.STSURL), Retryer: aws.NopRetryer{},
		Credentials: aws.AnonymousCredentials{},
	})
}

func assumeInput(token string) *sts.AssumeRoleWithWebIdentityInput {
	return &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(roleARN), RoleSessionName: aws.String(aliceEmail), WebIdentityToken: aws.String(token),
	}
}

func assumeForm(token string) url.Values {
	return url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {roleARN}, "RoleSessionName": {aliceEmail}, "WebIdentityToken": {token},
	}
}

func TestAssumeRoleWithOfficialClient(t *testing.T) {
	s := start(t, vouchtest.Options{})
	access := bearer(s.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	minted := get(t, s.VouchURL+awsPath+"?role_arn="+url.QueryEscape(roleARN), access...)
	in := assumeInput(minted.decode(t)["id_token"].(string))
	in.DurationSeconds = aws.Int32(900)
	in.PolicyArns = []types.PolicyDescriptorType{{Arn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")}}
	in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[]}`)
	before := time.Now()
	out, err := stsClient(s).AssumeRoleWithWebIdentity(t.Context(), in)
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
	if *out.AssumedRoleUser.Arn != "arn:aws:sts::123456789012:assumed-role/developer/"+aliceEmail ||
		*out.SubjectFromWebIdentityToken != aliceEmail || *out.Provider != s.VouchURL || *out.Audience != s.VouchURL ||
		*out.SourceIdentity != aliceEmail || out.PackedPolicySize == nil {
		t.Errorf("answer %+v", out)
	}
}

func TestSTSRefusals(t *testing.T) {
	s := start(t, vouchtest.Options{})
	v := s.Vouch
	good := func(role string) string { return v.MintAWSToken(role, vouchtest.Flaws{}) }
	claim := func(name string, value any) string {
		return v.MintAWSToken(roleARN, vouchtest.Flaws{Claims: map[string]any{name: value}})
	}
	flawed := func(f vouchtest.Flaws) string {
		return v.MintAWSToken(roleARN, f)
	}
	tags := func(tags map[string]any) string {
		return claim("https://aws.amazon.com/tags", map[string]any{"principal_tags": tags})
	}
	const identity = "https://aws.amazon.com/source_identity"
	policyARNs := func(arns ...string) func(*sts.AssumeRoleWithWebIdentityInput) {
		return func(in *sts.AssumeRoleWithWebIdentityInput) {
			in.PolicyArns = []types.PolicyDescriptorType{}
			for _, arn := range arns {
				in.PolicyArns = append(in.PolicyArns, types.PolicyDescriptorType{Arn: aws.String(arn)})
			}
		}
	}
	session := func(name string) func(*sts.AssumeRoleWithWebIdentityInput) {
		return func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleSessionName = aws.String(name) }
	}
	role := func(arn string) func(*sts.AssumeRoleWithWebIdentityInput) {
		return func(in *sts.AssumeRoleWithWebIdentityInput) { in.RoleArn = aws.String(arn) }
	}
	duration := func(seconds int32) func(*sts.AssumeRoleWithWebIdentityInput) {
		return func(in *sts.AssumeRoleWithWebIdentityInput) { in.DurationSeconds = aws.Int32(seconds) }
	}
	policy := func(text string) func(*sts.AssumeRoleWithWebIdentityInput) {
		return func(in *sts.AssumeRoleWithWebIdentityInput) { in.Policy = aws.String(text) }
	}
	both := func(changes ...func(*sts.AssumeRoleWithWebIdentityInput)) func(*sts.AssumeRoleWithWebIdentityInput) {
		return func(in *sts.AssumeRoleWithWebIdentityInput) {
			for _, change := range changes {
				change(in)
			}
		}
	}
	statement := `{"Statement":[],"Id":"` + strings.Repeat("x", 2000) + `"}`
	tests := []struct {
		name   string
		token  string
		change func(*sts.AssumeRoleWithWebIdentityInput)
		want   string // "" is success
	}{
		{"good", good(roleARN), nil, ""},
		{"empty list of policies", good(roleARN), policyARNs(), ""},
		{"expired", claim("exp", time.Now().Add(-time.Second).Unix()), nil, "ExpiredTokenException"},
		{"not a JWT", "hello", nil, "InvalidIdentityToken"},
		{"access token", v.MintAccessToken(vouchtest.TokenOptions{}), nil, "InvalidIdentityToken"},
		{"alg none", flawed(vouchtest.Flaws{Algorithm: "none"}), nil, "InvalidIdentityToken"},
		{"key confusion", flawed(vouchtest.Flaws{Algorithm: "HS256"}), nil, "InvalidIdentityToken"},
		{"foreign key", flawed(vouchtest.Flaws{ForeignKey: true}), nil, "InvalidIdentityToken"},
		{"unknown key", flawed(vouchtest.Flaws{Header: map[string]any{"kid": "x"}}), nil, "InvalidIdentityToken"},
		{"other issuer", claim("iss", "https://evil.example"), nil, "InvalidIdentityToken"},
		{"other audience", claim("aud", "sts.amazonaws.com"), nil, "InvalidIdentityToken"},
		{"fractional time", claim("exp", 1.9e9+0.5), nil, "InvalidIdentityToken"},
		{"no expiry", claim("exp", nil), nil, "InvalidIdentityToken"},
		{"from the future", claim("iat", time.Now().Add(time.Hour).Unix()), nil, "InvalidIdentityToken"},
		{"short sub", claim("sub", "a@b"), session("a@b"), "InvalidIdentityToken"},
		{"source identity", claim(identity, "alice o'hara"), nil, "IDPRejectedClaim"},
		{"long source identity", claim(identity, strings.Repeat("x", 65)), nil, "IDPRejectedClaim"},
		{"tag characters", tags(map[string]any{"k": []string{"a,b"}}), nil, "IDPRejectedClaim"},
		{"two tag values", tags(map[string]any{"k": []string{"a", "b"}}), nil, "IDPRejectedClaim"},
		{"tags that differ in case", tags(map[string]any{"k": []string{"a"}, "K": []string{"a"}}), nil, "IDPRejectedClaim"},
		{"transitive key without a tag", claim("https://aws.amazon.com/tags", map[string]any{"transitive_tag_keys": []string{"k"}}), nil, "IDPRejectedClaim"},
		{"long tag", tags(map[string]any{"k": []string{strings.Repeat("x", 257)}}), nil, "IDPRejectedClaim"},
		{"tag in other letters", tags(map[string]any{"k": []string{"Zoë 東京"}}), nil, ""},
		{"pinned to another role", good("arn:aws:iam::123456789012:role/other"), nil, "AccessDenied"},
		{"not pinned", good(""), nil, "AccessDenied"},
		{"unknown role", good("arn:aws:iam::123456789012:role/x"), role("arn:aws:iam::123456789012:role/x"), "AccessDenied"},
		{"fixed session name", good(roleARN), session("vouch-mcp"), "AccessDenied"},
		{"session name in capitals", good(roleARN), session("Alice@example.com"), "AccessDenied"},
		{"wildcard sub", claim("sub", "alice*"), nil, "AccessDenied"},
		{"session name characters", good(roleARN), session("alice example"), "ValidationError"},
		{"short session name", good(roleARN), session("a"), "ValidationError"},
		{"long session name", good(roleARN), session(strings.Repeat("a", 65)), "ValidationError"},
		{"ARN of a user", good(roleARN), role("arn:aws:iam::123456789012:user/developer"), "ValidationError"},
		{"short duration", good(roleARN), duration(899), "ValidationError"},
		{"long duration", good(roleARN), duration(43201), "ValidationError"},
		{"longer than the role allows", good(roleARN), duration(3601), "ValidationError"},
		{"long token", strings.Repeat("x", 20001), nil, "ValidationError"},
		{"policy that is none", good(roleARN), policy(`{"Version":"2012-10-17"}`), "MalformedPolicyDocument"},
		{"policy characters", good(roleARN), policy(`{"Statement":["東"]}`), "ValidationError"},
		{"policy too large with ARNs", good(roleARN), both(policy(statement), policyARNs("arn:aws:iam::aws:policy/ReadOnlyAccess")), "PackedPolicyTooLarge"},
		{"policy of another account", good(roleARN), policyARNs("arn:aws:iam::999999999999:policy/x"), "ValidationError"},
		{"policy of another partition", good(roleARN), policyARNs("arn:aws-cn:iam::aws:policy/ReadOnlyAccess"), "ValidationError"},
		{"eleven policies", good(roleARN), policyARNs(strings.Fields(strings.Repeat("arn:aws:iam::aws:policy/A ", 11))...), "ValidationError"},
		{"provider id", good(roleARN), func(in *sts.AssumeRoleWithWebIdentityInput) { in.ProviderId = aws.String("www.amazon.com") }, "ValidationError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := assumeInput(test.token)
			if test.change != nil {
				test.change(in)
			}
			_, err := stsClient(s).AssumeRoleWithWebIdentity(t.Context(), in)
			if got := codeOf(err); got != test.want {
				t.Errorf("code %q, want %q (%v)", got, test.want, err)
			}
		})
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	if e := smithy.APIError(nil); errors.As(err, &e) {
		return e.ErrorCode()
	}
	return err.Error()
}

// TestModelledErrors holds the forced failures to what the SDK's own types know.
func TestModelledErrors(t *testing.T) {
	s := start(t, vouchtest.Options{})
	in := assumeInput("header.claims.signature")
	for code, status := range map[string]int{
		"IDPCommunicationError": 400, "IDPRejectedClaim": 403, "RegionDisabledException": 403,
		"Throttling": 400, "InternalFailure": 500, "ServiceUnavailable": 503,
	} {
		if err := s.STS.SetFault(vouchtest.Fault{Path: "/", Kind: vouchtest.FaultStatus, Status: status, Code: code}); err != nil {
			t.Fatal(err)
		}
		_, err := stsClient(s).AssumeRoleWithWebIdentity(t.Context(), in)
		if codeOf(err) != code {
			t.Errorf("%s: %v", code, err)
		}
		var modelled *types.IDPCommunicationErrorException
		if errors.As(err, &modelled) != (code == "IDPCommunicationError") {
			t.Errorf("%s: type %T", code, err)
		}
	}
	s.STS.ClearFaults()
	if _, err := stsClient(s).AssumeRoleWithWebIdentity(t.Context(), in); codeOf(err) != "InvalidIdentityToken" {
		t.Errorf("cleared: %v", err)
	}
}

func TestSTSWire(t *testing.T) {
	s := start(t, vouchtest.Options{})
	token := s.Vouch.MintAWSToken(roleARN, vouchtest.Flaws{})
	formType := []string{"Content-Type", "application/x-www-form-urlencoded"}
	with := func(name, value string) string {
		form := assumeForm(token)
		form.Add(name, value)
		return form.Encode()
	}
	without := func(name string) string {
		form := assumeForm(token)
		form.Del(name)
		return form.Encode()
	}
	good := assumeForm(token).Encode()
	tests := []struct {
		name   string
		build  *http.Request
		status int
		code   string
	}{
		{"good", request(t, "POST", s.STSURL, good, formType...), 200, ""},
		{"GET", request(t, "GET", s.STSURL+"/?"+good, ""), 405, "InvalidAction"},
		{"other path", request(t, "POST", s.STSURL+"/x", good, formType...), 405, "InvalidAction"},
		{"parameters in the query", request(t, "POST", s.STSURL+"/?"+good, good, formType...), 400, "ValidationError"},
		{"bearer token", request(t, "POST", s.STSURL, good, append(formType, bearer(token)...)...), 400, "IncompleteSignature"},
		{"JSON", request(t, "POST", s.STSURL, good, "Content-Type", "application/json"), 400, "MissingAction"},
		{"empty", request(t, "POST", s.STSURL, "", formType...), 400, "MissingAction"},
		{"large", request(t, "POST", s.STSURL, strings.Repeat("x", 65<<10), formType...), 413, "RequestEntityTooLarge"},
		{"no action", request(t, "POST", s.STSURL, without("Action"), formType...), 400, "MissingAction"},
		{"no version", request(t, "POST", s.STSURL, without("Version"), formType...), 400, "InvalidAction"},
		{"repeated", request(t, "POST", s.STSURL, with("RoleArn", roleARN), formType...), 400, "ValidationError"},
		{"tags as parameters", request(t, "POST", s.STSURL, with("Tags.member.1.Key", "k"), formType...), 400, "ValidationError"},
		{"source identity as a parameter", request(t, "POST", s.STSURL, with("SourceIdentity", aliceEmail), formType...), 400, "ValidationError"},
		{"gap in the policies", request(t, "POST", s.STSURL, with("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/A"), formType...), 400, "ValidationError"},
		{"duration with a sign", request(t, "POST", s.STSURL, with("DurationSeconds", "+900"), formType...), 400, "ValidationError"},
		{"duration empty", request(t, "POST", s.STSURL, with("DurationSeconds", ""), formType...), 400, "ValidationError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := send(t, test.build)
			if r.status != test.status || test.code != "" && !strings.Contains(r.body, "<Code>"+test.code+"</Code>") {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
			id := r.header.Get("x-amzn-RequestId")
			if r.header.Get("Content-Type") != "text/xml" || id == "" || !strings.Contains(r.body, "<RequestId>"+id+"</RequestId>") {
				t.Errorf("headers %v, body %s", r.header, r.body)
			}
		})
	}
	chunked := request(t, "POST", s.STSURL, "", formType...)
	chunked.Body, chunked.ContentLength = io.NopCloser(strings.NewReader(good)), -1
	if r := send(t, chunked); r.status != http.StatusLengthRequired {
		t.Errorf("chunked: status %d", r.status)
	}
}
