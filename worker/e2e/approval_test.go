package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mcp-credential-broker/broker/age/agetest"
	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/stack"
)

var update = flag.Bool("update", false, "write the pictures in docs anew")

// carol is somebody else than vouchtest.DefaultPerson.
var carol = vouchtest.Person{Subject: "0192f0c1-7a6b-7d30-9c11-ca701ca701ca", Email: "carol@example.com", Domain: "example.com", HardwareVerified: true}

// approvalPolicy wants an approval for the AWS role, which members describe.
func approvalPolicy(members string) map[string]string {
	return map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [
		{"id": "ops-change", "allow": {"aws": ["` + ststest.RoleARN + `"]}, ` + members + `},
		{"id": "everyone", "allow": {"github": ["acme/*"], "ssh": true}}]}`}
}

// startApproval starts a stack with that policy, and signs in.
func startApproval(t *testing.T, members string) (s *stack.Stack, token string, printed *output) {
	t.Helper()
	printed = &output{}
	s = start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Vars: approvalPolicy(members), Output: printed}})
	token, err := mcptest.SignIn(t.Context(), s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	return s, token, printed
}

func awsArguments(more ...string) map[string]any {
	arguments := map[string]any{"role_arn": ststest.RoleARN, "duration_seconds": 900, "purpose": "mend the site"}
	for i := 0; i < len(more); i += 2 {
		arguments[more[i]] = more[i+1]
	}
	return arguments
}

// wantedLink calls and returns the link of the refusal.
func wantedLink(t *testing.T, s *stack.Stack, token string, arguments map[string]any) string {
	t.Helper()
	_, e := callTool(t, s, token, "get-aws-credentials", arguments)
	if e == nil || e.Status != 403 || !strings.HasPrefix(e.Link, s.Worker.URL+"/approve?r=") || !strings.Contains(e.Error, e.Link) {
		t.Fatalf("no link: %+v", e)
	}
	return e.Link
}

// touch opens a link as the person does, and returns the code.
func touch(t *testing.T, link string) string {
	t.Helper()
	code, err := mcptest.Touch(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// lines waits for n audit lines of an event, which come by a pipe, and returns them.
func (o *output) lines(t *testing.T, event string, n int) (lines []map[string]any) {
	t.Helper()
	waitUntil(t, "the audit lines", func() bool {
		lines = nil
		for line := range strings.SplitSeq(o.String(), "\n") {
			var members map[string]any
			if json.Unmarshal([]byte(line), &members) == nil && members["event"] == event {
				lines = append(lines, members)
			}
		}
		return len(lines) >= n
	})
	return lines
}

// wantLines compares lines of the log with the members that each is to have.
func wantLines(t *testing.T, got, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d lines were logged, want %d: %v", len(got), len(want), got)
	}
	for i, members := range want {
		for name, value := range members {
			if got[i][name] != value {
				t.Errorf("line %d: %s is %v, want %v", i+1, name, got[i][name], value)
			}
		}
	}
}

// TestTouchToGrant: link, page, Vouch's ceremony, code, the same call again. The
// extra token is revoked, and nothing of the link is logged.
func TestTouchToGrant(t *testing.T) {
	s, token, printed := startApproval(t, `"approve": "touch"`)
	link := wantedLink(t, s, token, awsArguments())
	paths := []string{"/oauth/par", "/oauth/token", "/oauth/revoke"}
	before := map[string]int{}
	for _, path := range paths {
		before[path] = len(s.Vouch.Requests(path))
	}
	code := touch(t, link)
	for _, path := range paths { // what docs/security.md says that an approval costs
		if n := len(s.Vouch.Requests(path)) - before[path]; n != 1 {
			t.Errorf("%d requests for %s, want one", n, path)
		}
	}
	result, e := callTool(t, s, token, "get-aws-credentials", awsArguments("approval", code))
	if e != nil || result["AccessKeyId"] == "" {
		t.Fatalf("with the code: %+v", e)
	}
	for _, arguments := range []map[string]any{awsArguments("approval", code, "purpose", "break the site"), awsArguments("approval", code, "format", "env"), awsArguments("approval", "ABCD-EFGH-IJKL-MNOP")} {
		if _, e := callTool(t, s, token, "get-aws-credentials", arguments); e == nil || e.Link == "" {
			t.Errorf("%v: %+v", arguments, e)
		}
	}
	other, err := mcptest.SignIn(t.Context(), s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	if _, e := callTool(t, s, other, "get-aws-credentials", awsArguments("approval", code)); e != nil {
		t.Errorf("the same person by the same client: %+v", e)
	}
	sub := vouchtest.DefaultPerson().Subject
	wantLines(t, printed.lines(t, "approval", 1), []map[string]any{
		{"decision": "approved", "approved_by": sub, "requester": sub, "tool": "get-aws-credentials", "rule": "ops-change"},
	})
	wantLines(t, printed.lines(t, "tool_call", 6), []map[string]any{
		{"decision": "approval_wanted"},
		{"decision": "allow", "approved_by": sub},
		{"decision": "approval_wanted"},
		{"decision": "approval_wanted"},
		{"decision": "approval_wanted"},
		{"decision": "allow", "approved_by": sub},
	})
	if printed := printed.whole(t, s); strings.Contains(printed, "/approve?r=") || strings.Contains(printed, code) {
		t.Error("the link or the code is in the log")
	}
}

// TestPolicyIsShipped: the file that was there when the Worker was built decides, and
// the variable takes its place.
func TestPolicyIsShipped(t *testing.T) {
	root, err := stack.Root()
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(t.TempDir(), "build")
	if err := os.CopyFS(folder, os.DirFS(filepath.Join(root, "build"))); err != nil {
		t.Fatal(err)
	}
	document := approvalPolicy(`"approve": "touch"`)["POLICY"]
	if err := os.WriteFile(filepath.Join(folder, "policy.txt"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(document))
	id := fmt.Sprintf(`"policy":"%x"`, sum[:6])
	for variable, shipped := range map[string]bool{"": true, "none": false} {
		s := start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Entry: filepath.Join(folder, "worker.mjs"), Vars: map[string]string{"POLICY": variable}}})
		if health := send(t, "GET", s.Worker.URL+"/healthz", ""); health.status != 200 || strings.Contains(health.body, id) != shipped {
			t.Errorf("POLICY=%q: %d %s, want %s: %v", variable, health.status, health.body, id, shipped)
		}
	}
}

// TestTouchBySomebodyElse: neither the requester where others approve, nor others
// where the requester does.
func TestTouchBySomebodyElse(t *testing.T) {
	s, token, printed := startApproval(t, `"approve": "touch", "approvers": ["carol@example.com"]`)
	link := wantedLink(t, s, token, awsArguments())
	if code, err := mcptest.Touch(t.Context(), link); err == nil {
		t.Errorf("the requester approved: %s", code)
	}
	s.Vouch.ActAs(carol)
	code := touch(t, link)
	s.Vouch.ActAs(vouchtest.DefaultPerson())
	if _, e := callTool(t, s, token, "get-aws-credentials", awsArguments("approval", code)); e != nil {
		t.Errorf("with the approver's code: %+v", e)
	}
	wantLines(t, printed.lines(t, "approval", 2), []map[string]any{
		{"decision": "deny"},
		{"decision": "approved", "sub": carol.Subject, "approved_by": "carol@example.com"},
	})

	alone, token, _ := startApproval(t, `"approve": "touch"`)
	link = wantedLink(t, alone, token, awsArguments())
	alone.Vouch.ActAs(carol)
	if code, err := mcptest.Touch(t.Context(), link); err == nil {
		t.Errorf("somebody else approved: %s", code)
	}
}

// TestOldSessionApprovesNothing: a Vouch that lets a browser pass on its session, or
// does not say when the key was touched, approves nothing.
func TestOldSessionApprovesNothing(t *testing.T) {
	s, token, _ := startApproval(t, `"approve": "touch"`)
	link := wantedLink(t, s, token, awsArguments())
	s.Vouch.OmitAuthTime(true)
	if code, err := mcptest.Touch(t.Context(), link); err == nil {
		t.Errorf("approved without auth_time: %s", code)
	}
	s.Vouch.OmitAuthTime(false)
	s.Vouch.RefuseHardware(true)
	if code, err := mcptest.Touch(t.Context(), link); err == nil {
		t.Errorf("approved without a key: %s", code)
	}
	s.Vouch.RefuseHardware(false)
	touch(t, link)
}

// TestSealedInWorkerd: the age file of the Worker opens, and holds what would have
// been the answer; nothing else that leaves does.
func TestSealedInWorkerd(t *testing.T) {
	identity := agetest.NewIdentity(t)
	recipient := identity.Recipient().String()
	s, token, printed := startApproval(t, `"delivery": "sealed", "recipients": ["`+recipient+`"]`)
	stranger := agetest.NewIdentity(t)
	for name, arguments := range map[string]map[string]any{"unsealed": awsArguments(), "to somebody else": awsArguments("seal_to", stranger.Recipient().String())} {
		if _, e := callTool(t, s, token, "get-aws-credentials", arguments); e == nil || e.Status != 403 || !strings.Contains(e.Error, "seal_to") {
			t.Errorf("%s: %+v", name, e)
		}
	}
	var secrets []string
	for _, call := range []struct {
		tool, format, holds string
		arguments           map[string]any
	}{
		{"get-aws-credentials", "json", `"SecretAccessKey": "`, awsArguments()},
		{"get-aws-credentials", "ini", "aws_secret_access_key = ", awsArguments()},
		{"get-github-token", "git-credential", "password=gh", map[string]any{"owner": "acme", "repositories": []string{"web"}}},
		{"get-ssh-certificate", "file", "ssh-ed25519-cert-v01@openssh.com ", map[string]any{"public_key": publicKey}},
	} {
		call.arguments["seal_to"], call.arguments["format"] = recipient, call.format
		result, e := callTool(t, s, token, call.tool, call.arguments)
		if e != nil {
			t.Fatalf("%s: %+v", call.tool, e)
		}
		file, _ := result["sealed"].(string)
		opened, err := agetest.Open(file, identity)
		if byProgram, programErr := agetest.OpenByProgram(t, file, identity); programErr != nil || byProgram != opened {
			t.Errorf("%s as %s: age opens %d bytes of it, %v", call.tool, call.format, len(byProgram), programErr)
		}
		if err != nil || !strings.Contains(opened, call.holds) {
			t.Errorf("%s as %s: %v, %d bytes", call.tool, call.format, err, len(opened))
		}
		everything, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.FieldsFunc(opened, func(r rune) bool { return strings.ContainsRune(" \n\",='", r) }) {
			isReference := strings.HasPrefix(line, "ASIA") || len(line) < 24 || strings.Contains(line, "arn:")
			if isReference {
				continue
			}
			secrets = append(secrets, line)
			if bytes.Contains(everything, []byte(line)) {
				t.Errorf("%s as %s: %.6q... is outside the seal", call.tool, call.format, line)
			}
		}
		if result["sealed_to"] != recipient {
			t.Errorf("%s: sealed to %v", call.tool, result["sealed_to"])
		}
	}
	lines, log := printed.lines(t, "tool_call", 6), printed.whole(t, s)
	issued := 0
	for _, secret := range secrets {
		if strings.Contains(log, secret) {
			t.Errorf("%.6q... is in the log", secret)
		}
	}
	if len(secrets) < 6 {
		t.Errorf("only %d secrets were looked for", len(secrets))
	}
	for _, line := range lines {
		if line["outcome"] == "issued" {
			issued++
			if line["sealed_to"] != recipient {
				t.Errorf("logged %v", line)
			}
		}
	}
	if issued != 4 {
		t.Errorf("%d credentials were logged", issued)
	}
}

// TestRelayModeSealsAndApprovesNothing: a seal needs no key of the broker's. An approval
// does: what a rule wants approved is refused with a sentence, and nobody is asked.
func TestRelayModeSealsAndApprovesNothing(t *testing.T) {
	identity := agetest.NewIdentity(t)
	recipient := identity.Recipient().String()
	printed := &output{}
	s := start(t, stack.Config{Worker: stack.WorkerConfig{Output: printed, Vars: map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [
		{"id": "touch", "allow": {"aws": ["` + ststest.RoleARN + `"]}, "approve": "touch"},
		{"id": "ask", "allow": {"ssh": true}, "approve": "ask", "delivery": "sealed"},
		{"id": "sealed", "allow": {"github": ["acme/*"]}, "delivery": "sealed", "recipients": ["` + recipient + `"]}]}`}}})
	token := s.Token()
	github := func(more ...string) map[string]any {
		arguments := map[string]any{"owner": "acme", "repositories": []string{"web"}, "format": "git-credential"}
		for i := 0; i < len(more); i += 2 {
			arguments[more[i]] = more[i+1]
		}
		return arguments
	}
	if _, e := callTool(t, s, token, "get-github-token", github()); e == nil || e.Status != 403 || !strings.Contains(e.Error, "seal_to") {
		t.Errorf("unsealed: %+v", e)
	}
	result, e := callTool(t, s, token, "get-github-token", github("seal_to", recipient))
	if e != nil {
		t.Fatalf("sealed: %+v", e)
	}
	file, _ := result["sealed"].(string)
	opened, err := agetest.Open(file, identity)
	_, password, _ := strings.Cut(opened, "password=")
	password, _, _ = strings.Cut(password, "\n")
	if err != nil || len(password) < 20 {
		t.Fatalf("sealed: %v, %d bytes", err, len(opened))
	}
	if text, _ := json.Marshal(result); bytes.Contains(text, []byte(password)) || strings.Contains(printed.whole(t, s), password) {
		t.Error("the token is outside the seal")
	}
	before := len(s.Vouch.Requests("/v1/*")) + s.Vouch.Count(pathAWS) + s.Vouch.Count(pathSSH)
	for _, call := range []struct {
		tool      string
		arguments map[string]any
	}{
		{"get-aws-credentials", awsArguments()},
		{"get-aws-credentials", awsArguments("approval", "ABCD-EFGH-IJKL-MNOP")},
		{"get-aws-credentials", awsArguments("seal_to", recipient)},
		{"get-ssh-certificate", map[string]any{"public_key": publicKey}},
		{"get-ssh-certificate", map[string]any{"public_key": publicKey, "seal_to": recipient}},
	} {
		if _, e := callTool(t, s, token, call.tool, call.arguments); e == nil || e.Status != 403 || e.Link != "" || !strings.Contains(e.Error, "relay mode") {
			t.Errorf("%s %v: %+v", call.tool, call.arguments, e)
		}
	}
	if n := len(s.Vouch.Requests("/v1/*")) + s.Vouch.Count(pathAWS) + s.Vouch.Count(pathSSH) - before; n != 0 {
		t.Errorf("%d requests left", n)
	}
	if page := send(t, "GET", s.Worker.URL+"/approve?r=x", ""); page.status == 200 {
		t.Errorf("there is a page of approvals: %s", page.body)
	}
}

// TestBrowserApproval: a person approves with a real browser that runs no JavaScript.
func TestBrowserApproval(t *testing.T) {
	b := startChromium(t)
	s, token, _ := startApproval(t, `"approve": "touch"`)
	link := wantedLink(t, s, token, awsArguments())

	t.Run("approve", func(t *testing.T) {
		p := b.open(t, b.profile(t))
		p.visit(link)
		p.look("approval", 0)
		p.picture("approval")
		p.waitFor(func() { p.click(allowButton) })
		p.look("approved", 0)
		p.picture("approved")
		var code string
		p.eval(`document.querySelector('.code').innerText`, &code)
		if _, e := callTool(t, s, token, "get-aws-credentials", awsArguments("approval", strings.TrimSpace(code))); e != nil {
			t.Errorf("with %s: %+v", code, e)
		}
		if got := p.origins(); len(got) != 2 || got[0] != s.Worker.URL || got[1] != s.VouchURL {
			t.Errorf("requests went to %q", got)
		}
		p.checkQuiet()
	})
	t.Run("refuse", func(t *testing.T) {
		p := b.open(t, b.profile(t))
		p.visit(link)
		p.waitFor(func() { p.click(refuseButton) })
		p.look("refused", 0)
		if got := p.origins(); len(got) != 1 {
			t.Errorf("requests went to %q", got)
		}
		p.checkQuiet()
	})
	t.Run("somebody else", func(t *testing.T) {
		s.Vouch.ActAs(carol)
		defer s.Vouch.ActAs(vouchtest.DefaultPerson())
		p := b.open(t, b.profile(t))
		p.visit(link)
		p.waitFor(func() { p.click(allowButton) })
		p.look("not-yours", 0)
		var text string
		p.eval(`document.body.innerText`, &text)
		if !strings.Contains(text, "somebody else signed in") {
			t.Errorf("the page says %s", text)
		}
	})
	t.Run("hostile text", func(t *testing.T) {
		s := start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Vars: map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [
			{"id": "others", "allow": {"aws": ["arn:aws:iam::123456789012:role/*"]}, "approve": "touch", "approvers": ["carol@example.com"]}]}`}}})
		token, err := mcptest.SignIn(t.Context(), s.MCP)
		if err != nil {
			t.Fatal(err)
		}
		purpose := `</bdi></dd><script>alert(1)</script><button name=decision value=allow>Refuse</button>` + strings.Repeat("W", 20) + " \u05d0\u05d1\u05d2"
		link := wantedLink(t, s, token, map[string]any{"role_arn": "arn:aws:iam::123456789012:role/" + strings.Repeat("long-path/", 30) + "name", "purpose": purpose})
		p := b.open(t, b.profile(t))
		p.visit(link)
		p.look("approval-hostile", 0)
		var page struct {
			Text    string
			Buttons int
		}
		p.eval(`({text: document.body.innerText, buttons: document.querySelectorAll('button:not([hidden])').length})`, &page)
		if page.Buttons != 2 || !strings.Contains(page.Text, purpose) || !strings.Contains(page.Text, "Somebody else asks for it") {
			t.Errorf("%d buttons, the page says %s", page.Buttons, page.Text)
		}
		p.checkQuiet()
	})
	t.Run("Enter at the first button refuses", func(t *testing.T) {
		p := b.open(t, b.profile(t))
		p.visit(link)
		p.key("Tab", 9, "")
		p.waitFor(func() { p.key("Enter", 13, "\r") })
		if got := p.origins(); len(got) != 1 {
			t.Errorf("requests went to %q", got)
		}
	})
}

// picture keeps a picture of the page for the docs, as a phone shows it.
func (p *tab) picture(name string) {
	p.t.Helper()
	if !*update {
		return
	}
	root, err := stack.Root()
	if err != nil {
		p.t.Fatal(err)
	}
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": 420, "height": 720, "deviceScaleFactor": 1, "mobile": true}, nil)
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "light"}}}, nil)
	var shot struct{ Data []byte }
	p.do("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(filepath.Join(root, "docs", name+".png"), shot.Data, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// TestRealClientsApprove: the TypeScript clients as the agent. One that can ask its
// person is asked in the modern era; all others get the link, and so does one that
// says no by itself.
func TestRealClientsApprove(t *testing.T) {
	installClients(t)
	stacks := map[string]*stack.Stack{}
	for _, approve := range []string{"touch", "ask"} {
		stacks[approve] = start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Vars: approvalPolicy(`"approve": "` + approve + `"`)}})
	}
	modern := map[string]string{"pin": "2026-07-28"}
	answer := func(action string, approve bool) map[string]any {
		return map[string]any{"action": action, "content": map[string]bool{"approve": approve}}
	}
	for _, tt := range []struct {
		name, script, approve string
		run                   clientRun
		asked                 int
		refusals              int // with a link, before the credential
	}{
		{"v1, touch", "v1.mjs", "touch", clientRun{Touch: true}, 0, 1},
		{"v1, ask", "v1.mjs", "ask", clientRun{Touch: true}, 0, 1},
		{"v2 legacy, touch", "v2.mjs", "touch", clientRun{Touch: true, Mode: "legacy"}, 0, 1},
		{"v2 legacy, ask", "v2.mjs", "ask", clientRun{Touch: true, Mode: "legacy", Answer: answer("accept", true)}, 0, 1},
		{"v2 modern, touch", "v2.mjs", "touch", clientRun{Touch: true, Mode: modern, Answer: answer("accept", true)}, 0, 1},
		{"v2 modern, ask", "v2.mjs", "ask", clientRun{Mode: modern, Answer: answer("accept", true)}, 1, 0},
		{"v2 modern, ask a client that cannot", "v2.mjs", "ask", clientRun{Touch: true, Mode: modern}, 0, 1},
		{"v2 modern, ask and no", "v2.mjs", "ask", clientRun{Touch: true, Mode: modern, Answer: answer("accept", false)}, 1, 1},
		{"v2 modern, ask and decline", "v2.mjs", "ask", clientRun{Touch: true, Mode: modern, Answer: map[string]any{"action": "decline"}}, 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.run.MCP, tt.run.Home, tt.run.Tick = stacks[tt.approve].MCP, t.TempDir(), []string{"aws"}
			tt.run.Calls = []clientCall{{"get-aws-credentials", awsArguments()}}
			report := runClient(t, tt.script, tt.run)
			if len(report.Results) != tt.refusals+1 || len(report.Asked) != tt.asked {
				t.Fatalf("%d results, asked %q", len(report.Results), report.Asked)
			}
			for i, result := range report.Results {
				if last := i == tt.refusals; result.IsError == last || last && result.StructuredContent["AccessKeyId"] == nil {
					t.Errorf("result %d: %+v", i, result)
				}
			}
			for _, question := range report.Asked {
				if !strings.Contains(question, ststest.RoleARN) || !strings.Contains(question, "mend the site") {
					t.Errorf("the person was asked %q", question)
				}
			}
		})
	}
}
