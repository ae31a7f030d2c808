// Package secret holds values that must not be printed: tokens, keys,
// certificates. A String shows itself only where code asks for it by name, so
// that no log line, error text or test failure can carry one by accident.
package secret

import "fmt"

const redacted = "[redacted]"

// A String is a secret text. fmt prints it as "[redacted]" with every verb, and
// so do the JSON and text encoders.
type String struct{ text string }

// New returns text as a secret.
func New(text string) String { return String{text} }

// Reveal returns the text. Each call of it is a place to review.
func (s String) Reveal() string { return s.text }

// IsEmpty reports whether there is no text.
func (s String) IsEmpty() bool { return s.text == "" }

// Format implements fmt.Formatter for every verb.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText implements encoding.TextMarshaler, and so json.Marshal.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }
