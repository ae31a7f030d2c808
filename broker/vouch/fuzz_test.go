package vouch_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// An echo answers every request with one answer.
type echo upstream.Response

func (e *echo) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	return (*upstream.Response)(e), nil
}

func FuzzAnswer(f *testing.F) {
	key, line := certified(f, nil)
	f.Add(200, "", "application/json", []byte(`{"id_token":"a.b.c","expires_in":1}`))
	f.Add(200, "", "application/json", []byte(gitHubAnswer+`,"repositories":["acme/api"]}`))
	f.Add(200, "", "application/json", []byte(sshBody(f, line, nil)))
	f.Add(401, "", "text/plain", []byte("signature verification failed"))
	f.Add(429, "Sun, 22 Nov 2026 19:04:35 GMT", "application/json", []byte(`{"code":"rate_limited","message":"m"}`))
	f.Add(503, "99999999999999999999", "application/json", []byte(`{"error":"e"}`))
	f.Fuzz(func(t *testing.T, status int, retryAfter, mediaType string, body []byte) {
		answer := &echo{
			Status: status,
			Header: http.Header{"Retry-After": {retryAfter}, "Content-Type": {mediaType}},
			Body:   body,
		}
		client := vouch.Client{Issuer: "https://vouch.example", Upstream: upstream.Client{Fetcher: answer, Now: now}}
		ctx := context.Background()

		token, err := client.AWSToken(ctx, relayed, roleARN)
		checkError(t, err, token == nil)
		installation, err := client.GitHubToken(ctx, relayed, vouch.GitHubRequest{})
		checkError(t, err, installation == nil)
		certificate, err := client.SSHCertificate(ctx, relayed, key)
		checkError(t, err, certificate == nil)

		if token != nil && (token.Token.IsEmpty() || token.ExpiresIn <= 0) ||
			installation != nil && (installation.Token.IsEmpty() || installation.ExpiresAt == "") ||
			certificate != nil && len(certificate.Principals) == 0 {
			t.Fatal("handed out what is not whole")
		}
	})
}

func checkError(t *testing.T, err error, nothing bool) {
	t.Helper()
	if nothing != (err != nil) {
		t.Fatalf("nothing issued: %v, error: %v", nothing, err)
	}
	var refusal *vouch.Error
	switch {
	case err == nil, errors.Is(err, vouch.ErrMalformed), errors.Is(err, upstream.ErrRedirect):
	case !errors.As(err, &refusal):
		t.Fatalf("error of no known kind: %v", err)
	case refusal.RetryAfter < 0, refusal.RetryAfter > time.Hour, len(refusal.Code) > 39:
		t.Fatalf("out of bounds: %+v", refusal)
	case refusal.Unsigned && refusal.Status != http.StatusUnauthorized:
		t.Fatalf("unsigned with status %d", refusal.Status)
	}
}
