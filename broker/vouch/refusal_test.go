package vouch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

func TestRefusals(t *testing.T) {
	key, _ := certified(t, nil)
	calls := map[string]func(*server) (any, error){
		"aws": (*server).callAWS, "github": (*server).callGitHub,
		"ssh": func(s *server) (any, error) { return s.callSSH(key) },
	}
	tests := []struct {
		status int
		code   string
	}{
		{401, "unauthorized"}, {401, "invalid_token"}, {401, "invalid_dpop_proof"}, {401, "use_dpop_nonce"},
		{403, "hardware_required"}, {500, "internal_error"}, {500, "db_error"}, {500, "server_error"},
		{400, "invalid_role_arn"}, {500, "claims_error"}, {500, "token_error"}, {500, "signing_key_error"},
		{500, "issuer_error"}, {501, "rsa_key_unavailable"},
		{503, "github_not_configured"}, {403, "org_required"}, {404, "github_not_connected"}, {400, "owner_required"},
		{403, "installation_suspended"}, {502, "github_error"}, {500, "invalid_installation"},
		{503, "ssh_ca_not_configured"}, {400, "signing_failed"}, {500, "recording_failed"}, {500, "time_error"},
	}
	forms := map[string]string{
		"API":   `{"code":"%s","message":"hunter2 of alice@example.com"}`,
		"OAuth": `{"error":"%s","error_description":"hunter2"}`,
		"both":  `{"error":"other","code":"%s"}`,
		"fault": `{"error":"%s","code":{"a":1}}`,
	}
	for _, test := range tests {
		for form, body := range forms {
			for call, do := range calls {
				s := newServer(t, test.status, fmt.Sprintf(body, test.code))
				issued, err := do(s)
				var got *vouch.Error
				if !errors.As(err, &got) || issued != nil {
					t.Fatalf("%s, %s: got %v, %v", call, test.code, issued, err)
				}
				if want := (vouch.Error{Status: test.status, Code: test.code}); *got != want {
					t.Errorf("%s, %s form: got %+v, want %+v", call, form, *got, want)
				}
				if !strings.Contains(err.Error(), test.code) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("text %q", err)
				}
				s.Close()
			}
		}
	}
}

func TestRefusalsWithoutCode(t *testing.T) {
	const failed = "signature verification failed"
	tests := []struct {
		name             string
		status           int
		mediaType, body  string
		wantCode         string
		wantUnsigned     bool
		wantTextContains string
	}{
		{"unsigned", 401, "text/plain", failed, "", true, "signature required"},
		{"unsigned, charset", 401, "Text/Plain; charset=utf-8", failed, "", true, "401"},
		{"nonce fault", 500, "text/plain", failed, "", false, "500"},
		{"text, other status", 403, "text/plain", failed, "", false, "403"},
		{"401 in HTML", 401, "text/html", "<html>", "", false, "401"},
		{"401 without type", 401, "", "", "", false, "401"},
		{"401 in JSON", 401, "application/json", `{"code":"invalid_token"}`, "invalid_token", false, "invalid_token"},
		{"401 in JSON called text", 401, "text/plain", `{"code":"invalid_token"}`, "invalid_token", false, "invalid_token"},
		{"other text type", 401, "text/plainer", failed, "", false, "401"},
		{"timeout", 408, "text/plain", "", "", false, "408"},
		{"too large", 413, "text/plain", "length limit exceeded", "", false, "413"},
		{"unprocessable", 422, "text/plain", "Failed to deserialize", "", false, "422"},
		{"not modified", 304, "", "", "", false, "304"},
		{"code in upper case", 400, "application/json", `{"code":"INVALID"}`, "", false, "400"},
		{"code with a line", 400, "application/json", `{"code":"a\nb"}`, "", false, "400"},
		{"code as a sentence", 400, "application/json", `{"code":"please do this"}`, "", false, "400"},
		{"code as a number", 400, "application/json", `{"code":400}`, "", false, "400"},
		{"code too long", 400, "application/json", `{"code":"` + strings.Repeat("a", 65) + `"}`, "", false, "400"},
		{"code in a list", 400, "application/json", `[{"code":"a"}]`, "", false, "400"},
		{"cut off", 400, "application/json", `{"code":"a"`, "", false, "400"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, test.status, test.body)
			s.header = http.Header{"Content-Type": {test.mediaType}}
			_, err := s.callAWS()
			var got *vouch.Error
			if !errors.As(err, &got) {
				t.Fatalf("got %v", err)
			}
			want := vouch.Error{Status: test.status, Code: test.wantCode, Unsigned: test.wantUnsigned}
			if *got != want || !strings.Contains(err.Error(), test.wantTextContains) {
				t.Errorf("got %+v, %q, want %+v", *got, err, want)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	tests := map[string]time.Duration{
		"":   0,
		"0":  0,
		"2":  2 * time.Second,
		"60": time.Minute,

		"3600":                              time.Hour,
		"3601":                              time.Hour,
		"18446744073709551615":              time.Hour,
		"9223372037":                        time.Hour,
		"99999999999999999999999999":        time.Hour,
		"-1":                                0,
		"+5":                                0,
		"1.5":                               1500 * time.Millisecond,
		"0.25":                              250 * time.Millisecond,
		"2.":                                2 * time.Second,
		" 7 ":                               7 * time.Second,
		"1.2.3":                             0,
		".5":                                0,
		".":                                 0,
		"Inf":                               0,
		"NaN":                               0,
		"1_000":                             0,
		"5 s":                               0,
		"3599.9":                            time.Hour - 100*time.Millisecond,
		"3600.1":                            time.Hour,
		"7, 7":                              7 * time.Second,
		"2,9,4":                             9 * time.Second,
		"soon, 3":                           3 * time.Second,
		"5, Sun, 22 Nov 2026 19:04:35 GMT":  30 * time.Second,
		"Sun, 22 Nov 2026 19:04:35 GMT, 40": 40 * time.Second,
		"Sun, 22 Nov 2026 19:04:35 GMT, Sun, 22 Nov 2026 19:04:15 GMT": 30 * time.Second,
		"1e3":                            0,
		"0x10":                           0,
		"soon":                           0,
		"5, 6":                           6 * time.Second,
		"Sun, 22 Nov 2026 19:04:35 GMT":  30 * time.Second,
		"Sunday, 22-Nov-26 19:04:35 GMT": 30 * time.Second,
		"Sun Nov 22 19:04:35 2026":       30 * time.Second,
		"Sun, 22 Nov 2026 19:04:00 GMT":  0,
		"Thu, 01 Jan 1970 00:00:00 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  time.Hour,
		"Sun, 42 Nov 2026 19:04:35 GMT":  0,
	}
	for value, want := range tests {
		s := newServer(t, http.StatusTooManyRequests, "")
		s.header.Set("Retry-After", value)
		_, err := s.callAWS()
		var got *vouch.Error
		if !errors.As(err, &got) || got.Status != http.StatusTooManyRequests || got.RetryAfter != want {
			t.Errorf("Retry-After %q: got %+v, want %v", value, err, want)
		}
	}
}

func TestRetryAfterInSeveralFields(t *testing.T) {
	for _, status := range []int{429, 503} {
		s := newServer(t, status, "")
		s.header["Retry-After"] = []string{"3", "Sun, 22 Nov 2026 19:04:15 GMT", "1.5"}
		var got *vouch.Error
		if _, err := s.callAWS(); !errors.As(err, &got) || got.RetryAfter != 10*time.Second {
			t.Errorf("status %d: got %+v", status, err)
		}
	}
}

func TestUpstreamFailures(t *testing.T) {
	const good = `{"id_token":"a.b.c","expires_in":1}`
	t.Run("too large", func(t *testing.T) {
		s := newServer(t, http.StatusOK, good+strings.Repeat(" ", 64<<10))
		if _, err := s.callAWS(); !errors.Is(err, upstream.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		target := newServer(t, http.StatusOK, good)
		for _, status := range []int{301, 302, 303, 307, 308} {
			s := newServer(t, status, good)
			s.header.Set("Location", target.URL)
			if _, err := s.callAWS(); !errors.Is(err, upstream.ErrRedirect) || target.calls > 0 {
				t.Errorf("%d: got %v, followed %d times", status, err, target.calls)
			}
		}
	})
	t.Run("broken off", func(t *testing.T) {
		s := newServer(t, http.StatusOK, good)
		s.header.Set("Content-Length", "4000")
		if _, err := s.callGitHub(); !errors.Is(err, upstream.ErrUnreachable) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		s := newServer(t, http.StatusOK, good)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.client().AWSToken(ctx, relayed, roleARN); !errors.Is(err, context.Canceled) || s.calls > 0 {
			t.Errorf("got %v, %d calls", err, s.calls)
		}
	})
	t.Run("no time left", func(t *testing.T) {
		s := newServer(t, http.StatusOK, good)
		ctx := upstream.WithDeadline(context.Background(), now().Add(time.Second))
		if _, err := s.client().AWSToken(ctx, relayed, roleARN); !errors.Is(err, upstream.ErrNoTime) || s.calls > 0 {
			t.Errorf("got %v, %d calls", err, s.calls)
		}
	})
}
