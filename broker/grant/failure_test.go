package grant

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// TestExplain: every failure has a status, an outcome and a sentence that says
// what to do.
func TestExplain(t *testing.T) {
	c := &call{
		desk:   &Desk{config: Config{Vouch: vouch.Client{Issuer: "https://vouch.example"}}},
		caller: Caller{Auth: vouch.Bearer{}},
	}
	tests := []struct {
		err     error
		status  int
		outcome string
		says    string
	}{
		{invalid("role_arn is missing"), 400, "refused", "role_arn is missing"},
		{context.Canceled, 499, "canceled", "call again"},
		{upstream.ErrTimeout, 504, "failed", "Vouch did not answer in time"},
		{upstream.ErrNoTime, 504, "failed", "Vouch did not answer in time"},
		{fmt.Errorf("%w: dns", upstream.ErrUnreachable), 502, "failed", "Vouch could not be reached"},
		{upstream.ErrTooLarge, 502, "failed", "nothing was handed out"},
		{upstream.ErrRedirect, 502, "failed", "redirect"},
		{vouch.ErrMalformed, 502, "failed", "nothing was handed out"},
		{vouch.ErrRequestTooLarge, 400, "refused", "fewer repositories"},
		{&vouch.Error{Status: 401, Unsigned: true}, 401, "failed", "this Vouch requires signed requests"},
		{&vouch.Error{Status: 401, Code: "invalid_token"}, 401, "failed", "sign in again"},
		{&vouch.Error{Status: 401, Code: "unauthorized"}, 401, "failed", "sign in again"},
		{&vouch.Error{Status: 401, Code: "invalid_dpop_proof"}, 401, "failed", "configuration and clock"},
		{&vouch.Error{Status: 403, Code: "hardware_required"}, 403, "failed", "hardware key"},
		{&vouch.Error{Status: 404, Code: "github_not_connected"}, 404, "failed", "https://vouch.example/github/connect"},
		{&vouch.Error{Status: 400, Code: "signing_failed"}, 400, "failed", "another type"},
		{&vouch.Error{Status: 500, Code: "signing_failed"}, 500, "failed", "try again"},
		{&vouch.Error{Status: 429, RetryAfter: 1500 * time.Millisecond}, 429, "failed", "try again in 2 s"},
		{&vouch.Error{Status: 404, Code: "user_not_found"}, 404, "failed", "sign in again"},
		{&vouch.Error{Status: 503, RetryAfter: 29500 * time.Millisecond}, 503, "failed", "try again in 30 s"},
		{&vouch.Error{Status: 503}, 503, "failed", "try again in a moment"},
		{&vouch.Error{Status: 408}, 408, "failed", "try again"},
		{&vouch.Error{Status: 418, Code: "teapot"}, 418, "failed", "refused the request (status 418)"},
		{&sts.Error{Status: 403, Code: "AccessDenied"}, 403, "failed", "trust policy"},
		{&sts.Error{Status: 400, Code: "ExpiredTokenException"}, 400, "failed", "clocks"},
		{&sts.Error{Status: 400, Code: "InvalidIdentityToken"}, 400, "failed", "try again, and if it recurs the account needs an IAM OIDC provider for vouch.example with"},
		{&sts.Error{Status: 400, Code: "IDPCommunicationError"}, 400, "failed", "try again"},
		{&sts.Error{Status: 403, Code: "IDPRejectedClaim"}, 403, "failed", "sign in again"},
		{&sts.Error{Status: 403, Code: "RegionDisabledException"}, 403, "failed", "argument region"},
		{&sts.Error{Status: 400, Code: "PackedPolicyTooLarge"}, 400, "failed", "too large"},
		{&sts.Error{Status: 400, Code: "ValidationError"}, 400, "failed", "duration_seconds"},
		{&sts.Error{Status: 400, Code: "Throttling"}, 429, "failed", "try again"},
		{&sts.Error{Status: 400, Code: "ThrottlingException"}, 429, "failed", "try again"},
		{&sts.Error{Status: 400, Code: "ThrottledException", RetryAfter: 1500 * time.Millisecond}, 429, "failed", "try again in 2 s"},
		{&sts.Error{Status: 400, Code: "RequestLimitExceeded", RetryAfter: time.Minute}, 429, "failed", "try again in 60 s"},
		{&sts.Error{Status: 400, Code: "TooManyRequestsException"}, 429, "failed", "try again in 5 s"},
		{&sts.Error{Status: 503, Code: "SlowDown", RetryAfter: 3 * time.Second}, 429, "failed", "try again in 3 s"},
		{&sts.Error{Status: 503, RetryAfter: 90 * time.Second}, 503, "failed", "try again in 90 s"},
		{&sts.Error{Status: 429}, 429, "failed", "try again"},
		{&sts.Error{Status: 503, Code: "ServiceUnavailable"}, 503, "failed", "try again"},
		{&sts.Error{Status: 400, Code: "InvalidAction"}, 400, "failed", "check role_arn and region"},
		{errors.New("something else"), 500, "failed", "tell its operator"},
	}
	for _, tt := range tests {
		err := tt.err
		if tt.says != "tell its operator" && tt.outcome != "refused" {
			err = hopError{hopVouch, err}
		}
		f := c.explain(err)
		if f.Status != tt.status || f.outcome != tt.outcome || !strings.Contains(f.Message, tt.says) {
			t.Errorf("%v: %+v, want %d, %s, %q", tt.err, f, tt.status, tt.outcome, tt.says)
		}
	}
}

func TestEveryInputFaultHasASentence(t *testing.T) {
	for _, s := range inputSentences {
		var sentence inputError
		if got := inputOf(fmt.Errorf("wrapped: %w", s.fault)); !errors.As(got, &sentence) || string(sentence) != s.sentence {
			t.Errorf("%v: %v", s.fault, got)
		}
	}
}
