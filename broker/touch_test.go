package broker_test

import (
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

// needsTouch is a policy under which GitHub tokens of acme cost a touch.
const needsTouch = `{"version": 1, "mode": "enforce", "rules": [{"id": "careful", "allow": {"github": ["acme/*"]}, "approve": "touch"}]}`

// wantLink calls without a code, and returns the link of the refusal.
func (b *signInBench) wantLink(t *testing.T, token string) string {
	t.Helper()
	status, _, text := b.call(t, token)
	var answer struct{ Result result }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusOK || answer.Result.failure().Link == "" {
		t.Fatalf("no link: %d %s", status, text)
	}
	return answer.Result.failure().Link
}

// TestOldBrowserSessionApprovesNothing: whoever drives the person's browser, signed in
// at Vouch an hour ago, approves nothing without the key, whatever this Vouch makes of
// what it is asked. Each time the extra token is revoked, once.
func TestOldBrowserSessionApprovesNothing(t *testing.T) {
	for _, tt := range withoutTheKey {
		t.Run(tt.name, func(t *testing.T) {
			b := newSignInBench(t)
			b.vars = map[string]string{"POLICY": needsTouch}
			b.use(t, b.keys[0], "")
			token := b.signIn(t)
			jar, _ := cookiejar.New(nil)
			if code, err := mcptest.TouchIn(t.Context(), jar, b.wantLink(t, token)); err != nil || code == "" {
				t.Fatalf("the first approval: %v", err)
			}
			b.ahead.Store(int64(time.Hour))
			link := b.wantLink(t, token)
			revoked := b.Vouch.Count("/oauth/revoke")
			tt.hook(b.Vouch)
			code, err := mcptest.TouchIn(t.Context(), jar, link)
			if (code != "") != tt.ok || (err == nil) != tt.ok {
				t.Errorf("code %q, %v", code, err)
			}
			pushed := b.Vouch.Requests("/oauth/par")
			form, err := url.ParseQuery(string(pushed[len(pushed)-1].Body))
			if err != nil || form.Get("prompt") != "login" || form.Get("max_age") != "0" {
				t.Errorf("pushed prompt %q, max_age %q, %v", form.Get("prompt"), form.Get("max_age"), err)
			}
			if n := b.Vouch.Count("/oauth/revoke") - revoked; n != 1 {
				t.Errorf("%d revocations at Vouch", n)
			}
			lines := *b.lines.Load()
			if last := lines[len(lines)-1]; strings.Contains(last, `"decision":"approved"`) != tt.ok || !strings.Contains(last, `"event":"approval"`) {
				t.Errorf("logged %s", last)
			}
		})
	}
}

// TestFailedRevocationIsLogged: the extra token of an approval stays alive at a Vouch
// that does not answer. The person did approve, and the operator is told.
func TestFailedRevocationIsLogged(t *testing.T) {
	b := newSignInBench(t)
	b.vars = map[string]string{"POLICY": needsTouch}
	b.use(t, b.keys[0], "")
	link := b.wantLink(t, b.signIn(t))
	if err := b.Vouch.SetFault(fault.Fault{Path: "/oauth/revoke", Kind: fault.Status, Status: 503}); err != nil {
		t.Fatal(err)
	}
	if code, err := mcptest.Touch(t.Context(), link); err != nil || code == "" {
		t.Errorf("no code: %v", err)
	}
	lines := *b.lines.Load()
	if last := lines[len(lines)-1]; !strings.Contains(last, `"decision":"approved"`) || !strings.Contains(last, "the extra token could not be revoked") {
		t.Errorf("logged %s", last)
	}
}

// TestRelayModeCannotApprove: it has no key to make codes with. What a rule wants
// approved is refused with a sentence that says so, whatever comes as a code or as the
// answer to a question, and nobody is asked.
func TestRelayModeCannotApprove(t *testing.T) {
	for _, approve := range []string{`"approve": "touch"`, `"approve": "ask"`, `"approve": "touch", "approvers": ["carol@example.com"]`, `"approve": "touch", "delivery": "sealed"`} {
		b := newBench(t, vouchtest.Options{}, map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [
			{"id": "careful", "allow": {"github": ["acme/*"]}, ` + approve + `}, {"id": "ssh", "allow": {"ssh": true}}]}`})
		if r := b.call(t, "get-ssh-certificate", `{"public_key":"`+sshKey+`"}`); r.IsError {
			t.Fatalf("%s: the rule beside it: %+v", approve, r)
		}
		before := total(b.Vouch.Counts())
		for _, more := range []string{``, `,"approval":"ABCD-EFGH-IJKL-MNOP"`, `,"seal_to":"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"`} {
			r := b.call(t, "get-github-token", `{"owner":"acme"`+more+`}`)
			f := r.failure()
			if f.Status != 403 || f.Link != "" {
				t.Errorf("%s%s: status %d with the link %q, want 403 without", approve, more, f.Status, f.Link)
			}
			if !strings.Contains(f.Error, "relay mode") || !strings.Contains(f.Error, "operator") {
				t.Errorf("%s%s: %q does not say that it is relay mode, and who can change that", approve, more, f.Error)
			}
			if record := b.lastRecord(t); record["decision"] != "deny" || record["rule"] != "careful" || record["outcome"] != "refused" {
				t.Errorf("%s%s: logged %v", approve, more, record)
			}
		}
		explained := b.call(t, "explain-access", `{"tool":"get-github-token","arguments":{"owner":"acme"}}`).StructuredContent
		if reason, _ := explained["reason"].(string); explained["decision"] != "deny" || explained["rule"] != "careful" || !strings.Contains(reason, "relay mode") {
			t.Errorf("%s: explained %v", approve, explained)
		}
		if n := total(b.Vouch.Counts()) - before; n != 0 {
			t.Errorf("%s: %d requests left", approve, n)
		}
	}
}

// TestTheSameCallOnTheWire: one code, and the call as clients may write it again. What a
// JSON library does to it makes no other call of it; what a tool reads does.
func TestTheSameCallOnTheWire(t *testing.T) {
	b := newSignInBench(t)
	b.vars = map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [{"id": "careful", "allow": {"aws": ["` + ststest.RoleARN + `"], "github": ["acme/*"]}, "approve": "touch"}]}`}
	b.use(t, b.keys[0], "")
	token := b.signIn(t)
	call := func(tool, arguments string) result {
		t.Helper()
		var r result
		if err := json.Unmarshal([]byte(b.rpc(t, token, "tools/call", `{"name":"`+tool+`","arguments":`+arguments+`}`).Raw), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	escaped := strings.ReplaceAll(ststest.RoleARN, "/", `\/`)
	for _, tt := range []struct {
		tool, asked     string
		same, different []string // CODE stands for the code
	}{
		{"get-aws-credentials", `{` + role + `,"duration_seconds":900,"purpose":"mend the site"}`,
			[]string{
				`{"purpose":"mend the site","approval":"CODE","duration_seconds":900,` + role + `}`,
				"{\n  \"approval\" : \"CODE\",\n  \"role_arn\" : \"" + escaped + "\",\r\n\t\"duration_seconds\" : 9e2, \"purpose\": \"mend the \\u0073ite\" }",
				`{` + role + `,"duration_seconds":900.0,"purpose":"mend the site","region":null,"approval":"CODE"}`,
				`"{\"purpose\":\"mend the site\",\"approval\":\"CODE\",\"duration_seconds\":9e2,` + strings.ReplaceAll(role, `"`, `\"`) + `}"`,
				`{` + role + `,"duration_seconds":900,"purpose":"mend the site","approval":"CODE","task_progress":"- [x] asked","toolCallId":"call_1"}`,
				`{` + role + `,"duration_seconds":900,"purpose":"mend the site","approval":"CODE","seal_to":"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"}`,
			}, []string{
				`{` + role + `,"duration_seconds":901,"purpose":"mend the site","approval":"CODE"}`,
				`{` + role + `,"duration_seconds":900,"purpose":"mend the site ","approval":"CODE"}`,
				`{` + role + `,"duration_seconds":900,"approval":"CODE"}`,
				`{` + role + `,"duration_seconds":900,"purpose":"mend the site","format":"env","approval":"CODE"}`,
			}},
		{"get-github-token", `{"owner":"acme","repositories":["web","api"]}`,
			[]string{`{"repositories" : ["web", "api"],"approval":"CODE","owner":"acme"}`},
			[]string{
				`{"owner":"acme","repositories":["web"],"approval":"CODE"}`,
				`{"owner":"acme","repositories":["api","web"],"approval":"CODE"}`,
				`{"owner":"acme","repositories":["web","api","docs"],"approval":"CODE"}`,
				`{"owner":"acme","approval":"CODE"}`,
			}},
	} {
		refused := call(tt.tool, tt.asked).failure()
		if refused.Link == "" {
			t.Fatalf("%s: %+v", tt.tool, refused)
		}
		code, err := mcptest.Touch(t.Context(), refused.Link)
		if err != nil {
			t.Fatal(err)
		}
		for _, arguments := range tt.same {
			if r := call(tt.tool, strings.ReplaceAll(arguments, "CODE", code)); r.IsError {
				t.Errorf("%s %s: %s", tt.tool, arguments, r.failure().Error)
			}
		}
		for _, arguments := range tt.different {
			if f := call(tt.tool, strings.ReplaceAll(arguments, "CODE", code)).failure(); f.Status != 403 || f.Link == "" {
				t.Errorf("%s %s: %+v", tt.tool, arguments, f)
			}
		}
	}
}
