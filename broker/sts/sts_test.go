package sts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
)

const token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2ln"

const (
	readOnly = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	aPolicy  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}]}`
)

func repeat(s string, n int) []string { return slices.Repeat([]string{s}, n) }

var role = sts.RoleARN{Partition: "aws", Account: "123456789012", Path: "/", Name: "Deploy"}

func input() sts.Input {
	return sts.Input{Role: role, SessionName: "alice@example.com", Token: secret.New(token)}
}

// A server answers every request with one answer and keeps the last request.
type server struct {
	*httptest.Server
	status int
	body   string
	header http.Header // added to the answer

	calls   int
	request *http.Request
	form    string
}

func newServer(t testing.TB, status int, body string) *server {
	t.Helper()
	s := &server{status: status, body: body}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.calls, s.request, s.form = s.calls+1, r, string(form)
		w.Header().Set("Content-Type", "text/xml")
		for name, values := range s.header {
			w.Header()[name] = values
		}
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// now is an hour before the credentials of the answers end.
func now() time.Time { return time.Date(2026, 11, 22, 18, 4, 5, 0, time.UTC) }

func (s *server) client() sts.Client {
	return sts.Client{
		Upstream:         upstream.Client{Fetcher: upstream.NetHTTP{}, Now: now},
		EndpointOverride: s.URL,
	}
}

func (s *server) call(in sts.Input) (*sts.Credentials, error) {
	return s.client().AssumeRoleWithWebIdentity(context.Background(), in)
}

// callSDK makes the same call with AWS's own client.
func (s *server) callSDK(in sts.Input) (*awssts.AssumeRoleWithWebIdentityOutput, error) {
	client := awssts.New(awssts.Options{
		BaseEndpoint: aws.String(s.URL),
		Region:       "us-east-1",
		Credentials:  aws.AnonymousCredentials{},
		Retryer:      aws.NopRetryer{},
		HTTPClient:   fromMemory{},
	})
	params := &awssts.AssumeRoleWithWebIdentityInput{
		RoleArn:          aws.String(in.Role.String()),
		RoleSessionName:  aws.String(in.SessionName),
		WebIdentityToken: aws.String(in.Token.Reveal()),
	}
	if in.Policies.Inline != "" {
		params.Policy = aws.String(in.Policies.Inline)
	}
	for _, arn := range in.Policies.ARNs {
		params.PolicyArns = append(params.PolicyArns, types.PolicyDescriptorType{Arn: aws.String(arn)})
	}
	if in.DurationSeconds != 0 {
		params.DurationSeconds = aws.Int32(int32(in.DurationSeconds))
	}
	return client.AssumeRoleWithWebIdentity(context.Background(), params)
}

// fromMemory sends the SDK's requests from a body of its own. The SDK closes
// its body as soon as an answer begins, and net/http, which may not have seen
// the body's end yet, then takes the upload for broken and cuts the answer off.
type fromMemory struct{}

func (fromMemory) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return http.DefaultClient.Do(r)
}

func TestRequestIsThatOfSDK(t *testing.T) {
	tests := map[string]func(*sts.Input){
		"least":    func(*sts.Input) {},
		"duration": func(in *sts.Input) { in.DurationSeconds = 43200 },
		"escaping": func(in *sts.Input) { in.SessionName = "a+b=c,d.e@f_g-h" },
		"odd path": func(in *sts.Input) { in.Role.Path = "/a&b=c#d?e%41+~*'()/" },
		"level": func(in *sts.Input) {
			in.Policies.ARNs = []string{sts.ManagedPolicy("aws", "ReadOnlyAccess"), "arn:aws:iam::123456789012:policy/a+b=c,d.e@f"}
		},
		"inline policy": func(in *sts.Input) { in.Policies.Inline = aPolicy + " \t\r\n\u00e9&=+%" },
		"odd token":     func(in *sts.Input) { in.Token = secret.New("a&Policy={} +%0d\r\nß") },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			in := input()
			change(&in)
			s := newServer(t, http.StatusOK, success(fields))
			s.body = strings.ReplaceAll(s.body, input().SessionName, in.SessionName)
			if _, err := s.callSDK(in); err != nil {
				t.Fatal(err)
			}
			want, wantRequest := s.form, s.request
			if _, err := s.call(in); err != nil {
				t.Fatal(err)
			}
			if s.form != want {
				t.Errorf("form\n%s\nSDK's\n%s", s.form, want)
			}
			got := s.request
			if got.Method != wantRequest.Method || got.URL.String() != wantRequest.URL.String() {
				t.Errorf("%s %s, SDK's %s %s", got.Method, got.URL, wantRequest.Method, wantRequest.URL)
			}
			if got.Header.Get("Content-Type") != wantRequest.Header.Get("Content-Type") || got.ContentLength != int64(len(want)) {
				t.Errorf("Content-Type %q, length %d", got.Header.Get("Content-Type"), got.ContentLength)
			}
			if got.Header.Get("Authorization") != "" {
				t.Error("Authorization sent")
			}
			values, err := url.ParseQuery(s.form)
			if err != nil {
				t.Fatal(err)
			}
			for key, list := range values {
				if len(list) != 1 || list[0] == "" {
					t.Errorf("key %s has values %q", key, list)
				}
			}
		})
	}
}

func TestInputIsCheckedBeforeTheCall(t *testing.T) {
	tests := map[string]struct {
		change func(*sts.Input)
		want   error
	}{
		"no role":            {func(in *sts.Input) { in.Role = sts.RoleARN{} }, sts.ErrRole},
		"role made by hand":  {func(in *sts.Input) { in.Role.Name = "a b" }, sts.ErrRole},
		"path without slash": {func(in *sts.Input) { in.Role.Path = "" }, sts.ErrRole},
		"foreign region":     {func(in *sts.Input) { in.Region = "cn-north-1" }, sts.ErrRegion},
		"host as region":     {func(in *sts.Input) { in.Region = "us-east-1.evil.example" }, sts.ErrRegion},
		"no session name":    {func(in *sts.Input) { in.SessionName = "" }, sts.ErrInput},
		"short session name": {func(in *sts.Input) { in.SessionName = "a" }, sts.ErrInput},
		"long session name":  {func(in *sts.Input) { in.SessionName = strings.Repeat("a", 65) }, sts.ErrInput},
		"session name":       {func(in *sts.Input) { in.SessionName = "a b" }, sts.ErrInput},
		"no token":           {func(in *sts.Input) { in.Token = secret.String{} }, sts.ErrInput},
		"short token":        {func(in *sts.Input) { in.Token = secret.New("abc") }, sts.ErrInput},
		"long token":         {func(in *sts.Input) { in.Token = secret.New(strings.Repeat("a", 20001)) }, sts.ErrInput},
		"short duration":     {func(in *sts.Input) { in.DurationSeconds = 899 }, sts.ErrInput},
		"long duration":      {func(in *sts.Input) { in.DurationSeconds = 43201 }, sts.ErrInput},
		"negative duration":  {func(in *sts.Input) { in.DurationSeconds = -900 }, sts.ErrInput},
		"least of everything": {func(in *sts.Input) {
			*in = sts.Input{Role: role, SessionName: "ab", Token: secret.New("abcd"), DurationSeconds: 900}
		}, nil},
		"ARN too short":         {func(in *sts.Input) { in.Policies.ARNs = []string{"arn:aws:iam::aws:p"} }, sts.ErrPolicies},
		"ARN with a line break": {func(in *sts.Input) { in.Policies.ARNs = []string{"arn:aws:iam::aws:policy/\nX"} }, sts.ErrPolicies},
		"eleven ARNs":           {func(in *sts.Input) { in.Policies.ARNs = repeat(readOnly, 11) }, sts.ErrPolicies},
		"ten ARNs":              {func(in *sts.Input) { in.Policies.ARNs = repeat(readOnly, 10) }, nil},
		"longest policy":        {func(in *sts.Input) { in.Policies.Inline = strings.Repeat("é", 2048) }, nil},
		"policy too long":       {func(in *sts.Input) { in.Policies.Inline = strings.Repeat("é", 2049) }, sts.ErrPolicies},
		"longest together": {func(in *sts.Input) {
			in.Policies = sts.SessionPolicies{ARNs: []string{readOnly}, Inline: strings.Repeat("a", 2048-len(readOnly))}
		}, nil},
		"too long together": {func(in *sts.Input) {
			in.Policies = sts.SessionPolicies{ARNs: []string{readOnly}, Inline: strings.Repeat("a", 2049-len(readOnly))}
		}, sts.ErrPolicies},
		"policy with a null":            {func(in *sts.Input) { in.Policies.Inline = "{\x00}" }, sts.ErrPolicies},
		"policy with wide letters":      {func(in *sts.Input) { in.Policies.Inline = "{\u0100}" }, sts.ErrPolicies},
		"policy of another text coding": {func(in *sts.Input) { in.Policies.Inline = "{\xe9}" }, sts.ErrPolicies},
		"own region":                    {func(in *sts.Input) { in.Region = "eu-west-1" }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, http.StatusOK, success(fields))
			in := input()
			test.change(&in)
			s.body = strings.NewReplacer(input().SessionName, in.SessionName, "19:04:05", "18:19:05").Replace(s.body)
			_, err := s.call(in)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if sent := s.calls > 0; sent != (test.want == nil) {
				t.Errorf("sent = %v", sent)
			}
		})
	}
}

// A recorder notes where a request goes and answers nothing.
type recorder struct{ request upstream.Request }

func (r *recorder) Fetch(_ context.Context, request upstream.Request) (*upstream.Response, error) {
	r.request = request
	return nil, upstream.ErrUnreachable
}

func TestRequestGoesToTheRegion(t *testing.T) {
	tests := []struct{ partition, region, want string }{
		{"aws", "", "https://sts.us-east-1.amazonaws.com/"},
		{"aws", "eu-west-1", "https://sts.eu-west-1.amazonaws.com/"},
		{"aws-cn", "", "https://sts.cn-northwest-1.amazonaws.com.cn/"},
		{"aws-us-gov", "us-gov-east-1", "https://sts.us-gov-east-1.amazonaws.com/"},
	}
	for _, test := range tests {
		var sent recorder
		client := sts.Client{Upstream: upstream.Client{Fetcher: &sent, Now: now}}
		in := input()
		in.Role.Partition, in.Region = test.partition, test.region
		if _, err := client.AssumeRoleWithWebIdentity(context.Background(), in); !errors.Is(err, upstream.ErrUnreachable) {
			t.Errorf("error %v", err)
		}
		if sent.request.URL != test.want {
			t.Errorf("sent to %s, want %s", sent.request.URL, test.want)
		}
		if sent.request.Timeout <= 0 || sent.request.MaxBytes <= 0 {
			t.Errorf("bounds %v, %d bytes", sent.request.Timeout, sent.request.MaxBytes)
		}
	}
}

func TestUpstreamFailures(t *testing.T) {
	t.Run("too large", func(t *testing.T) {
		s := newServer(t, http.StatusOK, success(fields)+strings.Repeat(" ", 64<<10))
		if _, err := s.call(input()); !errors.Is(err, upstream.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		target := newServer(t, http.StatusOK, success(fields))
		s := newServer(t, http.StatusTemporaryRedirect, "")
		s.header = http.Header{"Location": {target.URL}}
		if _, err := s.call(input()); !errors.Is(err, upstream.ErrRedirect) || target.calls > 0 {
			t.Errorf("got %v, followed %d times", err, target.calls)
		}
	})
	t.Run("broken off", func(t *testing.T) {
		s := newServer(t, http.StatusOK, success(fields)[:200])
		s.header = http.Header{"Content-Length": {"4000"}}
		if _, err := s.call(input()); !errors.Is(err, upstream.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		s := newServer(t, http.StatusOK, success(fields))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.client().AssumeRoleWithWebIdentity(ctx, input()); !errors.Is(err, context.Canceled) || s.calls > 0 {
			t.Errorf("got %v, %d calls", err, s.calls)
		}
	})
}

func TestNothingSecretIsPrinted(t *testing.T) {
	creds, err := newServer(t, http.StatusOK, success(fields)).call(input())
	if err != nil {
		t.Fatal(err)
	}
	_, refusal := newServer(t, http.StatusForbidden, failure("AccessDenied")).call(input())
	_, malformed := newServer(t, http.StatusOK, success(fields)[:500]).call(input())
	printed := fmt.Sprintf("%+v %+v %v %v %+v", *creds, creds, refusal, malformed, input())
	for _, text := range []string{"a+b/c=", "FQoGZXIvYXdzE", token, "hunter2"} {
		if strings.Contains(printed, text) {
			t.Errorf("%q is in %s", text, printed)
		}
	}
}
