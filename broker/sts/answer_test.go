package sts_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"mcp-credential-broker/broker/sts"
)

func success(fields string) string {
	return `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <Credentials>` + fields + `</Credentials>
    <SubjectFromWebIdentityToken>alice@example.com</SubjectFromWebIdentityToken>
    <AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:alice@example.com</AssumedRoleId>
      <Arn>arn:aws:sts::123456789012:assumed-role/Deploy/alice@example.com</Arn></AssumedRoleUser>
    <Provider>https://us.vouch.sh</Provider><PackedPolicySize>6</PackedPolicySize>
  </AssumeRoleWithWebIdentityResult>
  <ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>
</AssumeRoleWithWebIdentityResponse>`
}

const fields = `<AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>a+b/c=</SecretAccessKey>` +
	`<SessionToken>FQoGZXIvYXdzE//token==</SessionToken><Expiration>2026-11-22T19:04:05Z</Expiration>`

func failure(code string) string {
	return `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>` + code +
		`</Code><Message>hunter2 is not authorized</Message></Error><RequestId>x</RequestId></ErrorResponse>`
}

// TestAnswerIsReadAsSDKDoes serves the same body to both clients.
func TestAnswerIsReadAsSDKDoes(t *testing.T) {
	bodies := map[string]string{
		"plain":       success(fields),
		"declaration": `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + success(fields),
		"other order": success(`<Expiration>2026-11-22T19:04:05Z</Expiration><SessionToken>t</SessionToken>` +
			`<AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>s</SecretAccessKey>`),
		"unknown elements":     success(`<New a="1" b='2'><Deep><er/></Deep></New>` + fields),
		"entities":             success(strings.Replace(fields, "a+b/c=", "a&#43;b&#x2F;c&#61;&amp;&lt;&gt;&apos;&quot;", 1)),
		"prefixes":             strings.NewReplacer("<Credentials", "<x:Credentials", "</Credentials", "</x:Credentials").Replace(success(fields)),
		"fraction":             success(strings.Replace(fields, "05Z", "05.123Z", 1)),
		"no zone":              success(strings.Replace(fields, "05Z", "05", 1)),
		"offset":               success(strings.Replace(fields, "05Z", "05-02:00", 1)),
		"CDATA":                success(strings.Replace(fields, "a+b/c=", "<![CDATA[a+b/c=]]>", 1)),
		"spaces in tags":       strings.NewReplacer("<AccessKeyId>", "<AccessKeyId >", "</AccessKeyId>", "</AccessKeyId\n>").Replace(success(fields)),
		"long token":           success(strings.Replace(fields, "token==", strings.Repeat("t", 20_000), 1)),
		"byte order mark":      "\ufeff" + success(fields),
		"mark and declaration": "\ufeff" + `<?xml version="1.0" encoding="utf-8"?>` + success(fields),
		"comment outside":      "<!-- a -->" + success(fields) + "<!-- b -->\n",
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, http.StatusOK, body)
			want, err := s.callSDK(input())
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.call(input())
			if err != nil {
				t.Fatal(err)
			}
			compare(t, got, want)
		})
	}
}

func compare(t *testing.T, got *sts.Credentials, want *awssts.AssumeRoleWithWebIdentityOutput) {
	t.Helper()
	c := want.Credentials
	if got.AccessKeyID != *c.AccessKeyId || got.SecretAccessKey.Reveal() != *c.SecretAccessKey ||
		got.SessionToken.Reveal() != *c.SessionToken || !got.Expiration.Equal(*c.Expiration) {
		t.Errorf("got %v %q %q %v", got.AccessKeyID, got.SecretAccessKey.Reveal(), got.SessionToken.Reveal(), got.Expiration)
	}
	if got.Expiration.Location() != time.UTC {
		t.Errorf("expiration in %v", got.Expiration.Location())
	}
	if want.AssumedRoleUser != nil && got.AssumedRoleARN != *want.AssumedRoleUser.Arn {
		t.Errorf("assumed role %q", got.AssumedRoleARN)
	}
}

func TestErrorIsReadAsSDKDoes(t *testing.T) {
	tests := []struct {
		status    int
		code      string
		retryable bool
	}{
		{400, "ExpiredTokenException", false}, {400, "InvalidIdentityToken", false},
		{400, "IDPCommunicationError", true}, {403, "IDPRejectedClaim", false},
		{400, "MalformedPolicyDocument", false}, {400, "PackedPolicyTooLarge", false},
		{403, "RegionDisabledException", false}, {403, "AccessDenied", false},
		{400, "ValidationError", false}, {400, "Throttling", true}, {400, "ThrottlingException", true},
		{429, "TooManyRequests", true}, {400, "ThrottledException", true}, {400, "RequestLimitExceeded", true},
		{400, "TooManyRequestsException", true}, {400, "RequestThrottled", true}, {503, "SlowDown", true},
		{400, "LimitExceeded", false}, {400, "InvalidAction", false}, {400, "MissingAction", false},
		{500, "InternalFailure", true}, {503, "ServiceUnavailable", true},
	}
	for _, test := range tests {
		t.Run(test.code, func(t *testing.T) {
			s := newServer(t, test.status, failure(test.code))
			_, sdkErr := s.callSDK(input())
			var want smithy.APIError
			if !errors.As(sdkErr, &want) {
				t.Fatalf("SDK: %v", sdkErr)
			}
			creds, err := s.call(input())
			var got *sts.Error
			if !errors.As(err, &got) || creds != nil {
				t.Fatalf("got %v, %v", creds, err)
			}
			if got.Status != test.status || got.Code != test.code || got.Code != want.ErrorCode() {
				t.Errorf("got %+v, SDK has %q", got, want.ErrorCode())
			}
			if got.Retryable() != test.retryable {
				t.Errorf("Retryable() = %v", got.Retryable())
			}
			if !strings.Contains(err.Error(), test.code) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("text %q", err)
			}
		})
	}
}

func TestErrorWithoutCode(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
	}{
		"empty":               {403, ""},
		"HTML":                {502, "<!DOCTYPE html><html><body>Bad gateway</body></html>"},
		"JSON":                {400, `{"code":"x"}`},
		"no code":             {400, "<ErrorResponse><Error/></ErrorResponse>"},
		"two codes":           {400, "<ErrorResponse><Error><Code>A</Code><Code>B</Code></Error></ErrorResponse>"},
		"two errors":          {400, "<ErrorResponse><Error><Code>A</Code></Error><Error><Code>B</Code></Error></ErrorResponse>"},
		"code with a space":   {400, failure("Access Denied")},
		"code with a line":    {400, failure("Access&#10;Denied")},
		"code with a control": {400, failure("A\x1b[2J")},
		"code as a sentence":  {400, failure("ignore_previous")},
		"long code":           {400, failure(strings.Repeat("A", 65))},
		"code with children":  {400, failure("<b>A</b>")},
		"success in an error": {400, success(fields)},
		"not modified":        {304, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := newServer(t, test.status, test.body).call(input())
			var got *sts.Error
			if !errors.As(err, &got) || got.Code != "" || got.Status != test.status {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestSuccessThatIsNone(t *testing.T) {
	without := func(tag string) string {
		_, after, _ := strings.Cut(fields, "<"+tag+">")
		value, _, _ := strings.Cut(after, "<")
		return success(strings.Replace(fields, "<"+tag+">"+value+"</"+tag+">", "", 1))
	}
	replace := func(old, with string) string { return success(strings.Replace(fields, old, with, 1)) }
	const arn = "<Arn>arn:aws:sts::"
	bodies := map[string]string{
		"empty":                    "",
		"no access key":            without("AccessKeyId"),
		"no secret":                without("SecretAccessKey"),
		"no session token":         without("SessionToken"),
		"no expiration":            without("Expiration"),
		"no credentials":           strings.ReplaceAll(success(fields), "Credentials>", "Other>"),
		"empty access key":         replace("ASIAIOSFODNN7EXAMPLE", ""),
		"empty secret":             replace("a+b/c=", ""),
		"empty token":              replace("FQoGZXIvYXdzE//token==", ""),
		"bad expiration":           replace("2026-11-22T19:04:05Z", "tomorrow"),
		"impossible expiration":    replace("2026-11-22", "2026-13-42"),
		"access key with a line":   replace("ASIA", "ASIA&#10;"),
		"access key too long":      replace("ASIA", strings.Repeat("A", 128)),
		"secret with a space":      replace("a+b/c=", "a b"),
		"token with a line":        replace("token==", "&#xd;&#xa;X: y"),
		"token not ASCII":          replace("token==", "tökén"),
		"elements in a value":      replace("a+b/c=", "a<b/>c"),
		"duplicate element":        success(fields + "<AccessKeyId>ASIAEVIL</AccessKeyId>"),
		"duplicate credentials":    strings.Replace(success(fields), "<Credentials>", "<Credentials>"+fields+"</Credentials><Credentials>", 1),
		"lower case":               strings.ToLower(success(fields)),
		"wrong root":               strings.ReplaceAll(success(fields), "AssumeRoleWithWebIdentityResponse", "AssumeRoleResponse"),
		"result as root":           "<AssumeRoleWithWebIdentityResult><Credentials>" + fields + "</Credentials></AssumeRoleWithWebIdentityResult>",
		"assumed role with a line": strings.Replace(success(fields), arn, "<Arn>&#10;", 1),
		"long assumed role":        strings.Replace(success(fields), arn, arn+strings.Repeat("a", 2048), 1),
		"error with status 200":    failure("AccessDenied"),
		"cut off":                  success(fields)[:400],
		"JSON":                     `{"Credentials":{}}`,
		"two documents":            success(fields) + success(fields),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			creds, err := newServer(t, http.StatusOK, body).call(input())
			if !errors.Is(err, sts.ErrMalformed) || creds != nil {
				t.Errorf("got %+v, %v", creds, err)
			}
		})
	}
}

func TestSessionThatWasNotAskedFor(t *testing.T) {
	const session = "arn:aws:sts::123456789012:assumed-role/Deploy/alice@example.com"
	deep := input()
	deep.Role.Path = "/team/ci/"
	brief := input()
	brief.DurationSeconds = 3600
	tests := []struct {
		name string
		in   sts.Input
		told string // in place of session
		ends string // in place of what the answer says
		ok   bool
	}{
		{"as asked", input(), session, "", true},
		{"role in another case", input(), "arn:aws:sts::123456789012:assumed-role/deploy/alice@example.com", "", true},
		{"role with a path", deep, session, "", true},
		{"as long as asked", brief, session, "", true},
		{"as long as asked, fast clock", brief, session, "2026-11-22T19:09:05Z", true},
		{"shorter than asked", brief, session, "2026-11-22T18:19:05Z", true},

		{"as long as there is", input(), session, "2026-11-23T06:09:05Z", true},
		{"nearly over, fast clock", input(), session, "2026-11-22T18:04:06Z", true},

		{"over", input(), session, "2026-11-22T18:04:05Z", false},
		{"over for long", brief, session, "0001-01-01T00:00:00Z", false},
		{"longer than there is", input(), session, "2026-11-23T06:09:06Z", false},
		{"for ever", input(), session, "9999-12-31T23:59:59Z", false},
		{"longer than asked", brief, session, "2026-11-22T19:09:06Z", false},
		{"no session", input(), "", "", false},
		{"another role", input(), "arn:aws:sts::123456789012:assumed-role/Admin/alice@example.com", "", false},
		{"role that starts alike", input(), "arn:aws:sts::123456789012:assumed-role/Deploy2/alice@example.com", "", false},
		{"path in the session", deep, "arn:aws:sts::123456789012:assumed-role/team/ci/Deploy/alice@example.com", "", false},
		{"another account", input(), "arn:aws:sts::210987654321:assumed-role/Deploy/alice@example.com", "", false},
		{"another partition", input(), "arn:aws-cn:sts::123456789012:assumed-role/Deploy/alice@example.com", "", false},
		{"another session", input(), "arn:aws:sts::123456789012:assumed-role/Deploy/mallory@example.com", "", false},
		{"session in another case", input(), "arn:aws:sts::123456789012:assumed-role/Deploy/Alice@example.com", "", false},
		{"session with a tail", input(), session + "/x", "", false},
		{"the role itself", input(), "arn:aws:iam::123456789012:role/Deploy", "", false},
		{"federated user", input(), "arn:aws:sts::123456789012:federated-user/alice@example.com", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := strings.Replace(success(fields), session, tt.told, 1)
			if tt.ends != "" {
				body = strings.Replace(body, "2026-11-22T19:04:05Z", tt.ends, 1)
			}
			creds, err := newServer(t, http.StatusOK, body).call(tt.in)
			if tt.ok != (err == nil) || tt.ok != (creds != nil) || !tt.ok && !errors.Is(err, sts.ErrMalformed) {
				t.Errorf("got %+v, %v", creds, err)
			}
		})
	}
	t.Run("nothing about a session", func(t *testing.T) {
		body := strings.NewReplacer("<AssumedRoleUser>", "<Other>", "</AssumedRoleUser>", "</Other>").Replace(success(fields))
		if creds, err := newServer(t, http.StatusOK, body).call(input()); !errors.Is(err, sts.ErrMalformed) || creds != nil {
			t.Errorf("got %+v, %v", creds, err)
		}
	})
}
