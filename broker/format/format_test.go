package format_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/secret"
)

var expiration = time.Date(2026, 11, 25, 13, 0, 0, 0, time.FixedZone("CET", 3600))

func awsValues(key, token string) format.AWS {
	return format.AWS{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: secret.New(key), SessionToken: secret.New(token), Expiration: expiration}
}

func TestText(t *testing.T) {
	creds := awsValues("wJalr/K7+MDENG=", "IQoJb3JpZ2luX2Vj==")
	profile := creds
	profile.Section = "prod-look"
	token := format.GitHub{Token: secret.New("ghs_abc"), ExpiresAt: expiration}
	forever := format.GitHub{Token: secret.New("ghs_abc")}
	certificate := format.SSH{Line: secret.New("ssh-ed25519-cert-v01@openssh.com AAAA alice")}
	for _, test := range []struct {
		name string
		text func(format.Name) (secret.String, error)
		as   format.Name
		want string
	}{
		{"aws", creds.Text, format.Env, "export AWS_ACCESS_KEY_ID='ASIAEXAMPLE'\nexport AWS_SECRET_ACCESS_KEY='wJalr/K7+MDENG='\n" +
			"export AWS_SESSION_TOKEN='IQoJb3JpZ2luX2Vj=='\nexport AWS_CREDENTIAL_EXPIRATION='2026-11-25T12:00:00Z'\n"},
		{"aws", creds.Text, format.PowerShell, "$Env:AWS_ACCESS_KEY_ID = 'ASIAEXAMPLE'\n$Env:AWS_SECRET_ACCESS_KEY = 'wJalr/K7+MDENG='\n" +
			"$Env:AWS_SESSION_TOKEN = 'IQoJb3JpZ2luX2Vj=='\n$Env:AWS_CREDENTIAL_EXPIRATION = '2026-11-25T12:00:00Z'\n"},
		{"aws", creds.Text, format.INI, "[default]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = wJalr/K7+MDENG=\naws_session_token = IQoJb3JpZ2luX2Vj==\n"},
		{"aws profile", profile.Text, format.INI, "[prod-look]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = wJalr/K7+MDENG=\naws_session_token = IQoJb3JpZ2luX2Vj==\n"},
		{"github", token.Text, format.Env, "export GH_TOKEN='ghs_abc'\n"},
		{"github", token.Text, format.GitCredential, "protocol=https\nhost=github.com\nusername=x-access-token\npassword=ghs_abc\npassword_expiry_utc=1795608000\n"},
		{"github without expiry", forever.Text, format.GitCredential, "protocol=https\nhost=github.com\nusername=x-access-token\npassword=ghs_abc\n"},
		{"ssh", certificate.Text, format.File, "ssh-ed25519-cert-v01@openssh.com AAAA alice\n"},
	} {
		got, err := test.text(test.as)
		if err != nil || got.Reveal() != test.want {
			t.Errorf("%s as %s: %v\n%s", test.name, test.as, err, got.Reveal())
		}
	}
}

func TestAFormatOfAnotherCredential(t *testing.T) {
	all := []format.Name{format.JSON, format.Env, format.PowerShell, format.INI, format.GitCredential, format.File, "ENV", "sh", "env "}
	for _, test := range []struct {
		kind  string
		names []format.Name
		text  func(format.Name) (secret.String, error)
	}{
		{"aws", format.AWSNames(), awsValues("a", "b").Text},
		{"github", format.GitHubNames(), format.GitHub{Token: secret.New("a")}.Text},
		{"ssh", format.SSHNames(), format.SSH{Line: secret.New("a b")}.Text},
	} {
		taken := 0
		for _, name := range all {
			parsed, parseErr := format.Parse(string(name), test.names)
			got, err := test.text(name)
			switch {
			case name == format.JSON:
				if parsed != format.JSON || parseErr != nil || !errors.Is(err, format.ErrName) {
					t.Errorf("%s as JSON: %v, %v, %v", test.kind, parsed, parseErr, err)
				}
			case parseErr == nil: // what can be asked for can be written
				taken++
				if parsed != name || err != nil || got.IsEmpty() {
					t.Errorf("%s as %s: %v", test.kind, name, err)
				}
			case !errors.Is(parseErr, format.ErrName) || !errors.Is(err, format.ErrName) || !got.IsEmpty():
				t.Errorf("%s as %s: %v, %v", test.kind, name, parseErr, err)
			}
		}
		if taken != len(test.names)-1 {
			t.Errorf("%s: %d of %v", test.kind, taken, test.names)
		}
		if name, err := format.Parse("", test.names); name != format.JSON || err != nil {
			t.Errorf("%s by default: %v, %v", test.kind, name, err)
		}
	}
}

// hostile are values that end a line, a string or a comment somewhere, run
// something, or begin what a reader takes for another value.
var hostile = []string{
	`'`, `''`, `'''`, `"`, `\`, `\'`, `'\''`, `a'b"c`, `$(touch x)`, "`touch x`", `${HOME}`, `$HOME`, `%PATH%`, `%(x)s`, `!!`, `!$`, `~`, `*`, `a b`, ` a `,
	"a\tb", "line\nbreak", "\n", "cr\rlf\r\n", "trailing\\\n", `'; touch x; '`, `' + (Get-Date) + '`, "a\x1bb", "a\x07b", "a\x7fb",
	"‘left", "right’", "‚low", "‛reversed", "’’", "'’", "’'", "“double”", "#comment", "a #b", "a ;b", "a;b", ";b", "[section]", "=", "a=b", "-n", "-e a", "é", "日本", "😀",
	"a\u2028b", "a\u2029b", "\u0085", "a\u009bb", "\ufeff",
}

// TestPowerShellQuoting has no PowerShell to ask: this is what its tokenizer does
// with a single-quoted string. Each of its five single quotes ends the string,
// unless another of them follows: then the second one stands for itself.
func TestPowerShellQuoting(t *testing.T) {
	read := func(text string) (value, rest string) {
		quote := func(r rune) bool { return strings.ContainsRune("'‘’‚‛", r) }
		runes := []rune(text)
		var out []rune
		for i := 1; i < len(runes); i++ {
			if quote(runes[i]) {
				if i+1 == len(runes) || !quote(runes[i+1]) {
					return string(out), string(runes[i+1:])
				}
				i++
			}
			out = append(out, runes[i])
		}
		return "", "no end"
	}
	for _, value := range hostile {
		text, err := awsValues(value, "next").Text(format.PowerShell)
		if err != nil {
			t.Errorf("%q: %v", value, err)
			continue
		}
		_, after, _ := strings.Cut(text.Reveal(), "$Env:AWS_SECRET_ACCESS_KEY = ")
		got, rest := read(after)
		if got != value || !strings.HasPrefix(rest, "\n$Env:AWS_SESSION_TOKEN = 'next'\n") {
			t.Errorf("%q is read as %q, and then %q", value, got, rest)
		}
	}
	for value, want := range map[string]string{`it's`: `'it''s'`, `’`: `'’’'`, "‘a‛": `'‘‘a‛‛'`, "‚": `'‚‚'`, `$(x)`: `'$(x)'`, "`n": "'`n'", `"`: `'"'`} {
		text, _ := awsValues(value, "next").Text(format.PowerShell)
		if !strings.Contains(text.Reveal(), "AWS_SECRET_ACCESS_KEY = "+want+"\n") {
			t.Errorf("%q is written as %s", value, text.Reveal())
		}
	}
}

// TestWhatCannotBeWrittenIsNot: what a format has no way to write is refused, and
// not repeated in the error.
func TestWhatCannotBeWrittenIsNot(t *testing.T) {
	ini := func(v string) (secret.String, error) { return awsValues(v, "b").Text(format.INI) }
	iniToken := func(v string) (secret.String, error) { return awsValues("a", v).Text(format.INI) }
	iniID := func(v string) (secret.String, error) {
		a := awsValues("a", "b")
		a.AccessKeyID = v
		return a.Text(format.INI)
	}
	section := func(v string) (secret.String, error) {
		a := awsValues("a", "b")
		a.Section = v
		return a.Text(format.INI)
	}
	git := func(v string) (secret.String, error) {
		return format.GitHub{Token: secret.New(v)}.Text(format.GitCredential)
	}
	file := func(v string) (secret.String, error) { return format.SSH{Line: secret.New(v)}.Text(format.File) }
	env := func(v string) (secret.String, error) { return awsValues(v, "b").Text(format.Env) }
	power := func(v string) (secret.String, error) { return awsValues(v, "b").Text(format.PowerShell) }
	var never []string // by a format without quotes
	for _, value := range hostile {
		if strings.ContainsAny(value, "\n\r\t\x1b\x07\x7f\u2028\u2029\u0085\u009b") {
			never = append(never, value)
		}
	}
	never = append(never, "", "a\x00b", "a\xffb")
	for _, test := range []struct {
		name   string
		text   func(string) (secret.String, error)
		values []string
	}{
		{"ini key", ini, append(never, "a b", "a#b", "a;b", "'a'", `"a"`, `a\`, "[a]", "%(a)s", "é")},
		{"ini token", iniToken, append(never, "a b", "#a")},
		{"ini id", iniID, append(never, "a b", "#a")},
		{"ini section", section, append(never[:len(never)-3:len(never)-3], "a]\n[b", "a]", "a b", "[", "é", "a/b", strings.Repeat("a", 65))},
		{"git", git, never},
		{"file", file, never},
		{"env", env, []string{"a\x00b", "\xff"}},
		{"powershell", power, []string{"a\x00b", "\xff"}},
	} {
		for _, value := range test.values {
			got, err := test.text(value)
			if !errors.Is(err, format.ErrValue) || !got.IsEmpty() {
				t.Errorf("%s %q: %v, %q", test.name, value, err, got.Reveal())
			}
			if len(value) > 1 && strings.Contains(fmt.Sprint(err), value) {
				t.Errorf("%s %q: the error repeats it", test.name, value)
			}
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	creds := awsValues("wJalrK7MDENG", "IQoJb3Jp")
	text, err := creds.Text(format.Env)
	if err != nil {
		t.Fatal(err)
	}
	if printed := fmt.Sprintf("%v %+v %#v", creds, creds, text); strings.Contains(printed, "wJalr") || strings.Contains(printed, "IQoJ") {
		t.Error(printed)
	}
}
