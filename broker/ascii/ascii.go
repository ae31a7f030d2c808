// Package ascii has the characters that grammars of ASCII are made of.
package ascii

import "strings"

// The characters, as texts to put together and to look in.
const (
	Lower        = "abcdefghijklmnopqrstuvwxyz"
	Upper        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	Digits       = "0123456789"
	Letters      = Upper + Lower
	Alphanumeric = Letters + Digits
	Hex          = Digits + "abcdefABCDEF"
	// TagMarks are those of the value of a session tag in AWS, besides letters and
	// digits.
	TagMarks = " _.:/=+-@"
)

// Only reports whether text has these characters only, and at least one.
func Only(text, characters string) bool {
	return text != "" && strings.Trim(text, characters) == ""
}
