package broker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

// bench is a broker on httptest with a strict Vouch and STS behind it.
type bench struct {
	*vouchtest.Stack
	url string

	mu  sync.Mutex
	log []string
}

func newBench(t *testing.T, o vouchtest.Options, vars map[string]string) *bench {
	t.Helper()
	return newBenchBy(t, upstream.NetHTTP{}, o, vars)
}

// newBenchBy has its own way out.
func newBenchBy(t *testing.T, way upstream.Fetcher, o vouchtest.Options, vars map[string]string) *bench {
	t.Helper()
	return newBenchIn(t, broker.Environment{Fetcher: way}, o, vars)
}

// newBenchIn has of its environment what that names.
func newBenchIn(t *testing.T, env broker.Environment, o vouchtest.Options, vars map[string]string) *bench {
	t.Helper()
	stack, err := vouchtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stack.Close() })
	b := &bench{Stack: stack}
	if env.Fetcher == nil {
		env.Fetcher = upstream.NetHTTP{}
	}
	env.Now = time.Now
	env.Getenv = func(name string) string {
		if value, ok := vars[name]; ok {
			return value
		}
		return map[string]string{"VOUCH_ISSUER": stack.VouchURL, "AWS_ENDPOINT_URL_STS": stack.STSURL}[name]
	}
	env.Log = func(line string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.log = append(b.log, line)
	}
	handler, err := broker.New(env)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

func (b *bench) lastRecord(t *testing.T) map[string]any {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.log) == 0 {
		t.Fatal("nothing was logged")
	}
	var record map[string]any
	if err := json.Unmarshal([]byte(b.log[len(b.log)-1]), &record); err != nil {
		t.Fatal(err)
	}
	return record
}

type result struct {
	IsError           bool
	Content           []struct{ Text string }
	StructuredContent map[string]any
}

// call calls a tool with raw arguments.
func (b *bench) call(t *testing.T, tool, arguments string) (r result) {
	t.Helper()
	text := b.post(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+`}}`)
	if err := json.Unmarshal(text, &r); err != nil || len(r.Content) != 1 {
		t.Fatalf("no result of a tool: %s", text)
	}
	return r
}

// post sends a JSON-RPC request with a good token and returns its result.
func (b *bench) post(t *testing.T, body string) json.RawMessage {
	t.Helper()
	resp, text := post(t, b.url, b.Vouch.MintAccessToken(vouchtest.TokenOptions{Audience: b.url + "/mcp", Scope: "openid email"}), body)
	var answer struct{ Result json.RawMessage }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.Result == nil {
		t.Fatalf("status %d, no result: %s", resp.StatusCode, text)
	}
	return answer.Result
}

const (
	role      = `"role_arn":"` + ststest.RoleARN + `"`
	sshKey    = `ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIU8WiQ3N5pgVFR96r2X2vc7olsv4mZHF/BnL2jH3gvw`
	aSecret   = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW"
	pemSecret = `-----BEGIN OPENSSH PRIVATE KEY-----\n` + aSecret + `\n-----END OPENSSH PRIVATE KEY-----`
)

// TestArgumentsAreCheckedFirst: a wrong argument is told in a sentence, and no
// request leaves because of it.
func TestArgumentsAreCheckedFirst(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	b.call(t, "get-github-token", `{"owner":"acme"}`) // the keys are fetched
	tests := []struct {
		name, tool, arguments, says string
	}{
		{"no role", "get-aws-credentials", `{}`, "role_arn must be"},
		{"role is a number", "get-aws-credentials", `{"role_arn":7}`, "role_arn must be a string"},
		{"role of another service", "get-aws-credentials", `{"role_arn":"arn:aws:s3:::bucket/role/name"}`, "role_arn must be"},
		{"unknown partition", "get-aws-credentials", `{"role_arn":"arn:evil:iam::123456789012:role/Dev"}`, "role_arn must be"},
		{"too short a time", "get-aws-credentials", `{` + role + `,"duration_seconds":899}`, "duration_seconds must be a whole number from 900 to 43200"},
		{"too long a time", "get-aws-credentials", `{` + role + `,"duration_seconds":43201}`, "duration_seconds"},
		{"time with a fraction", "get-aws-credentials", `{` + role + `,"duration_seconds":900.5}`, "duration_seconds"},
		{"time as text", "get-aws-credentials", `{` + role + `,"duration_seconds":"900"}`, "duration_seconds"},
		{"time beyond any integer", "get-aws-credentials", `{` + role + `,"duration_seconds":1e300}`, "duration_seconds"},
		{"region of another partition", "get-aws-credentials", `{` + role + `,"region":"cn-north-1"}`, "region must be"},
		{"region that is a host name", "get-aws-credentials", `{` + role + `,"region":"us-east-1.attacker.example/"}`, "region must be"},
		{"unknown argument", "get-aws-credentials", `{` + role + `,"policies":"x"}`, `no argument "policies"; known are role_arn, profile, policy, duration_seconds, region`},
		{"nearly an argument that clients inject", "get-aws-credentials", `{` + role + `,"tool_call_id":"x"}`, `no argument "tool_call_id"`},
		{"an argument that clients inject, in another case", "get-aws-credentials", `{` + role + `,"toolcallid":"x"}`, `no argument "toolcallid"`},
		{"argument given twice", "get-aws-credentials", `{` + role + `,` + role + `}`, "given twice"},
		{"argument named in another case", "get-aws-credentials", `{"ROLE_ARN":"x"}`, "no argument"},
		{"argument name with a path in it", "get-aws-credentials", `{"role_arn.type":"x"}`, "no argument"},
		{"owner is no name", "get-github-token", `{"owner":"a/b"}`, "owner must be"},
		{"repositories is a text", "get-github-token", `{"owner":"acme","repositories":"web"}`, "list of strings"},
		{"repositories holds a number", "get-github-token", `{"owner":"acme","repositories":[1]}`, "list of strings"},
		{"repositories is empty", "get-github-token", `{"owner":"acme","repositories":[]}`, "repositories is empty"},
		{"repository of another owner", "get-github-token", `{"owner":"acme","repositories":["evil/web"]}`, "one owner"},
		{"repository that climbs", "get-github-token", `{"owner":"acme","repositories":[".."]}`, "repositories must be"},
		{"more names than Vouch takes", "get-github-token", `{"owner":"acme","repositories":["` + longNames(100) + `"]}`, "name fewer"},
		{"repository without owner", "get-github-token", `{"repositories":["web"]}`, "argument owner"},
		{"no key", "get-ssh-certificate", `{}`, "public_key must be"},
		{"two keys", "get-ssh-certificate", `{"public_key":"` + sshKey + `\n` + sshKey + `"}`, "one key at a time"},
		{"options", "get-ssh-certificate", `{"public_key":"command=\"x\" ` + sshKey + `"}`, "without the options"},
		{"private key", "get-ssh-certificate", `{"public_key":"` + pemSecret + `"}`, "private key, and it was not sent anywhere"},
		{"private key without its frame", "get-ssh-certificate", `{"public_key":"` + aSecret + `"}`, "private key"},
		{"private key behind a public one", "get-ssh-certificate", `{"public_key":"` + sshKey + ` ` + pemSecret + `"}`, "private key"},
		{"private key as a name", "get-ssh-certificate", `{"` + pemSecret + `":1}`, "no argument of that name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(b.Vouch.Counts())
			requests := total(b.Vouch.Counts()) + total(b.STS.Counts())
			r := b.call(t, tt.tool, tt.arguments)
			var f struct {
				Error  string
				Status int
			}
			if err := json.Unmarshal([]byte(r.Content[0].Text), &f); err != nil || !r.IsError || f.Status != 400 || !strings.Contains(f.Error, tt.says) {
				t.Errorf("got %+v, want status 400 and %q", r, tt.says)
			}
			if strings.Contains(r.Content[0].Text, aSecret[:20]) {
				t.Error("the answer repeats the private key")
			}
			if total(b.Vouch.Counts())+total(b.STS.Counts()) != requests || len(b.Vouch.Counts()) != before {
				t.Error("a request left because of a wrong argument")
			}
			record := b.lastRecord(t)
			if record["outcome"] != "refused" || record["status"] != 400.0 {
				t.Errorf("audit: %v", record)
			}
			if line, _ := json.Marshal(record); strings.Contains(string(line), aSecret[:20]) {
				t.Error("the log repeats the private key")
			}
		})
	}
}

// longNames returns n different repository names of the greatest length, as the
// inside of a JSON list of strings.
func longNames(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%0100d", i)
	}
	return strings.Join(names, `","`)
}

func total(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// TestResults: what comes out of a good call, and what the audit says of it.
func TestResults(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	outputs := outputSchemas(t)
	tests := []struct {
		tool, arguments string
		members         []string
		target, issued  string
	}{
		{"get-aws-credentials", `{` + role + `,"duration_seconds":900.0,"region":null}`,
			[]string{"Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration", "AssumedRoleArn", "Level"}, "role_arn", "access_key_id"},
		{"get-github-token", `{"owner":"acme","repositories":["web","acme/api"]}`,
			[]string{"token", "expires_at", "expires_in", "permissions", "repositories"}, "repositories", "token_sha256"},
		{"get-ssh-certificate", `{"public_key":"` + sshKey + ` alice@laptop"}`,
			[]string{"certificate", "valid_for_seconds", "principals", "serial"}, "key_fingerprint", "certificate_serial"},
	}
	for _, tt := range tests {
		t.Run(tt.tool, func(t *testing.T) {
			r := b.call(t, tt.tool, tt.arguments)
			if r.IsError || len(r.StructuredContent) != len(tt.members) {
				t.Fatalf("result %+v", r)
			}
			for _, member := range tt.members {
				if r.StructuredContent[member] == nil {
					t.Errorf("%s is missing", member)
				}
			}
			if err := outputs[tt.tool].Validate(r.StructuredContent); err != nil {
				t.Errorf("the result breaks the output schema: %v", err)
			}
			var fromText map[string]any
			if err := json.Unmarshal([]byte(r.Content[0].Text), &fromText); err != nil || !strings.Contains(r.Content[0].Text, "\n  \"") {
				t.Errorf("the text is not indented JSON: %s", r.Content[0].Text)
			}
			record := b.lastRecord(t)
			target, _ := record["target"].(map[string]any)
			issued, _ := record["issued"].(map[string]any)
			for name, want := range map[string]any{"event": "tool_call", "outcome": "issued", "tool": tt.tool, "email": "alice@example.com"} {
				if record[name] != want {
					t.Errorf("audit: %s is %v, want %v", name, record[name], want)
				}
			}
			if target[tt.target] == nil || issued[tt.issued] == nil {
				t.Errorf("audit: target %v, want its %s; issued %v, want its %s", target, tt.target, issued, tt.issued)
			}
			for name, of := range map[string]string{"region": "get-aws-credentials", "permissions": "get-github-token"} {
				if (record[name] != nil) != (tt.tool == of) {
					t.Errorf("audit: %s is %v in a line of %s", name, record[name], tt.tool)
				}
			}
		})
	}
}

// TestSessionPolicies: what narrows a session reaches STS as it is, and nothing does
// where the published guide holds; a rule's level does elsewhere.
func TestSessionPolicies(t *testing.T) {
	narrow := "{ \"Version\": \"2012-10-17\",\n\"Statement\": [] }"
	quoted, err := json.Marshal(narrow)
	if err != nil {
		t.Fatal(err)
	}
	read := "arn:aws:iam::aws:policy/ReadOnlyAccess"
	for _, tt := range []struct{ name, policy, arguments, inline, arn, seconds string }{
		{"guide", "", `{` + role + `}`, "", "", ""},
		{"guide, narrowed", "", `{` + role + `,"policy":` + string(quoted) + `}`, narrow, "", ""},
		{"read", `{"version":1,"mode":"enforce","rules":[{"id":"r","allow":{"aws":["*:role/*"]}}]}`, `{` + role + `,"policy":` + string(quoted) + `}`, narrow, read, "3600"},
		{"view, short", `{"version":1,"mode":"enforce","rules":[{"id":"r","allow":{"aws":["*:role/*"]},"level":"view","max_seconds":900}]}`, `{` + role + `}`, "", "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", "900"},
		{"no write by the tool that looks", `{"version":1,"mode":"enforce","rules":[{"id":"r","allow":{"aws":["*:role/*"]},"level":"write"}]}`, `{` + role + `}`, "", read, "3600"},
	} {
		b := newBench(t, vouchtest.Options{}, map[string]string{"POLICY": tt.policy})
		r := b.call(t, "get-aws-credentials", tt.arguments)
		requests := b.STS.Requests("/")
		if r.IsError || len(requests) != 1 {
			t.Fatalf("%s: %+v", tt.name, r)
		}
		form, err := url.ParseQuery(string(requests[0].Body))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"Policy": tt.inline, "PolicyArns.member.1.arn": tt.arn, "PolicyArns.member.2.arn": "", "DurationSeconds": tt.seconds} {
			if got := form.Get(name); got != want {
				t.Errorf("%s: STS was asked with %s %q, want %q", tt.name, name, got, want)
			}
		}
	}
	b := newBench(t, vouchtest.Options{}, nil)
	for _, tt := range []string{`"no JSON"`, `"[]"`, `{"a":1}`, `"{\"a\":\"` + strings.Repeat("x", 2048) + `\"}"`, `"{\"a\":\"日本\"}"`} {
		if r := b.call(t, "get-aws-credentials", `{`+role+`,"policy":`+tt+`}`); !r.IsError || !strings.Contains(r.Content[0].Text, "policy must") {
			t.Errorf("%.40s: %+v", tt, r)
		}
	}
	if n := len(b.STS.Requests("/")); n != 0 {
		t.Errorf("STS was asked %d times", n)
	}
}

// TestRequestToVouch: what leaves towards Vouch, and nothing more.
func TestRequestToVouch(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	b.call(t, "get-ssh-certificate", `{"public_key":"`+sshKey+` alice@laptop"}`)
	requests := b.Vouch.Requests("/v1/credentials/ssh")
	if len(requests) != 1 || strings.Contains(string(requests[0].Body), "laptop") {
		t.Errorf("the key's comment was sent: %d requests", len(requests))
	}
	b.call(t, "get-aws-credentials", `{`+role+`}`)
	if r := b.Vouch.Requests("/v1/credentials/aws/token"); len(r) != 1 || !strings.Contains(r[0].RawQuery, "role_arn=arn%3Aaws%3Aiam") {
		t.Errorf("the role is not pinned: %d requests", len(r))
	}
	if r := b.STS.Requests("/"); len(r) != 1 || r[0].ContentLength <= 0 || !strings.Contains(string(r[0].Body), "RoleSessionName=alice%40example.com") {
		t.Errorf("request to STS: %d", len(r))
	}
}

// TestConfigurationFaults: a wrongly configured broker says so and guesses
// nothing.
func TestConfigurationFaults(t *testing.T) {
	tests := []struct {
		name string
		vars map[string]string
		says []string
	}{
		{"two faults", map[string]string{"BROKER_MODE": "x", "AWS_REGION": "x"}, []string{"BROKER_MODE", "AWS_REGION"}},
		{"half a sign-in configuration", map[string]string{"BROKER_KEY": "{secret}"}, []string{"BROKER_KEY", "VOUCH_CLIENT_ID"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, vouchtest.Options{}, tt.vars)
			for _, path := range []string{"/mcp", "/healthz", "/", "/.well-known/oauth-protected-resource/mcp"} {
				resp, err := http.Get(b.url + path)
				if err != nil {
					t.Fatal(err)
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				for _, says := range tt.says {
					if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), says) {
						t.Errorf("%s: %d %s", path, resp.StatusCode, text)
					}
				}
				if strings.Contains(string(text), "{secret}") {
					t.Errorf("%s shows a secret's value", path)
				}
			}
		})
	}
}

// TestPublicHostNeedsConfiguration: on a host that is not loopback nothing is
// derived from the request.
func TestPublicHostNeedsConfiguration(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, nil)
	req, err := http.NewRequest(http.MethodGet, b.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "broker.example"
	resp, text := exchange(t, req)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "VOUCH_AUDIENCE") || !strings.Contains(text, "BROKER_MODE") {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
}
