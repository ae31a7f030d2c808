package register

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/vouchtest/fault"
)

// Each failure is one sentence that says what to do, keeps the key for the next
// run, and does not keep that run from succeeding.
func TestRegisterWhenVouchFails(t *testing.T) {
	tests := []struct {
		name  string
		fault fault.Fault
		want  string
	}{
		{"server error", fault.Fault{Kind: fault.Status, Status: 500}, "status 500"},
		{"refused metadata", fault.Fault{Kind: fault.Status, Status: 400, Code: "invalid_redirect_uri"}, "(invalid_redirect_uri)"},
		{"strange code", fault.Fault{Kind: fault.Status, Status: 400, Code: "\x1b[31m"}, "refused the registration:"},
		{"not found", fault.Fault{Kind: fault.Status, Status: 404}, "status 404"},
		{"unauthorized", fault.Fault{Kind: fault.Text401}, "status 401"},
		{"rate limit", fault.Fault{Kind: fault.RateLimited, RetryAfter: 9}, "in 9 seconds"},
		{"rate limit with a date", fault.Fault{Kind: fault.RateLimited, RetryAtDate: true}, "in a minute"},
		{"redirect", fault.Fault{Kind: fault.Redirect}, "redirect"},
		{"garbage", fault.Fault{Kind: fault.Garbage}, "VOUCH_ISSUER"},
		{"huge", fault.Fault{Kind: fault.Huge}, "VOUCH_ISSUER"},
		{"empty", fault.Fault{Kind: fault.Empty}, "VOUCH_ISSUER"},
		{"cut off", fault.Fault{Kind: fault.Cut}, "run this again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			tt.fault.Path, tt.fault.Times = "/oauth/register", 1
			if err := o.vouch.Vouch.SetFault(tt.fault); err != nil {
				t.Fatal(err)
			}
			err := o.run(o.register)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Fatalf("error %q, want one line with %q", err, tt.want)
			}
			if o.toldMore() || o.vouch.Vouch.Count("/-/trap") != 0 {
				t.Errorf("told %q; the redirect was followed %d times", o.out, o.vouch.Vouch.Count("/-/trap"))
			}
			key := o.kept().Key
			o.must(o.register)
			if !o.kept().Key.Equal(key.String) {
				t.Error("the next run made another key")
			}
		})
	}
}

func TestDeadRegistrationToken(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	copied := o.kept()
	o.must(o.register)
	if err := o.file().save(copied); err != nil { // an old copy put back
		t.Fatal(err)
	}
	o.out.Reset()
	for range 2 {
		if err := o.run(o.register); !errors.Is(err, errToken) || !strings.Contains(err.Error(), "newest copy") {
			t.Fatalf("error %v", err)
		}
	}
	if !reflect.DeepEqual(o.kept(), copied) || o.vouch.Vouch.Count("/oauth/register") != 1 || strings.Contains(o.out.String(), "Registered") {
		t.Error("the file changed, a second client was made, or success was told")
	}
}

func TestUnreachableVouch(t *testing.T) {
	o := newOffice(t)
	_ = o.vouch.Close()
	if err := o.run(o.register); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Fatalf("error %v", err)
	}
}

func TestStrangeAnswers(t *testing.T) {
	const good = `"client_id":"c1","token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":true`
	tests := []struct {
		name, body string
		kept       bool // a registration was made, so its token must be kept
	}{
		{"no client id", `{"registration_access_token":"t1"}`, false},
		{"no token", `{` + good + `}`, false},
		{"token with a line break", `{` + good + `,"registration_access_token":"a\r\nb"}`, false},
		{"client id that steers the terminal", `{"client_id":"\u001b[2J","registration_access_token":"t1"}`, false},
		{"client id with a quote", `{"client_id":"a\"b","registration_access_token":"t1"}`, false},
		{"client id with a path", `{"client_id":"..","registration_access_token":"t1"}`, false},
		{"secret client", `{"client_id":"c1","registration_access_token":"t1","token_endpoint_auth_method":"client_secret_basic","dpop_bound_access_tokens":true}`, true},
		{"unbound tokens", `{"client_id":"c1","registration_access_token":"t1","token_endpoint_auth_method":"private_key_jwt"}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer server.Close()
			o.env["VOUCH_ISSUER"], o.settings.Vars = server.URL, nil
			err := o.run(o.register)
			if err == nil || o.toldMore() || strings.ContainsAny(err.Error(), "\x1b\n") {
				t.Fatalf("error %q, told %q", err, o.out)
			}
			if o.kept().Token.IsEmpty() == tt.kept {
				t.Errorf("registration token kept: %v, want %v", !tt.kept, tt.kept)
			}
		})
	}
}

func TestAnswerForAnotherClientIsRefused(t *testing.T) {
	r := Registration{ClientID: "c1", Token: kept{secret.New("t1")}}
	if _, err := readRegistered([]byte(`{"client_id":"c2","registration_access_token":"t2"}`), r); err == nil {
		t.Error("another client's registration was taken")
	}
	answer, err := readRegistered([]byte(`{"client_id":"c1"}`), r)
	if err != nil || !answer.Token.Equal(r.Token.String) {
		t.Errorf("without a new token the old one stays: %v", err)
	}
}

func FuzzReadRegistered(f *testing.F) {
	f.Add([]byte(`{"client_id":"c1","registration_access_token":"t1"}`))
	f.Add([]byte(`{"client_id":1,"registration_access_token":null}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := readRegistered(body, Registration{})
		if err == nil && (!validClientID(answer.ClientID) || !validToken(answer.Token.String)) {
			t.Errorf("taken: %q", answer.ClientID)
		}
		if code := errorCode(body); strings.ContainsAny(code, "\x1b\n\r\"") {
			t.Errorf("code %q", code)
		}
	})
}

// Ctrl-C between request and answer must not lose the registration token that
// the answer brings.
func TestInterruptWaitsForTheAnswer(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	before := o.kept()
	ctx, interrupt := context.WithCancel(t.Context())
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		interrupt()
		o.vouch.Vouch.ServeHTTP(w, r)
	}))
	defer front.Close()
	after := before
	after.Issuer = front.URL
	if _, err := sendRegistration(ctx, o.registrar.vouch, after); err != nil {
		t.Fatalf("the answer was given up: %v", err)
	}
	if _, err := sendRegistration(ctx, o.registrar.vouch, after); !errors.Is(err, context.Canceled) {
		t.Errorf("a request left after the interrupt: %v", err)
	}
}
