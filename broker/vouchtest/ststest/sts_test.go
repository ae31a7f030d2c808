package ststest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

const (
	aliceEmail = "alice@example.com"
	issuer     = "https://vouch.example"
	rsaID      = "rsa-1"
	ecID       = "ec-1"

	claimIdentity = "https://aws.amazon.com/source_identity"
	claimRoles    = "https://aws.amazon.com/roles"
	claimTags     = "https://aws.amazon.com/tags"
)

// A provider signs web identity tokens with the keys that the STS knows.
type provider struct {
	*ststest.STS
	url string
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

func start(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	var err1, err2 error
	p.rsa, err1 = rsa.GenerateKey(rand.Reader, 2048)
	p.ec, err2 = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	p.STS = ststest.New(issuer, p.public, time.Now)
	server := httptest.NewServer(p.STS)
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *provider) public(t *jwt.Token) (any, error) {
	switch t.Header["kid"] {
	case rsaID:
		return &p.rsa.PublicKey, nil
	case ecID:
		return &p.ec.PublicKey, nil
	}
	return nil, errors.New("unknown key")
}

// token returns a good token with claims replaced, or removed by nil.
func (p *provider) token(t *testing.T, change map[string]any) string {
	t.Helper()
	return p.sign(t, jwt.SigningMethodRS256, rsaID, p.rsa, change)
}

func (p *provider) sign(t *testing.T, method jwt.SigningMethod, id string, key any, change map[string]any) string {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": issuer, "aud": issuer, "sub": aliceEmail, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		claimIdentity: aliceEmail, claimRoles: []string{ststest.RoleARN},
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = id
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// assume makes a request by the official SDK.
func (p *provider) assume(t *testing.T, in *sts.AssumeRoleWithWebIdentityInput) error {
	t.Helper()
	client := sts.New(sts.Options{
		Region: "eu-west-1", BaseEndpoint: aws.String(p.url), Retryer: aws.NopRetryer{},
		Credentials: aws.AnonymousCredentials{},
	})
	_, err := client.AssumeRoleWithWebIdentity(t.Context(), in)
	return err
}

func assumeInput(token string) *sts.AssumeRoleWithWebIdentityInput {
	return &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String(ststest.RoleARN), RoleSessionName: aws.String(aliceEmail), WebIdentityToken: aws.String(token),
	}
}

func assumeForm(token string) url.Values {
	return url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"},
		"RoleArn": {ststest.RoleARN}, "RoleSessionName": {aliceEmail}, "WebIdentityToken": {token},
	}
}

func TestRefusals(t *testing.T) {
	p := start(t)
	good := func(role string) string { return p.token(t, map[string]any{claimRoles: []string{role}}) }
	claim := func(name string, value any) string { return p.token(t, map[string]any{name: value}) }
	tags := func(tags map[string]any) string { return claim(claimTags, map[string]any{"principal_tags": tags}) }
	public, err := x509.MarshalPKIXPublicKey(&p.ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	confused := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	foreign := start(t)
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
		{"good", good(ststest.RoleARN), nil, ""},
		{"empty list of policies", good(ststest.RoleARN), policyARNs(), ""},
		{"expired", claim("exp", time.Now().Add(-time.Second).Unix()), nil, "ExpiredTokenException"},
		{"not a JWT", "hello", nil, "InvalidIdentityToken"},
		{"ES256", p.sign(t, jwt.SigningMethodES256, ecID, p.ec, nil), nil, ""},
		{"alg none", p.sign(t, jwt.SigningMethodNone, ecID, jwt.UnsafeAllowNoneSignatureType, nil), nil, "InvalidIdentityToken"},
		{"key confusion", p.sign(t, jwt.SigningMethodHS256, ecID, confused, nil), nil, "InvalidIdentityToken"},
		{"algorithm of another key", p.sign(t, jwt.SigningMethodES256, rsaID, p.ec, nil), nil, "InvalidIdentityToken"},
		{"foreign key", foreign.token(t, nil), nil, "InvalidIdentityToken"},
		{"unknown key", p.sign(t, jwt.SigningMethodRS256, "x", p.rsa, nil), nil, "InvalidIdentityToken"},
		{"other issuer", claim("iss", "https://evil.example"), nil, "InvalidIdentityToken"},
		{"other audience", claim("aud", "sts.amazonaws.com"), nil, "InvalidIdentityToken"},
		{"fractional time", claim("exp", 1.9e9+0.5), nil, "InvalidIdentityToken"},
		{"no expiry", claim("exp", nil), nil, "InvalidIdentityToken"},
		{"from the future", claim("iat", time.Now().Add(time.Hour).Unix()), nil, "InvalidIdentityToken"},
		{"short sub", claim("sub", "a@b"), session("a@b"), "InvalidIdentityToken"},
		{"source identity", claim(claimIdentity, "alice o'hara"), nil, "IDPRejectedClaim"},
		{"long source identity", claim(claimIdentity, strings.Repeat("x", 65)), nil, "IDPRejectedClaim"},
		{"tag characters", tags(map[string]any{"k": []string{"a,b"}}), nil, "IDPRejectedClaim"},
		{"two tag values", tags(map[string]any{"k": []string{"a", "b"}}), nil, "IDPRejectedClaim"},
		{"tags that differ in case", tags(map[string]any{"k": []string{"a"}, "K": []string{"a"}}), nil, "IDPRejectedClaim"},
		{"transitive key without a tag", claim(claimTags, map[string]any{"transitive_tag_keys": []string{"k"}}), nil, "IDPRejectedClaim"},
		{"long tag", tags(map[string]any{"k": []string{strings.Repeat("x", 257)}}), nil, "IDPRejectedClaim"},
		{"tag in other letters", tags(map[string]any{"k": []string{"Zoë 東京"}}), nil, ""},
		{"pinned to another role", good("arn:aws:iam::123456789012:role/other"), nil, "AccessDenied"},
		{"not pinned", claim(claimRoles, nil), nil, "AccessDenied"},
		{"unknown role", good("arn:aws:iam::123456789012:role/x"), role("arn:aws:iam::123456789012:role/x"), "AccessDenied"},
		{"another role than the token's", good(ststest.RoleARN), role("arn:aws:iam::123456789012:role/x"), "AccessDenied"},
		{"fixed session name", good(ststest.RoleARN), session("vouch-mcp"), "AccessDenied"},
		{"session name in capitals", good(ststest.RoleARN), session("Alice@example.com"), "AccessDenied"},
		{"wildcard sub", claim("sub", "alice*"), nil, "AccessDenied"},
		{"session name characters", good(ststest.RoleARN), session("alice example"), "ValidationError"},
		{"short session name", good(ststest.RoleARN), session("a"), "ValidationError"},
		{"long session name", good(ststest.RoleARN), session(strings.Repeat("a", 65)), "ValidationError"},
		{"ARN of a user", good(ststest.RoleARN), role("arn:aws:iam::123456789012:user/developer"), "ValidationError"},
		{"short duration", good(ststest.RoleARN), duration(899), "ValidationError"},
		{"long duration", good(ststest.RoleARN), duration(43201), "ValidationError"},
		{"longer than the role allows", good(ststest.RoleARN), duration(3601), "ValidationError"},
		{"long token", strings.Repeat("x", 20001), nil, "ValidationError"},
		{"policy that is none", good(ststest.RoleARN), policy(`{"Version":"2012-10-17"}`), "MalformedPolicyDocument"},
		{"policy characters", good(ststest.RoleARN), policy(`{"Statement":["東"]}`), "ValidationError"},
		{"policy too large with ARNs", good(ststest.RoleARN), both(policy(statement), policyARNs("arn:aws:iam::aws:policy/ReadOnlyAccess")), "PackedPolicyTooLarge"},
		{"policy of another account", good(ststest.RoleARN), policyARNs("arn:aws:iam::999999999999:policy/x"), "ValidationError"},
		{"policy of another partition", good(ststest.RoleARN), policyARNs("arn:aws-cn:iam::aws:policy/ReadOnlyAccess"), "ValidationError"},
		{"eleven policies", good(ststest.RoleARN), policyARNs(strings.Fields(strings.Repeat("arn:aws:iam::aws:policy/A ", 11))...), "ValidationError"},
		{"provider id", good(ststest.RoleARN), func(in *sts.AssumeRoleWithWebIdentityInput) { in.ProviderId = aws.String("www.amazon.com") }, "ValidationError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in := assumeInput(test.token)
			if test.change != nil {
				test.change(in)
			}
			err := p.assume(t, in)
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
	p := start(t)
	in := assumeInput("header.claims.signature")
	for code, status := range map[string]int{
		"IDPCommunicationError": 400, "IDPRejectedClaim": 403, "RegionDisabledException": 403,
		"Throttling": 400, "InternalFailure": 500, "ServiceUnavailable": 503,
	} {
		if err := p.SetFault(fault.Fault{Path: "/", Kind: fault.Status, Status: status, Code: code}); err != nil {
			t.Fatal(err)
		}
		err := p.assume(t, in)
		if codeOf(err) != code {
			t.Errorf("%s: %v", code, err)
		}
		var modelled *types.IDPCommunicationErrorException
		if errors.As(err, &modelled) != (code == "IDPCommunicationError") {
			t.Errorf("%s: type %T", code, err)
		}
	}
	p.ClearFaults()
	if err := p.assume(t, in); codeOf(err) != "InvalidIdentityToken" {
		t.Errorf("cleared: %v", err)
	}
}

func TestWire(t *testing.T) {
	p := start(t)
	token := p.token(t, nil)
	const form = "application/x-www-form-urlencoded"
	with := func(name, value string) string {
		values := assumeForm(token)
		values.Add(name, value)
		return values.Encode()
	}
	without := func(name string) string {
		values := assumeForm(token)
		values.Del(name)
		return values.Encode()
	}
	good := assumeForm(token).Encode()
	tests := []struct {
		name                              string
		method, target, body, contentType string
		status                            int
		code                              string
	}{
		{"good", "POST", "/", good, form, 200, ""},
		{"GET", "GET", "/?" + good, "", "", 405, "InvalidAction"},
		{"other path", "POST", "/x", good, form, 405, "InvalidAction"},
		{"parameters in the query", "POST", "/?" + good, good, form, 400, "ValidationError"},
		{"JSON", "POST", "/", good, "application/json", 400, "MissingAction"},
		{"empty", "POST", "/", "", form, 400, "MissingAction"},
		{"large", "POST", "/", strings.Repeat("x", 65<<10), form, 413, "RequestEntityTooLarge"},
		{"no action", "POST", "/", without("Action"), form, 400, "MissingAction"},
		{"no version", "POST", "/", without("Version"), form, 400, "InvalidAction"},
		{"repeated", "POST", "/", with("RoleArn", ststest.RoleARN), form, 400, "ValidationError"},
		{"tags as parameters", "POST", "/", with("Tags.member.1.Key", "k"), form, 400, "ValidationError"},
		{"source identity as a parameter", "POST", "/", with("SourceIdentity", aliceEmail), form, 400, "ValidationError"},
		{"gap in the policies", "POST", "/", with("PolicyArns.member.2.arn", "arn:aws:iam::aws:policy/A"), form, 400, "ValidationError"},
		{"duration with a sign", "POST", "/", with("DurationSeconds", "+900"), form, 400, "ValidationError"},
		{"duration empty", "POST", "/", with("DurationSeconds", ""), form, 400, "ValidationError"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, test.target, strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.contentType)
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			body := w.Body.String()
			if w.Code != test.status || test.code != "" && !strings.Contains(body, "<Code>"+test.code+"</Code>") {
				t.Errorf("status %d, body %s", w.Code, body)
			}
			id := w.Header().Get("x-amzn-RequestId")
			if w.Header().Get("Content-Type") != "text/xml" || id == "" || !strings.Contains(body, "<RequestId>"+id+"</RequestId>") {
				t.Errorf("headers %v, body %s", w.Header(), body)
			}
		})
	}
	for name, change := range map[string]func(*http.Request){
		"MissingContentLength": func(r *http.Request) { r.ContentLength = -1 },
		"IncompleteSignature":  func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) },
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(good))
		r.Header.Set("Content-Type", form)
		change(r)
		w := httptest.NewRecorder()
		if p.ServeHTTP(w, r); !strings.Contains(w.Body.String(), "<Code>"+name+"</Code>") {
			t.Errorf("%s: status %d, body %s", name, w.Code, w.Body)
		}
	}
}
