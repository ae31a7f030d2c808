package format_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/secret"
)

// program returns the path of what reads a format, or skips the test. .ci/run
// installs each of them, and sets REQUIRE_READERS.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("REQUIRE_READERS") != "" {
			t.Fatal(err)
		}
		t.Skip(name + " is not installed")
	}
	return path
}

// run runs a program in an empty folder, with nothing of this machine's
// configuration, and returns what it printed.
func run(t *testing.T, stdin, path string, args ...string) string {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C.UTF-8"}
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s: %v\n%s", path, err, stderr.Bytes())
	}
	left, err := os.ReadDir(cmd.Dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("%s left %v behind, %v", path, left, err)
	}
	return string(out)
}

// TestShellsReadEnvBack: each shell reads the file and prints the value of the
// variable in another process, byte for byte.
func TestShellsReadEnvBack(t *testing.T) {
	for _, shell := range []string{"sh", "dash", "bash", "zsh", "busybox"} {
		t.Run(shell, func(t *testing.T) {
			if shell == "zsh" || shell == "busybox" { // not everywhere, and not asked for
				if _, err := exec.LookPath(shell); err != nil {
					t.Skip("not installed")
				}
			}
			path := program(t, shell)
			args := []string{"-c", `for file; do . "$file" && env -0 && printf '\0' || exit; done`, "sh"}
			if shell == "busybox" {
				args = append([]string{"sh"}, args...)
			}
			folder := t.TempDir()
			for i, value := range hostile {
				text, err := awsValues(value, "next").Text(format.Env)
				if err != nil {
					t.Fatalf("%q: %v", value, err)
				}
				file := filepath.Join(folder, strconv.Itoa(i))
				if err := os.WriteFile(file, []byte(text.Reveal()), 0o600); err != nil {
					t.Fatal(err)
				}
				args = append(args, file)
			}
			answers := strings.Split(strings.TrimSuffix(run(t, "", path, args...), "\x00\x00"), "\x00\x00")
			if len(answers) != len(hostile) {
				t.Fatalf("%d answers for %d values", len(answers), len(hostile))
			}
			for i, value := range hostile {
				got := map[string]string{}
				for line := range strings.SplitSeq(answers[i], "\x00") {
					name, value, _ := strings.Cut(line, "=")
					got[name] = value
				}
				for name, want := range map[string]string{
					"AWS_ACCESS_KEY_ID": "ASIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": value,
					"AWS_SESSION_TOKEN": "next", "AWS_CREDENTIAL_EXPIRATION": "2026-11-25T12:00:00Z",
				} {
					if got[name] != want {
						t.Errorf("%q: %s is %q", value, name, got[name])
					}
				}
			}
		})
	}
}

// TestConfigparserReadsINIBack asks the parser that botocore, and so the AWS
// command line, reads the credentials file with.
func TestConfigparserReadsINIBack(t *testing.T) {
	python := program(t, "python3")
	const script = `
import configparser, json, sys
p = configparser.RawConfigParser(default_section=None)
p.read_string(sys.stdin.read())
print(json.dumps({s: dict(p.items(s)) for s in p.sections()}))`
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_.~"
	for _, value := range []string{alphabet, "=", "==", "=a", "-", "/", "~", "+", ".", "_"} {
		creds := awsValues(value, value+value)
		other := awsValues("other", "token")
		other.Section = "prod-look.2_B"
		first, err := creds.Text(format.INI)
		if err != nil {
			t.Fatalf("%q: %v", value, err)
		}
		second, err := other.Text(format.INI)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]map[string]string
		if err := json.Unmarshal([]byte(run(t, first.Reveal()+second.Reveal(), python, "-c", script)), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]map[string]string{
			"default":       {"aws_access_key_id": "ASIAEXAMPLE", "aws_secret_access_key": value, "aws_session_token": value + value},
			"prod-look.2_B": got["prod-look.2_B"],
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
		if key := got["prod-look.2_B"]["aws_secret_access_key"]; key != "other" {
			t.Errorf("%q: the other section has the key %q", value, key)
		}
	}
}

// TestGitReadsItsCredentialBack: git credential fill, given the file as what it
// knows already, answers with the same.
func TestGitReadsItsCredentialBack(t *testing.T) {
	git := program(t, "git")
	for _, value := range append(hostile, "ghs_16C7e42F292c6912E7710c838347Ae178B4a") {
		text, err := format.GitHub{Token: secret.New(value), ExpiresAt: expiration.AddDate(100, 0, 0)}.Text(format.GitCredential)
		if err != nil {
			continue // TestWhatCannotBeWrittenIsNot says which
		}
		got := map[string]string{}
		for line := range strings.SplitSeq(strings.TrimSuffix(run(t, text.Reveal(), git, "credential", "fill"), "\n"), "\n") {
			name, value, _ := strings.Cut(line, "=")
			got[name] = value
		}
		for name, want := range map[string]string{"protocol": "https", "host": "github.com", "username": "x-access-token", "password": value} {
			if got[name] != want {
				t.Errorf("%q: %s is %q", value, name, got[name])
			}
		}
	}
}
