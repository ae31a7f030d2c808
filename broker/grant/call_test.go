package grant

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

// wired returns a desk without a policy, with Vouch and STS in this process.
func wired(t *testing.T, change func(*Config)) (d *Desk, w *wire, lines *[]*record) {
	t.Helper()
	now := func() time.Time { return agreeTime }
	w, lines = &wire{now: now}, &[]*record{}
	out := upstream.Client{Fetcher: w, Now: now}
	c := Config{Vouch: vouch.Client{Issuer: vouchOfTests, Upstream: out}, STS: sts.Client{Upstream: out}, Now: now, Log: func(line any) { *lines = append(*lines, line.(*record)) }}
	if change != nil {
		change(&c)
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d, w, lines
}

// ada calls by a token of Vouch's.
func ada() Caller {
	return Caller{Subject: "ada", ClientID: "c", Auth: vouch.Bearer{Token: theBearer}, Asked: authserver.AllScopes, Granted: authserver.AllScopes}
}

// TestWhatMintsIsFinished although the client hangs up: what was issued is to be audited.
// What mints nothing ends with the client.
func TestWhatMintsIsFinished(t *testing.T) {
	d, w, lines := wired(t, nil)
	ends := map[string]bool{}
	for _, c := range []struct{ tool, arguments string }{
		{"get-aws-credentials", `{"role_arn": "` + role + `"}`}, {"get-github-token", `{"owner": "acme"}`}, {"get-ssh-certificate", `{"public_key": "` + theKeyLine + `"}`},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		w.watch = func(hop context.Context, r upstream.Request) {
			ends[strings.Split(r.URL, "?")[0]] = hop.Done() != nil
			if hop.Done() == nil {
				cancel() // in the midst of it
			}
		}
		r, err := d.Run(ctx, ada(), &mcp.Call{Tool: c.tool, Arguments: json.RawMessage(c.arguments)})
		if line := (*lines)[len(*lines)-1]; err != nil || r.IsError || line.Outcome != "issued" || line.Issued == nil {
			t.Errorf("%s: %+v, %v, logged %+v", c.tool, r, err, line)
		}
		cancel()
	}
	for url, want := range map[string]bool{
		vouchOfTests + "/v1/credentials/aws/token": true, "https://sts.us-east-1.amazonaws.com/": false,
		vouchOfTests + "/v1/credentials/github/token": false, vouchOfTests + "/v1/credentials/ssh": false,
	} {
		if got, asked := ends[url]; !asked || got != want {
			t.Errorf("%s ends with the client: %v (asked: %v, of %v)", url, got, asked, ends)
		}
	}
}

// TestPanicIsRecorded: a call whose credential panics leaves its line too, and the panic
// goes on to the host.
func TestPanicIsRecorded(t *testing.T) {
	c := newCounter(t, "")
	c.mint = func(context.Context, *call) (minted, error) { panic("a defect") }
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
		if line := c.last(); line["outcome"] != "failed" || line["status"] != 500.0 || line["rule"] != "ops" {
			t.Errorf("logged %v", line)
		}
	}()
	c.call(eve(newNotary(t)), plainCall)
}

// TestMissing: what the client did not ask for is missing, and not what the person
// declined; then none of the calls runs, and each has its line.
func TestMissing(t *testing.T) {
	for _, tt := range []struct {
		name           string
		asked, granted authserver.Scopes
		tools          []string
		missing        authserver.Scopes
	}{
		{"nothing", authserver.AllScopes, authserver.AllScopes, []string{"get-aws-write-credentials", "get-ssh-certificate"}, 0},
		{"declined", authserver.AllScopes, 0, []string{"get-aws-write-credentials"}, 0},
		{"not asked", authserver.ScopeAWS, authserver.ScopeAWS, []string{"get-aws-write-credentials"}, authserver.ScopeAWSWrite},
		{"several", authserver.ScopeAWS, authserver.ScopeAWS, []string{"get-ssh-certificate", "get-aws-credentials", "get-github-token"}, authserver.ScopeSSH | authserver.ScopeGitHub},
		{"tools that tell", 0, 0, []string{"whoami", "list-access", "explain-access", "no-such-tool"}, 0},
	} {
		d, w, lines := wired(t, nil)
		who := ada()
		who.Asked, who.Granted = tt.asked, tt.granted
		var calls []*mcp.Call
		for _, tool := range tt.tools {
			calls = append(calls, &mcp.Call{Tool: tool, Arguments: json.RawMessage(`{"public_key": "secret"}`)})
		}
		if got := d.Missing(who, calls); got != tt.missing || w.asked != 0 {
			t.Errorf("%s: missing %v, want %v", tt.name, got.Names(), tt.missing.Names())
		}
		var logged []string
		for _, line := range *lines {
			if line.Decision != deny || line.Status != 403 || line.Outcome != "refused" {
				t.Errorf("%s: logged %+v", tt.name, line)
			}
			logged = append(logged, line.Tool)
		}
		if tt.missing != 0 && !slices.Equal(logged, tt.tools) || tt.missing == 0 && logged != nil {
			t.Errorf("%s: logged %q", tt.name, logged)
		}
	}
}

// TestSignInThatEnded: whoever has a token of the broker's is sent to sign in again, and
// whoever relays one of Vouch's is told in the result. Other refusals are neither.
func TestSignInThatEnded(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		relays bool
		ends   bool
	}{
		{401, `{"code": "invalid_token"}`, false, true}, {401, `{"code": "unauthorized"}`, false, true},
		{401, `{"code": "invalid_token"}`, true, false}, {401, `{"code": "other"}`, false, false}, {401, `signature`, false, false},
		{403, `{"code": "invalid_token"}`, false, false}, {403, `{"code": "hardware_required"}`, false, false}, {429, `{}`, false, false},
	} {
		d, w, _ := wired(t, nil)
		w.refuse = refusing("vouch.", tt.status, tt.body)
		who := ada()
		if !tt.relays {
			who.Auth = notRelayed{who.Auth}
		}
		r, err := d.Run(t.Context(), who, &mcp.Call{Tool: "get-github-token", Arguments: json.RawMessage(`{"owner": "acme"}`)})
		if errors.Is(err, ErrSignInEnded) != tt.ends || !r.IsError || r.Structured == nil {
			t.Errorf("%+v: %+v, %v", tt, r, err)
		}
	}
}

// notRelayed is an authorization that is not one of relay mode.
type notRelayed struct{ vouch.Authorization }

// TestRegions: the configured region is for its own partition, and a call's must be one
// of its role's.
func TestRegions(t *testing.T) {
	for _, tt := range []struct{ configured, role, argument, want string }{
		{"", "arn:aws:iam::444455556666:role/a", "", "https://sts.us-east-1.amazonaws.com/"},
		{"eu-central-1", "arn:aws:iam::444455556666:role/a", "", "https://sts.eu-central-1.amazonaws.com/"},
		{"eu-central-1", "arn:aws:iam::444455556666:role/a", "us-west-2", "https://sts.us-west-2.amazonaws.com/"},
		{"eu-central-1", "arn:aws-cn:iam::444455556666:role/a", "", "https://sts.cn-northwest-1.amazonaws.com.cn/"},
		{"", "arn:aws-cn:iam::444455556666:role/a", "eu-central-1", ""},
		{"", "arn:aws:iam::444455556666:role/a", "evil.example", ""},
	} {
		d, w, _ := wired(t, func(c *Config) { c.AWSRegion = tt.configured })
		asked := ""
		w.watch = func(_ context.Context, r upstream.Request) { asked = r.URL }
		arguments, _ := json.Marshal(map[string]string{"role_arn": tt.role, "region": tt.argument})
		r, err := d.Run(t.Context(), ada(), &mcp.Call{Tool: "get-aws-credentials", Arguments: arguments})
		if err != nil || asked != tt.want || r.IsError != (tt.want == "") {
			t.Errorf("%+v: asked %s, %+v, %v", tt, asked, r, err)
		}
	}
}
