// Package format writes credentials as text that a program reads: what a shell
// exports, a section of AWS's credentials file, an answer for git credential, the
// file beside an SSH key. JSON is not written here: it is what a tool answers
// anyway.
//
// It promises that whatever the values hold, the program that the text is for reads
// exactly these values and nothing else. What a format has no way to write is an
// error, never an approximation.
package format

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mcp-credential-broker/broker/secret"
)

// A Name is the name of a format, as it is asked for.
type Name string

// The formats. JSON is the default of each tool.
const (
	JSON          Name = "json"
	Env           Name = "env"            // sh: export NAME='value'
	PowerShell    Name = "powershell"     // $Env:NAME = 'value'
	INI           Name = "ini"            // a section of ~/.aws/credentials
	GitCredential Name = "git-credential" // for git credential approve, gitcredentials(7)
	File          Name = "file"           // a certificate, KEY-cert.pub of ssh-keygen(1)
)

var (
	// ErrName says that a format is unknown, or not one of the credential's.
	ErrName = errors.New("format is not one of this credential's")
	// ErrValue says that a value holds something that the format cannot write,
	// such as a line break.
	ErrValue = errors.New("value cannot be written in this format")
)

// An AWS is what a program needs of temporary AWS credentials.
type AWS struct {
	AccessKeyID                   string
	SecretAccessKey, SessionToken secret.String
	Expiration                    time.Time
	Section                       string // of the credentials file; "" = default
}

// A GitHub is what a program needs of an installation token.
type GitHub struct {
	Token     secret.String
	ExpiresAt time.Time // the zero Time where it is not known
}

// An SSH is a certificate: "type base64 [comment]".
type SSH struct {
	Line secret.String
}

// Parse returns the format that text names, JSON where it is empty, if it is among
// those that the credential has: AWSNames, GitHubNames, SSHNames.
//
// Errors: ErrName.
func Parse(text string, among []Name) (Name, error) {
	switch name := Name(text); {
	case name == "":
		return JSON, nil
	case slices.Contains(among, name):
		return name, nil
	default:
		return "", ErrName
	}
}

// AWSNames are the formats of AWS credentials.
func AWSNames() []Name { return []Name{JSON, Env, PowerShell, INI} }

// GitHubNames are the formats of a GitHub token.
func GitHubNames() []Name { return []Name{JSON, Env, GitCredential} }

// SSHNames are the formats of an SSH certificate.
func SSHNames() []Name { return []Name{JSON, File} }

// Text returns the credentials as Env, PowerShell or INI. The variables are those
// of "aws configure export-credentials".
//
// Errors: ErrName, ErrValue.
func (a AWS) Text(name Name) (secret.String, error) {
	values := []variable{
		{"AWS_ACCESS_KEY_ID", a.AccessKeyID},
		{"AWS_SECRET_ACCESS_KEY", a.SecretAccessKey.Reveal()},
		{"AWS_SESSION_TOKEN", a.SessionToken.Reveal()},
	}
	expiration := variable{"AWS_CREDENTIAL_EXPIRATION", a.Expiration.UTC().Format(time.RFC3339)}
	switch name {
	case Env:
		return lines(shell, append(values, expiration))
	case PowerShell:
		return lines(powerShell, append(values, expiration))
	case INI:
		return a.section(values)
	default:
		return secret.String{}, ErrName
	}
}

// Text returns the token as Env (GH_TOKEN, which the gh program reads) or
// GitCredential.
//
// Errors: ErrName, ErrValue.
func (g GitHub) Text(name Name) (secret.String, error) {
	switch name {
	case Env:
		return lines(shell, []variable{{"GH_TOKEN", g.Token.Reveal()}})
	case GitCredential:
		values := []variable{
			{"protocol", "https"}, {"host", "github.com"},
			{"username", "x-access-token"}, {"password", g.Token.Reveal()},
		}
		if !g.ExpiresAt.IsZero() {
			values = append(values, variable{"password_expiry_utc", strconv.FormatInt(g.ExpiresAt.Unix(), 10)})
		}
		return lines(gitCredential, values)
	default:
		return secret.String{}, ErrName
	}
}

// Text returns the certificate as File: one line.
//
// Errors: ErrName, ErrValue.
func (s SSH) Text(name Name) (secret.String, error) {
	line := s.Line.Reveal()
	switch {
	case name != File:
		return secret.String{}, ErrName
	// A second line would be another certificate, or what a reader takes for one.
	case line == "" || !utf8.ValidString(line) || strings.ContainsFunc(line, isControl):
		return secret.String{}, ErrValue
	}
	return secret.New(line + "\n"), nil
}

// isControl reports what ends or hides a line somewhere: control characters, and
// the two separators of Unicode.
func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}
