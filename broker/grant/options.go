package grant

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/age"
	"mcp-credential-broker/broker/format"
)

const (
	// approvalArgument and sealToArgument do not belong to what is approved.
	approvalArgument = "approval"
	sealToArgument   = "seal_to"
)

// options are the arguments that every tool with a credential takes: not what for,
// but how.
type options struct {
	format   format.Name
	sealTo   age.Recipient // the zero one: unsealed
	purpose  string        // whatever the client says that it is for, or ""
	approval string        // a code of an approval, or ""
}

// readOptions checks the options of a credential that can be had in these formats.
func readOptions(in arguments, formats []format.Name) (o options, err error) {
	var formatName, sealTo string
	for name, to := range map[string]*string{"format": &formatName, sealToArgument: &sealTo, "purpose": &o.purpose, approvalArgument: &o.approval} {
		if *to, err = in.text(name); err != nil {
			return o, err
		}
	}
	if o.format, err = format.Parse(formatName, formats); err != nil {
		names := make([]string, len(formats))
		for i, name := range formats {
			names[i] = string(name)
		}
		return o, invalid("format must be one of %s", strings.Join(names, ", "))
	}
	if _, given := in[sealToArgument]; given { // an empty text is no way to get it unsealed
		if o.sealTo, err = age.ParseRecipient(sealTo); err != nil {
			return o, recipientFault(err)
		}
	}
	if !isPurpose(o.purpose) {
		return o, invalid("purpose must be one line of at most %d characters, without a secret; shorten it", maxPurpose)
	}
	return o, nil
}

// recipientFault says what is wrong with seal_to. It repeats nothing of it.
func recipientFault(err error) error {
	const make = "age-keygen -o key.txt makes a key, and age-keygen -y key.txt prints its recipient"
	switch {
	case errors.Is(err, age.ErrSecretKey):
		return ageKeyFault(sealToArgument)
	case errors.Is(err, age.ErrType):
		return invalid("seal_to takes X25519 recipients alone (age1 and 58 characters), not post-quantum ones, plugins or SSH keys; %s", make)
	case errors.Is(err, age.ErrNotOne):
		return invalid("seal_to must be one recipient, without spaces, commas or line breaks around it")
	case errors.Is(err, age.ErrUpperCase):
		return invalid("seal_to must be in lower case, as age-keygen -y prints it")
	case errors.Is(err, age.ErrChecksum):
		return invalid("the checksum of seal_to does not fit: a character was changed or lost; copy the recipient again")
	case errors.Is(err, age.ErrWeakPoint):
		return invalid("seal_to is a key that belongs to nobody, so that anybody could open what is sealed to it; %s", make)
	}
	return invalid("seal_to must be an age recipient: age1 and 58 characters; %s", make)
}

// holdsAgeKey reports whether a JSON value holds the secret half of an age key, as it
// is written or, in a text, behind escapes.
func holdsAgeKey(raw string) bool {
	raw += gjson.Parse(raw).Str
	return strings.Contains(strings.ToUpper(raw), "AGE-SECRET-KEY")
}

// ageKeyFault says that an argument, whose name is known, holds one.
func ageKeyFault(name string) error {
	return invalid("%s holds a secret age key, which was not used or written down here; it has been in this conversation, so make a new one (age-keygen -o key.txt), and send its recipient, which begins with age1", name)
}

// isPurpose admits what may be shown to people and written to the log. What hides
// or turns text around could make them read something else.
func isPurpose(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxPurpose &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) &&
		!strings.Contains(strings.ToUpper(s), "PRIVATE KEY")
}
