// Package sts calls AssumeRoleWithWebIdentity of AWS's Security Token Service
// over the query protocol: a form out, XML in.
//
// It promises that nothing is sent before the input is proved, that the token
// goes to no host but the region's STS, and that credentials are handed out
// whole or not at all. The action needs no AWS credentials and no signature, so
// neither is here.
package sts

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// A Client calls STS.
type Client struct {
	Upstream upstream.Client
	// EndpointOverride replaces the region's URL when it is not empty. It is
	// configuration: nothing checks it here.
	EndpointOverride string
}

// An Input is one request for credentials.
type Input struct {
	Role RoleARN
	// SessionName is what SessionName returned.
	SessionName string
	// Token is the OIDC ID token.
	Token secret.String
	// DurationSeconds is 900 to 43200, or 0 for the role's default.
	DurationSeconds int
	// Region is one of the role's partition; empty is its DefaultRegion.
	Region string
	// Policies narrow the session.
	Policies SessionPolicies
}

// Credentials are temporary credentials for AWS.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey secret.String
	SessionToken    secret.String
	// Expiration is in UTC.
	Expiration time.Time
	// AssumedRoleARN names the session.
	AssumedRoleARN string
}

// AssumeRoleWithWebIdentity exchanges an ID token for the role's credentials.
//
// Errors: ErrRole, ErrRegion, ErrPolicies and ErrInput before anything is sent; those of
// upstream.Client; *Error for a refusal; ErrMalformed for a success that cannot
// be read, is not whole, or is not of the session that was asked for.
func (c Client) AssumeRoleWithWebIdentity(ctx context.Context, in Input) (*Credentials, error) {
	endpoint, err := c.endpoint(in)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	resp, err := c.Upstream.Do(ctx, upstream.Request{
		Method:   http.MethodPost,
		URL:      endpoint,
		Header:   http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		Body:     in.form(),
		Timeout:  upstream.HopTime,
		MaxBytes: upstream.MaxAnswerBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("calling STS: %w", err)
	}
	if resp.Status < 200 || resp.Status > 299 {
		return nil, &Error{Status: resp.Status, Code: readErrorCode(resp.Body), RetryAfter: upstream.RetryAfter(resp.Header, c.Upstream.Now())}
	}
	creds, err := readCredentials(resp.Body)
	if err != nil {
		return nil, err
	}
	if err := in.checkAnswer(creds, c.Upstream.Now()); err != nil {
		return nil, err
	}
	return creds, nil
}

// checkAnswer checks that the credentials are those of the role and the session
// that were asked for, are alive, and live no longer than was asked, or than AWS has it.
// IAM keeps one role for all cases of a name; a role's path is no part of its sessions' ARN.
func (in Input) checkAnswer(creds *Credentials, now time.Time) error {
	session := "arn:" + in.Role.Partition + ":sts::" + in.Role.Account + ":assumed-role/" + in.Role.Name + "/"
	name, found := cutFold(creds.AssumedRoleARN, session)
	most := time.Duration(cmp.Or(in.DurationSeconds, MaxDurationSeconds)) * time.Second
	switch {
	case !found || name != in.SessionName:
		return fmt.Errorf("%w: another session", ErrMalformed)
	case !creds.Expiration.After(now), creds.Expiration.After(now.Add(most + upstream.MaxClockSkew)):
		return fmt.Errorf("%w: another life", ErrMalformed)
	}
	return nil
}

// cutFold cuts a prefix of ASCII characters that may be in any case.
func cutFold(s, prefix string) (after string, found bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// endpoint checks role and region also when an override takes their place, so
// that a request which passes in development passes in production.
func (c Client) endpoint(in Input) (string, error) {
	if _, err := ParseRoleARN(in.Role.String()); err != nil {
		return "", err
	}
	region := in.Region
	if region == "" {
		region = DefaultRegion(in.Role.Partition)
	}
	endpoint, err := Endpoint(in.Role.Partition, region)
	if err != nil || c.EndpointOverride == "" {
		return endpoint, err
	}
	return c.EndpointOverride, nil
}

func (in Input) check() error {
	token := in.Token.Reveal()
	switch {
	case SessionName(in.SessionName) != in.SessionName:
		return fmt.Errorf("%w: session name", ErrInput)
	case len(token) < minTokenLength, len(token) > maxTokenLength:
		return fmt.Errorf("%w: token length", ErrInput)
	case in.DurationSeconds == 0:
	case in.DurationSeconds < MinDurationSeconds, in.DurationSeconds > MaxDurationSeconds:
		return fmt.Errorf("%w: duration", ErrInput)
	}
	return CheckSessionPolicies(in.Policies)
}

// form encodes the parameters, in the order of AWS's SDKs. One that is not wanted
// has no key at all: STS reads an empty value as a value.
func (in Input) form() []byte {
	role, token := in.Role.String(), in.Token.Reveal()
	b := make([]byte, 0, 192+len(in.SessionName)+2*len(role)+len(token))
	b = append(b, "Action=AssumeRoleWithWebIdentity"...)
	if in.DurationSeconds != 0 {
		b = appendField(b, "DurationSeconds", strconv.Itoa(in.DurationSeconds))
	}
	b = in.Policies.appendTo(b)
	b = appendField(b, "RoleArn", role)
	b = appendField(b, "RoleSessionName", in.SessionName)
	b = append(b, "&Version=2011-06-15"...)
	return appendField(b, "WebIdentityToken", token)
}

// appendField appends a field to a form that is not empty. The name needs no
// encoding.
func appendField(b []byte, name, value string) []byte {
	b = append(append(b, '&'), name...)
	return append(append(b, '='), url.QueryEscape(value)...)
}

func readCredentials(body []byte) (*Credentials, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, err
	}
	if root.name != "AssumeRoleWithWebIdentityResponse" {
		return nil, fmt.Errorf("%w: not an answer to this action", ErrMalformed)
	}
	result := root.child("AssumeRoleWithWebIdentityResult")
	fields := result.child("Credentials")
	expiration, err := parseTime(fields.child("Expiration").value())
	if err != nil {
		return nil, fmt.Errorf("%w: expiration", ErrMalformed)
	}
	creds := &Credentials{
		AccessKeyID:     fields.child("AccessKeyId").value(),
		SecretAccessKey: secret.New(fields.child("SecretAccessKey").value()),
		SessionToken:    secret.New(fields.child("SessionToken").value()),
		Expiration:      expiration,
		AssumedRoleARN:  result.child("AssumedRoleUser").child("Arn").value(),
	}
	if err := creds.check(); err != nil {
		return nil, err
	}
	return creds, nil
}

// check keeps anything out that a shell, a log line or an HTTP header could
// trip over.
func (c *Credentials) check() error {
	notWord := func(r rune) bool { return !isWord(r) }
	switch {
	case c.AccessKeyID == "", len(c.AccessKeyID) > 128, strings.ContainsFunc(c.AccessKeyID, notWord):
		return fmt.Errorf("%w: access key id", ErrMalformed)
	case c.SecretAccessKey.IsEmpty(), !isGraphic(c.SecretAccessKey.Reveal()):
		return fmt.Errorf("%w: secret access key", ErrMalformed)
	case c.SessionToken.IsEmpty(), !isGraphic(c.SessionToken.Reveal()):
		return fmt.Errorf("%w: session token", ErrMalformed)
	// The id goes into logs, and is outside of a seal.
	case strings.Contains(c.AccessKeyID, c.SecretAccessKey.Reveal()), strings.Contains(c.AccessKeyID, c.SessionToken.Reveal()):
		return fmt.Errorf("%w: access key id repeats a secret", ErrMalformed)
	case len(c.AssumedRoleARN) > maxARN, !isGraphic(c.AssumedRoleARN):
		return fmt.Errorf("%w: assumed role", ErrMalformed)
	}
	return nil
}

// parseTime reads ISO 8601 in UTC, with or without a fraction and a zone, as
// AWS's SDKs do.
func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse("2006-01-02T15:04:05", s)
	}
	return t.UTC(), err
}

// readErrorCode finds the code of an error answer, whatever its root is called.
// What does not look like a code is dropped: it would end up in logs and answers.
func readErrorCode(body []byte) string {
	root, err := parseXML(body)
	if err != nil {
		return ""
	}
	code := root.child("Error").child("Code").value()
	notCode := func(r rune) bool { return r != '.' && (r == '_' || !isWord(r)) }
	if len(code) > upstream.MaxCodeBytes || strings.ContainsFunc(code, notCode) {
		return ""
	}
	return code
}
