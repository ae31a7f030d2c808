package policy

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

const (
	goodRecipient  = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	otherRecipient = "age1lggyhqrw2nlhcxprm67z43rta597azn8gknawjehu9d9dl0jq3yqqvfafg"
)

// rules is a document of these rules, one a line from line 2 on.
func rules(lines ...string) string {
	return "{\"version\": 1, \"rules\": [\n" + strings.Join(lines, ",\n") + "]}"
}

func mustCompile(t *testing.T, document string) *Policy {
	t.Helper()
	p, err := Compile([]byte(document))
	if err != nil {
		t.Fatalf("%s\nis invalid: %v", document, err)
	}
	return p
}

// TestFaults: each document is invalid, at this place and for this reason, and
// for nothing else.
func TestFaults(t *testing.T) {
	const ssh = `{"id": "a", "allow": {"ssh": true}}`
	tests := []struct {
		name, document, want string
	}{
		{"empty", ``, `1:1: the document ends too early`},
		{"no JSON", `version: 1`, `1:1: no JSON value begins here`},
		{"a comment", "{\n  // hello\n}", `2:3: the name of a member must stand here`},
		{"a comma too many", `{"version": 1, "rules": [],}`, `1:28: the name of a member must stand here`},
		{"a comma too few", `{"version": 1 "rules": []}`, `1:15: a comma or a closing brace`},
		{"list without comma", `{"version": 1, "rules": [{} {}]}`, `1:29: a comma or a closing bracket`},
		{"no colon", `{"version" 1}`, `1:12: a colon must stand`},
		{"two documents", `{"version": 1, "rules": []} {}`, `1:29: there is something behind the end`},
		{"open text", `{"version": "1`, `1:13: this text has no closing quote`},
		{"bad escape", `{"version": 1, "mode": "\x", "rules": []}`, `1:25: this escape is none of JSON's`},
		{"half a surrogate pair", `{"version": 1, "$schema": "\ud800x", "rules": []}`, `1:28: this escape`},
		{"line break in a text", "{\"version\": 1, \"$schema\": \"a\nb\", \"rules\": []}", `1:29: a control character`},
		{"bad UTF-8", "{\"version\": 1, \"$schema\": \"\xff\", \"rules\": []}", `1:28: this text is not valid UTF-8`},
		{"byte order mark", "\ufeff{}", `1:1: the document begins with a byte order mark`},
		{"columns are characters", "{\"version\": 1, \"$schema\": \"äöü\", \"mode\": \"x\", \"rules\": []}", `1:42: mode must be one of enforce, audit, not "x"`},
		{"too deep", `{"version": 1, "rules": ` + strings.Repeat("[", 100_000), `1:36: values lie too deep`},
		{"too large", strings.Repeat(" ", maxDocumentBytes+1), `1:1: the document is larger`},
		{"no object", `[]`, `1:1: the document must be an object, not a list`},
		{"no rules", `{"version": 1}`, `1:1: the document lacks the member "rules"`},
		{"no version", `{"rules": []}`, `1:1: the document lacks the member "version"`},
		{"other version", `{"version": 2, "rules": []}`, `1:13: version must be a whole number from 1 to 1`},
		{"version as text", `{"version": "1", "rules": []}`, `1:13: version must be a number, not a text`},
		{"version as fraction", `{"version": 1.0, "rules": []}`, `1:13: version must be a whole number`},
		{"member twice", `{"version": 1, "version": 1, "rules": []}`, `1:16: the member "version" stands here twice`},
		{"member in capitals", `{"version": 1, "Mode": "audit", "rules": []}`, `1:16: the document has no member "Mode"`},
		{"unknown mode", `{"version": 1, "mode": "off", "rules": []}`, `1:24: mode must be one of enforce, audit, not "off"`},
		{"null", `{"version": 1, "mode": null, "rules": []}`, `1:24: mode must be a text, not null`},

		{"no id", rules(`{"allow": {"ssh": true}}`), `2:1: rule without an id: a rule lacks the member "id"`},
		{"empty id", rules(`{"id": "", "allow": {"ssh": true}}`), `2:8: rule "": an id must be`},
		{"id of the freeze", rules(`{"id": "FREEZE", "allow": {"ssh": true}}`), `2:8: rule "FREEZE": the id FREEZE`},
		{"line break in an id", rules(`{"id": "a\nb", "allow": {"ssh": true}}`), `2:8: rule "a\nb": an id must be`},
		{"same id", rules(ssh, ssh), `3:8: rule "a": another rule has this id too`},
		{"neither", rules(`{"id": "a"}`), `2:1: rule "a": it has neither allow nor deny`},
		{"both", rules(`{"id": "a", "allow": {"ssh": true}, "deny": {"ssh": true}}`), `2:45: rule "a": a rule either allows or denies`},
		{"unknown member of a rule", rules(`{"id": "a", "alow": {"ssh": true}, "allow": {"ssh": true}}`), `2:13: rule "a": a rule has no member "alow"`},
		{"unknown member of allow", rules(`{"id": "a", "allow": {"ssh": true, "gitlab": []}}`), `2:36: rule "a": allow has no member "gitlab"`},
		{"unknown member of who", rules(`{"id": "a", "allow": {"who": {"mail": ["x@y"]}, "ssh": true}}`), `2:31: rule "a": who has no member "mail"`},
		{"who as a text", rules(`{"id": "a", "allow": {"who": "bob@example.com", "ssh": true}}`), `2:30: rule "a": who must be an object, not a text`},
		{"email as a text", rules(`{"id": "a", "allow": {"who": {"email": "bob@example.com"}, "ssh": true}}`), `2:40: rule "a": email must be a list, not a text`},
		{"number among texts", rules(`{"id": "a", "allow": {"github": ["a/b", 1]}}`), `2:41: rule "a": each item of github must be a text`},
		{"ssh as a text", rules(`{"id": "a", "allow": {"ssh": "true"}}`), `2:30: rule "a": ssh must be true or false, not a text`},
		{"allows nothing", rules(`{"id": "a", "allow": {}}`), `2:22: rule "a": it allows nothing`},
		{"allows no SSH", rules(`{"id": "a", "allow": {"ssh": false}}`), `2:22: rule "a": it allows nothing`},
		{"allows an empty list", rules(`{"id": "a", "allow": {"github": []}}`), `2:33: rule "a": github is an empty list`},
		{"denies nothing", rules(`{"id": "a", "deny": {"ssh": false}}`), `2:21: rule "a": it denies nothing`},
		{"denies everything", rules(`{"id": "a", "deny": {}}`), `2:21: rule "a": it denies everything to everyone`},
		{"who of nobody", rules(`{"id": "a", "deny": {"who": {"sub": []}}}`), `2:37: rule "a": sub is an empty list`},
		{"terms of a deny", rules(`{"id": "a", "deny": {"ssh": true}, "approve": "touch"}`), `2:47: rule "a": a deny has no approve`},

		{"e-mail without @", rules(`{"id": "a", "allow": {"who": {"email": ["bob"]}, "ssh": true}}`), `2:41: rule "a": "bob" can match no e-mail`},
		{"e-mail with two", rules(`{"id": "a", "allow": {"who": {"email": ["*@b@c"]}, "ssh": true}}`), `2:41: rule "a": "*@b@c" can match no e-mail`},
		{"e-mail with a space", rules(`{"id": "a", "allow": {"who": {"email": ["* @b.c"]}, "ssh": true}}`), `2:41: rule "a": "* @b.c" can match no e-mail`},
		{"e-mail of another alphabet", rules(`{"id": "a", "allow": {"who": {"email": ["ü*@b.c"]}, "ssh": true}}`), `2:41: rule "a": "ü*@b.c" can match no e-mail`},
		{"empty sub", rules(`{"id": "a", "allow": {"who": {"sub": [""]}, "ssh": true}}`), `2:39: rule "a": an empty text matches no sub`},

		{"unknown profile", rules(`{"id": "a", "allow": {"aws": ["prod"]}}`), `2:31: rule "a": there is no profile "prod"`},
		{"glob of profiles", rules(`{"id": "a", "allow": {"aws": ["prod-*"]}}`), `2:31: rule "a": "prod-*" can match no role's ARN`},
		{"ARN of a user", rules(`{"id": "a", "allow": {"aws": ["arn:aws:iam::123456789012:user/*"]}}`), `2:31: rule "a": "arn:aws:iam::123456789012:user/*" can match no`},
		{"short account", rules(`{"id": "a", "allow": {"aws": ["arn:aws:iam::12345678901:role/*"]}}`), `2:31: rule "a": "arn:aws:iam::12345678901:role/*" can match no`},
		{"level without a glob", rules(`{"id": "a", "allow": {"ssh": true}, "level": "write"}`), `2:46: rule "a": level is for roles that ARN globs match`},
		{"max_seconds without a glob", rules(`{"id": "a", "allow": {"ssh": true}, "max_seconds": 900}`), `2:52: rule "a": max_seconds is for roles`},
		{"unknown level", rules(`{"id": "a", "allow": {"aws": ["arn:*"]}, "level": "admin"}`), `2:51: rule "a": level must be one of view, read, write, not "admin"`},
		{"too few seconds", rules(`{"id": "a", "allow": {"aws": ["arn:*"]}, "max_seconds": 899}`), `2:57: rule "a": max_seconds must be a whole number from 900 to 43200`},
		{"too many seconds", rules(`{"id": "a", "allow": {"aws": ["arn:*"]}, "max_seconds": 43201}`), `2:57: rule "a": max_seconds must be a whole number from 900`},
		{"leading zero", rules(`{"id": "a", "allow": {"aws": ["arn:*"]}, "max_seconds": 0900}`), `2:57: rule "a": max_seconds must be a whole number`},
		{"exponent", rules(`{"id": "a", "allow": {"aws": ["arn:*"]}, "max_seconds": 9e2}`), `2:57: rule "a": max_seconds must be a whole number`},

		{"repository without owner", rules(`{"id": "a", "allow": {"github": ["payroll"]}}`), `2:34: rule "a": "payroll" must be owner/repository`},
		{"two slashes", rules(`{"id": "a", "deny": {"github": ["a/b/c"]}}`), `2:33: rule "a": "a/b/c" can match no repository`},
		{"no owner", rules(`{"id": "a", "deny": {"github": ["/b"]}}`), `2:33: rule "a": "/b" can match no repository`},
		{"no repository", rules(`{"id": "a", "deny": {"github": ["a/"]}}`), `2:33: rule "a": "a/" can match no repository`},
		{"space in a repository", rules(`{"id": "a", "deny": {"github": ["a/b *"]}}`), `2:33: rule "a": "a/b *" can match no repository`},
		{"owner with a dot", rules(`{"id": "a", "deny": {"github": ["a.b/*"]}}`), `2:33: rule "a": "a.b/*" can match no repository`},

		{"unknown tool", rules(`{"id": "a", "allow": {"ssh": true, "tools": ["get-ssh-certificate", "ssh"]}}`), `2:69: rule "a": "ssh" is no tool`},
		{"tool of another kind", rules(`{"id": "a", "allow": {"ssh": true, "tools": ["get-ssh-certificate", "get-github-token"]}}`), `2:69: rule "a": get-github-token can never match`},
		{"kind without its tool", rules(`{"id": "a", "allow": {"ssh": true, "github": ["a/b"], "tools": ["get-github-token"]}}`), `2:30: rule "a": ssh can never match`},
		{"write tool on a level of read", rules(`{"id": "a", "allow": {"aws": ["arn:*"], "tools": ["get-aws-write-credentials"]}}`), `2:50: rule "a": get-aws-write-credentials alone matches nothing`},

		{"unknown approval", rules(`{"id": "a", "allow": {"ssh": true}, "approve": "yes"}`), `2:48: rule "a": approve must be one of none, ask, touch`},
		{"approvers without touch", rules(`{"id": "a", "allow": {"ssh": true}, "approve": "ask", "approvers": ["x@y"]}`), `2:68: rule "a": approvers give a touch`},
		{"glob of approvers", rules(`{"id": "a", "allow": {"ssh": true}, "approve": "touch", "approvers": ["*@y"]}`), `2:71: rule "a": an approver is one`},
		{"no approvers", rules(`{"id": "a", "allow": {"ssh": true}, "approve": "touch", "approvers": []}`), `2:70: rule "a": approvers is an empty list`},
		{"unknown delivery", rules(`{"id": "a", "allow": {"ssh": true}, "delivery": "open"}`), `2:49: rule "a": delivery must be one of any, sealed`},
		{"recipients without seal", rules(`{"id": "a", "allow": {"ssh": true}, "recipients": ["` + goodRecipient + `"]}`), `2:51: rule "a": recipients are for sealed answers`},
		{"mistyped recipient", rules(`{"id": "a", "allow": {"ssh": true}, "delivery": "sealed", "recipients": ["` + goodRecipient + `", "age1x"]}`), `2:140: rule "a": recipients[1] cannot be used`},
		{"empty recipients", rules(`{"id": "a", "allow": {"ssh": true}, "delivery": "sealed", "recipients": []}`), `2:73: rule "a": recipients is an empty list`},

		{"profile without a role", `{"version": 1, "aws": {"p": {"level": "read"}}, "rules": [{"id": "a", "allow": {"aws": ["p"]}}]}`, `1:29: profile "p": a profile lacks the member "role_arn"`},
		{"profile of a glob", `{"version": 1, "aws": {"p": {"role_arn": "arn:aws:iam::123456789012:role/*"}}, "rules": [{"id": "a", "allow": {"aws": ["p"]}}]}`, `1:42: profile "p": role_arn must be the ARN`},
		{"unnamed profile", `{"version": 1, "aws": {"p": {"role_arn": "arn:aws:iam::123456789012:role/A"}}, "rules": []}`, `1:24: no rule names the profile "p"`},
		{"profile twice", `{"version": 1, "aws": {"p": {"role_arn": "arn:aws:iam::123456789012:role/A"}, "p": {"role_arn": "arn:aws:iam::123456789012:role/A"}}, "rules": [{"id": "a", "allow": {"aws": ["p"]}}]}`, `1:79: the member "p" stands here twice`},
		{"profile's name", `{"version": 1, "aws": {"a b": {"role_arn": "arn:aws:iam::123456789012:role/A"}}, "rules": [{"id": "a", "allow": {"aws": ["a b"]}}]}`, `1:24: profile "a b": a profile's name must`},

		{"failing test", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "allow"}]}`, `1:100: tests[0]: got deny, want allow: no rule allows SSH`},
		{"second test fails", `{"version": 1, "rules": [` + ssh + `], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "allow"}, {"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "touch"}]}`, `1:206: tests[1]: got allow, want touch`},
		{"test of no tool", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "whoami"}, "want": "deny"}]}`, `1:68: tests[0]: "whoami" is no tool`},
		{"test of an unknown profile", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-aws-credentials", "profile": "x"}, "want": "deny"}]}`, `1:102: tests[0]: there is no profile "x"`},
		{"test with neither", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-aws-credentials"}, "want": "deny"}]}`, `1:59: tests[0]: name either a profile or a role_arn`},
		{"test with an argument of another tool", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate", "owner": "x"}, "want": "deny"}]}`, `1:100: tests[0]: get-ssh-certificate takes no owner`},
		{"test of no e-mail", `{"version": 1, "rules": [], "tests": [{"who": {"email": "bob"}, "call": {"tool": "get-ssh-certificate"}, "want": "deny"}]}`, `1:57: tests[0]: "bob" is no e-mail`},
		{"unknown want", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "yes"}]}`, `1:100: tests[0]: want must be one of allow, deny, ask, touch`},
		{"test lacks want", `{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}}]}`, `1:39: tests[0]: a test lacks the member "want"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := Compile([]byte(tt.document))
			if err == nil || p != nil {
				t.Fatalf("%s\nis valid", tt.document)
			}
			if all := Faults(err); len(all) != 1 || !strings.HasPrefix(all[0].Error(), tt.want) {
				t.Errorf("got faults\n%v\nwant the one\n%s", err, tt.want)
			}
		})
	}
}

// TestEveryFaultIsTold: faults of different kinds are told together, in the order
// of the document.
func TestEveryFaultIsTold(t *testing.T) {
	_, err := Compile([]byte(`{"version": 1, "mood": "enforce",
 "aws": {"p": {"role_arn": "arn:aws:iam::123456789012:role/A"}},
 "rules": [{"id": "a", "allow": {"ssh": true}},
           {"id": "a", "deny": {"ssh": true}, "approve": "none"}],
 "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "touch"}]}`))
	var got []string
	for _, fault := range Faults(err) {
		got = append(got, strconv.Itoa(fault.Line)+" "+fault.Problem)
	}
	want := []string{"1 the document has no member", "2 no rule names the profile", `4 rule "a": another rule`, `4 rule "a": a deny has no approve`, "5 tests[0]: got deny"}
	if len(got) != len(want) {
		t.Fatalf("got %d faults: %v", len(got), err)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("fault %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

// TestManyFaults: a document that is wrong everywhere says so in bounded words.
func TestManyFaults(t *testing.T) {
	_, err := Compile([]byte(rules(strings.Split(strings.Repeat("1 ", 5000), " ")[:5000]...)))
	all := Faults(err)
	if len(all) != maxFaults+1 || !strings.Contains(all[maxFaults].Problem, "more faults") {
		t.Errorf("%d faults, the last: %v", len(all), all[len(all)-1])
	}
}

// TestPastedSecretKey: the key is not repeated, wherever it was pasted.
func TestPastedSecretKey(t *testing.T) {
	const secret = "AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQS3290GQ"
	for _, document := range []string{
		rules(`{"id": "a", "allow": {"ssh": true}, "delivery": "sealed", "recipients": ["` + secret + `"]}`),
		rules(`{"id": "` + secret + `", "allow": {"ssh": 1}}`),
		rules(`{"id": "a", "` + secret + `": 1, "allow": {"ssh": true}}`),
		`{"version": 1, "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate", "seal_to": "` + secret + `"}, "want": "deny"}]}`,
	} {
		_, err := Compile([]byte(document))
		if err == nil {
			t.Errorf("%s\nis valid", document)
		} else if strings.Contains(err.Error(), "QYQSZ") {
			t.Errorf("the secret key is repeated: %v", err)
		}
	}
}

func TestFaultsOfOtherErrors(t *testing.T) {
	if got := Faults(errors.New("x")); got != nil {
		t.Errorf("got %v", got)
	}
}
