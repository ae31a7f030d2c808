package format

import (
	"strings"
	"unicode/utf8"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/secret"
)

// A variable is one value with the name that its reader gives it.
type variable struct{ name, value string }

// lines returns one line for each variable, as write writes it. No variable can
// hold a NUL byte, in any shell; and what is not UTF-8 would change on its way.
func lines(write func(variable) (string, error), all []variable) (secret.String, error) {
	var text strings.Builder
	for _, v := range all {
		if !utf8.ValidString(v.value) || strings.ContainsRune(v.value, 0) {
			return secret.String{}, ErrValue
		}
		line, err := write(v)
		if err != nil {
			return secret.String{}, err
		}
		text.WriteString(line + "\n")
	}
	return secret.New(text.String()), nil
}

// shell writes for sh and its relatives (POSIX.1-2024, Shell Command Language,
// section 2.2.2): between single quotes everything stands for itself but the
// single quote.
func shell(v variable) (string, error) {
	return "export " + v.name + "='" + strings.ReplaceAll(v.value, "'", `'\''`) + "'", nil
}

// powerShell writes for PowerShell. It takes the typographic quotes for single
// quotes too (about_Quoting_Rules): each, doubled, stands for itself.
func powerShell(v variable) (string, error) {
	var value strings.Builder
	for _, r := range v.value {
		if r == '\'' || r >= '\u2018' && r <= '\u201b' {
			value.WriteRune(r)
		}
		value.WriteRune(r)
	}
	return "$Env:" + v.name + " = '" + value.String() + "'", nil
}

// gitCredential writes an attribute for git credential: there is no quoting, so a
// line break would begin another attribute, such as another host. Git itself
// refuses a carriage return.
func gitCredential(v variable) (string, error) {
	if v.value == "" || strings.ContainsFunc(v.value, isControl) {
		return "", ErrValue
	}
	return v.name + "=" + v.value, nil
}

// section writes for the credentials file of AWS. Its readers do not agree on
// quotes, comments, escapes and continued lines, so a value is made of the
// characters on which they do: those of credentials.
func (a AWS) section(values []variable) (secret.String, error) {
	name := a.Section
	if name == "" {
		name = "default"
	}
	if !ascii.Only(name, sectionCharacters) || len(name) > maxSectionBytes {
		return secret.String{}, ErrValue
	}
	body, err := lines(func(v variable) (string, error) {
		if !ascii.Only(v.value, valueCharacters) {
			return "", ErrValue
		}
		return strings.ToLower(v.name) + " = " + v.value, nil
	}, values)
	if err != nil {
		return secret.String{}, err
	}
	return secret.New("[" + name + "]\n" + body.Reveal()), nil
}

const (
	maxSectionBytes   = 64
	sectionCharacters = ascii.Alphanumeric + "-_."
	valueCharacters   = ascii.Alphanumeric + "+/=-_.~"
)
