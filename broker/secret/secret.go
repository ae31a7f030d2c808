// Package secret holds values that must not be printed: tokens, keys,
// certificates. A String shows itself only where code asks for it by name, so
// that no log line, error text or test failure can carry one by accident.
package secret

import (
	"crypto/subtle"
	"fmt"
)

const redacted = "[redacted]"

// A String is a secret text; its zero value is the empty one. fmt prints it as
// "[redacted]" with every verb, and so do the JSON and text encoders. In an
// unexported field, where fmt calls no methods, it prints an address: the text is
// behind a pointer. Two Strings are compared with Equal.
type String struct {
	text *string
	_    [0]func() // no ==
}

// New returns text as a secret.
func New(text string) String { return String{text: &text} }

// Reveal returns the text. Each call of it is a place to review.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Equal reports whether two texts are the same, in a time that does not depend on
// where they differ.
func (s String) Equal(other String) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// IsEmpty reports whether there is no text.
func (s String) IsEmpty() bool { return s.Reveal() == "" }

// Format implements fmt.Formatter for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, and so json.Marshal.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
