package e2e

import (
	"encoding/json"
	"maps"
	"net/url"
	"strings"
	"testing"

	"mcp-credential-broker/broker/age/agetest"
	"mcp-credential-broker/broker/mcptest"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/broker/vouchtest/ststest"
	"mcp-credential-broker/worker/stack"
)

const privateKey = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n-----END OPENSSH PRIVATE KEY-----\n"

// ageIdentity has the form of the secret half of an age key.
const ageIdentity = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

// TestNothingSecretIsPrinted runs successes and failures, collects every secret
// that went in or came out, and looks for each in all that the Worker printed.
func TestNothingSecretIsPrinted(t *testing.T) {
	printed := &output{}
	s := start(t, stack.Config{Worker: stack.WorkerConfig{Output: printed}})
	token := s.Token()
	secrets := []string{token, privateKey[40:80], strings.Fields(publicKey)[1], "alice@laptop"}
	secrets = append(secrets, strings.Split(token, ".")...)
	calls := 0
	for _, call := range goodCalls {
		result, e := callTool(t, s, token, call.tool, call.arguments)
		if e != nil {
			t.Fatalf("%s: %+v", call.tool, e)
		}
		calls++
		for _, member := range []string{"SecretAccessKey", "SessionToken", "token", "certificate"} {
			if text, _ := result[member].(string); text != "" {
				secrets = append(secrets, text)
			}
		}
	}
	identity := agetest.NewIdentity(t)
	recipient := identity.Recipient().String()
	secrets = append(secrets, identity.String())
	for _, call := range goodCalls {
		sealed := maps.Clone(call.arguments)
		sealed["seal_to"] = recipient
		result, e := callTool(t, s, token, call.tool, sealed)
		if e != nil {
			t.Fatalf("%s: %+v", call.tool, e)
		}
		calls++
		file, _ := result["sealed"].(string)
		opened, err := agetest.Open(file, identity)
		var members map[string]any
		if err != nil || json.Unmarshal([]byte(opened), &members) != nil {
			t.Fatalf("%s: %v", call.tool, err)
		}
		outside, _ := json.Marshal(result)
		for _, member := range []string{"SecretAccessKey", "SessionToken", "token", "certificate"} {
			if text, _ := members[member].(string); text != "" {
				secrets = append(secrets, text)
				if strings.Contains(string(outside), text) {
					t.Errorf("%s: %s is outside the seal", call.tool, member)
				}
			}
		}
	}
	for _, r := range s.STS.Requests("/") {
		secrets = append(secrets, string(r.Body), webIdentityToken(t, string(r.Body)))
	}
	for _, kind := range []fault.Kind{fault.Status, fault.Garbage, fault.Cut, fault.Text401, fault.ContentType} {
		for _, tap := range []*fault.Tap{s.Vouch.Tap, s.STS.Tap} {
			path := map[bool]string{true: "/", false: "/v1/*"}[tap == s.STS.Tap]
			if err := tap.SetFault(fault.Fault{Path: path, Kind: kind}); err != nil {
				t.Fatal(err)
			}
			for _, call := range goodCalls {
				sealed := maps.Clone(call.arguments)
				sealed["seal_to"] = recipient
				for _, arguments := range []map[string]any{call.arguments, sealed} {
					callTool(t, s, token, call.tool, arguments)
					calls++
				}
			}
			tap.ClearFaults()
		}
	}
	if _, e := callTool(t, s, token, "get-ssh-certificate", map[string]any{"public_key": privateKey}); e == nil || !strings.Contains(e.Error, "private key") {
		t.Errorf("a private key: %+v", e)
	}
	callTool(t, s, token, "get-ssh-certificate", map[string]any{privateKey: "x"})
	callTool(t, s, token, "get-aws-credentials", map[string]any{"role_arn": privateKey})
	callTool(t, s, token, "get-github-token", map[string]any{"owner": privateKey, "repositories": []string{privateKey}})
	calls += 4
	for _, argument := range []string{"seal_to", "purpose", "format", "approval", ageIdentity} {
		_, e := callTool(t, s, token, "get-aws-credentials", map[string]any{"role_arn": ststest.RoleARN, argument: ageIdentity})
		if e != nil && strings.Contains(strings.ToUpper(e.Error), ageIdentity[20:]) || e == nil && argument != "approval" { // no rule asks for one here
			t.Errorf("a secret age key as %.8s: %+v", argument, e)
		}
		calls++
	}
	secrets = append(secrets, ageIdentity[20:], strings.ToLower(ageIdentity[20:]))
	for _, r := range s.Vouch.Requests(pathSSH) {
		if strings.Contains(string(r.Body), "PRIVATE KEY") {
			t.Error("a private key was sent to Vouch")
		}
	}
	for _, forged := range []string{"", token + "x", token[:len(token)-8] + "AAAAAAAA", mint(t, s, vouchtest.TokenOptions{Audience: "https://other.example"})} {
		send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer "+forged)
		secrets = append(secrets, forged)
	}

	log := printed.whole(t, s)
	for _, secret := range secrets {
		if len(secret) >= 8 && strings.Contains(log, secret) {
			t.Errorf("the Worker printed a secret that begins with %.6q", secret)
		}
	}
	for _, header := range []string{"Bearer ", "authorization", "Authorization"} {
		if strings.Contains(log, header) {
			t.Errorf("the Worker printed %q", header)
		}
	}
	checkAudit(t, log, calls)
}

// TestSignInPrintsNothingSecret does the same for sign-in mode: codes, verifiers,
// cookies, assertions, proofs, Vouch's tokens and ours.
func TestSignInPrintsNothingSecret(t *testing.T) {
	printed := &output{}
	s := start(t, stack.Config{SignIn: true, Worker: stack.WorkerConfig{Output: printed, Vars: approvalPolicy(`"approve": "touch"`)}})
	token, err := mcptest.SignIn(t.Context(), s.MCP)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{token}
	link := wantedLink(t, s, token, goodCalls[0].arguments)
	if err := s.Vouch.SetFault(fault.Fault{Path: "/oauth/revoke", Kind: fault.Status, Times: 1}); err != nil {
		t.Fatal(err)
	}
	approved := maps.Clone(goodCalls[0].arguments)
	approved["approval"] = touch(t, link)
	_, sealedLink, _ := strings.Cut(link, "r=")
	secrets = append(secrets, sealedLink, approved["approval"].(string))
	for _, call := range goodCalls {
		if call.tool == goodCalls[0].tool {
			call.arguments = approved
		}
		result, e := callTool(t, s, token, call.tool, call.arguments)
		if e != nil {
			t.Fatalf("%s: %+v", call.tool, e)
		}
		for _, member := range []string{"SecretAccessKey", "SessionToken", "token", "certificate"} {
			if text, _ := result[member].(string); text != "" {
				secrets = append(secrets, text)
			}
		}
	}
	for _, path := range []string{"/oauth/par", "/oauth/token", "/oauth/revoke", pathAWS, pathGitHub, pathSSH} {
		for _, r := range s.Vouch.Requests(path) {
			secrets = append(secrets, strings.Fields(r.Header.Get("Authorization"))...)
			secrets = append(secrets, r.Header.Get("DPoP"), r.Header.Get("Signature"))
			form, err := url.ParseQuery(string(r.Body))
			if err != nil {
				continue // JSON
			}
			for _, name := range []string{"client_assertion", "code", "code_verifier", "token"} {
				secrets = append(secrets, form.Get(name))
			}
		}
	}
	send(t, "POST", s.MCP, ping, jsonType, "Authorization: Bearer "+token[:len(token)-4]+"AAAA")
	log := printed.whole(t, s)
	found := 0
	for _, secret := range secrets {
		if len(secret) < 16 {
			continue
		}
		if found++; strings.Contains(log, secret) {
			t.Errorf("the Worker printed a secret that begins with %.6q", secret)
		}
	}
	if found < 20 {
		t.Errorf("only %d secrets were looked for, want 20", found)
	}
	for _, want := range []string{`"event":"sign_in"`, `"event":"token_refused"`, "the extra token could not be revoked"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log of %d bytes has no %s", len(log), want)
		}
	}
}

func webIdentityToken(t *testing.T, form string) string {
	_, after, ok := strings.Cut(form, "WebIdentityToken=")
	if !ok {
		t.Fatal("the form sent to STS has no WebIdentityToken")
	}
	token, _, _ := strings.Cut(after, "&")
	return token
}

// checkAudit: one JSON line for each call, with who, what and how it ended.
func checkAudit(t *testing.T, log string, calls int) {
	t.Helper()
	issued := map[string]bool{}
	lines := 0
	for _, line := range strings.Split(log, "\n") {
		if !strings.Contains(line, `"event":"tool_call"`) {
			continue
		}
		lines++
		var record struct {
			Time, Sub, Email, Tool, Outcome string
			RequestID                       string `json:"request_id"`
			ClientID                        string `json:"client_id"`
			Status                          int
			Issued                          map[string]string
			Hops                            []struct {
				To string
				Ms *int
			}
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("audit line is no JSON: %s", line)
			continue
		}
		for name, value := range map[string]string{"time": record.Time, "sub": record.Sub, "request_id": record.RequestID,
			"client_id": record.ClientID, "tool": record.Tool, "outcome": record.Outcome} {
			if value == "" {
				t.Errorf("audit line has no %s: %s", name, line)
			}
		}
		if record.Status == 0 {
			t.Errorf("audit line has no status: %s", line)
		}
		if record.Outcome == "issued" {
			if len(record.Issued) != 1 || len(record.Hops) == 0 {
				t.Errorf("audit line does not say what was issued: %s", line)
			}
			issued[record.Tool] = true
		}
	}
	if lines != calls || len(issued) != len(goodCalls) {
		t.Errorf("%d audit lines for %d calls, issued by %v", lines, calls, issued)
	}
}
