package broker_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/vouchtest"
)

func health(t *testing.T, url string) (told map[string]string) {
	t.Helper()
	resp, err := http.Get(url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&told); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/healthz: %d %v", resp.StatusCode, err)
	}
	return told
}

// TestFreeze: any text in FREEZE refuses every credential with it, in the call, in what
// is explained and in the log, whatever the policy says; the broker is healthy, and
// tells it.
func TestFreeze(t *testing.T) {
	b := newBench(t, vouchtest.Options{}, map[string]string{"FREEZE": "closed until Monday", "POLICY": `{"version":1,"mode":"audit","rules":[{"id":"all","allow":{"aws":["*"],"github":["*/*"],"ssh":true}}]}`})
	if told := health(t, b.url); told["freeze"] != "closed until Monday" || told["status"] != "ok" {
		t.Errorf("%v", told)
	}
	for tool, arguments := range map[string]string{
		"get-aws-credentials": `{` + role + `}`, "get-aws-write-credentials": `{` + role + `}`, "get-github-token": `{"owner":"acme","repositories":["web"]}`, "get-ssh-certificate": `{"public_key":"` + sshKey + `"}`,
	} {
		if r := b.call(t, tool, arguments); !r.IsError || !strings.Contains(r.Content[0].Text, "closed until Monday") {
			t.Errorf("%s: %+v", tool, r)
		}
		if line := b.lastRecord(t); line["decision"] != "deny" || line["rule"] != "FREEZE" || line["error"] != "closed until Monday" {
			t.Errorf("%s: logged %v", tool, line)
		}
		r := b.call(t, "explain-access", `{"tool":"`+tool+`","arguments":`+arguments+`}`)
		if told := r.StructuredContent; told["decision"] != "deny" || told["rule"] != "FREEZE" || told["reason"] != "closed until Monday" {
			t.Errorf("%s: explained %v", tool, told)
		}
	}
	if n := len(b.Vouch.Requests("/v1/credentials/ssh")) + len(b.STS.Requests("/")); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

// TestHealthNamesThePolicy by the start of the document's SHA-256, as check-policy does;
// "none" is none.
func TestHealthNamesThePolicy(t *testing.T) {
	document := `{"version":1,"mode":"enforce","rules":[{"id":"keys","allow":{"ssh":true}}]}`
	compiled, err := policy.Compile([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	for variable, want := range map[string]string{document: compiled.ID(), "none": "", "": ""} {
		told := health(t, newBench(t, vouchtest.Options{}, map[string]string{"POLICY": variable}).url)
		if id, named := told["policy"]; id != want || named != (want != "") || told["freeze"] != "" {
			t.Errorf("POLICY=%q: %v", variable, told)
		}
	}
}

// TestSignInModeWithoutAPolicy is not the guide: AWS is to look, and to change things
// takes a tool and a scope of its own.
func TestSignInModeWithoutAPolicy(t *testing.T) {
	b := newSignInBench(t)
	call := func(token, tool string) result {
		t.Helper()
		resp, text := post(t, b.url, token, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":{`+role+`}}}`)
		var answer struct{ Result result }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
		return answer.Result
	}
	writer, err := mcptest.SignIn(t.Context(), b.url+"/mcp", "aws", "aws:write")
	if err != nil {
		t.Fatal(err)
	}
	if r := call(b.signIn(t), "get-aws-credentials"); r.StructuredContent["Level"] != "read" {
		t.Errorf("%+v", r)
	}
	if r := call(b.signIn(t), "get-aws-write-credentials"); !r.IsError {
		t.Errorf("%+v", r)
	}
	if r := call(writer, "get-aws-write-credentials"); r.StructuredContent["Level"] != "write" {
		t.Errorf("%+v", r)
	}
	var narrowed []string
	for _, r := range b.STS.Requests("/") {
		form, err := url.ParseQuery(string(r.Body))
		if err != nil {
			t.Fatal(err)
		}
		narrowed = append(narrowed, form.Get("PolicyArns.member.1.arn"))
	}
	if len(narrowed) != 2 || narrowed[0] != "arn:aws:iam::aws:policy/ReadOnlyAccess" || narrowed[1] != "" {
		t.Errorf("narrowed by %q", narrowed)
	}
}
