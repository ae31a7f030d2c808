package vouchtest

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
)

const maxFieldBytes = 16 << 10

var errField = errors.New("structured field is malformed")

// signatureInput is one member of Signature-Input (RFC 9421 section 4.1).
type signatureInput struct {
	label      string
	components []string
	// params is the member's value as sent, the last line of the signature base.
	params string

	alg, keyID, nonce string
	created           int64
	// given are the parameters that were there.
	given []string
}

// fieldParser reads a structured field (RFC 9651) from the front. It takes the
// canonical form only: the signature base repeats that form, and what has two
// spellings has two readers who differ.
type fieldParser struct{ rest string }

// parseSignatureInput reads the members of Signature-Input in order.
func parseSignatureInput(text string) ([]signatureInput, error) {
	var inputs []signatureInput
	err := parseMembers(text, func(label string, p *fieldParser) error {
		in := signatureInput{label: label}
		start := p.rest
		if err := p.components(&in); err != nil {
			return err
		}
		for p.skip(";") {
			if err := p.parameter(&in); err != nil {
				return err
			}
		}
		in.params = strings.TrimSuffix(start, p.rest)
		inputs = append(inputs, in)
		return nil
	})
	return inputs, err
}

// parseByteMembers reads a dictionary of byte sequences, such as Signature and
// Content-Digest.
func parseByteMembers(text string) (map[string][]byte, error) {
	members := map[string][]byte{}
	err := parseMembers(text, func(label string, p *fieldParser) error {
		value, err := p.bytes()
		members[label] = value
		return err
	})
	return members, err
}

// parseMembers reads a dictionary whose labels are unique.
func parseMembers(text string, value func(label string, p *fieldParser) error) error {
	if len(text) > maxFieldBytes {
		return errField
	}
	p := &fieldParser{text}
	var seen []string
	for {
		label, err := p.key()
		if err != nil || slices.Contains(seen, label) || !p.skip("=") {
			return errField
		}
		seen = append(seen, label)
		if err := value(label, p); err != nil {
			return err
		}
		if p.rest == "" {
			return nil
		}
		if !p.skip(", ") {
			return errField
		}
	}
}

func (p *fieldParser) skip(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

// components reads the inner list of component names. A component with
// parameters is refused, as none of them is known to be supported.
func (p *fieldParser) components(in *signatureInput) error {
	if !p.skip("(") {
		return errField
	}
	for !p.skip(")") {
		if len(in.components) > 0 && !p.skip(" ") {
			return errField
		}
		name, err := p.text()
		if err != nil {
			return err
		}
		in.components = append(in.components, name)
	}
	return nil
}

// parameter reads one parameter after its semicolon.
func (p *fieldParser) parameter(in *signatureInput) error {
	name, err := p.key()
	if err != nil || slices.Contains(in.given, name) || !p.skip("=") {
		return errField
	}
	in.given = append(in.given, name)
	switch name {
	case "alg":
		in.alg, err = p.text()
	case "keyid":
		in.keyID, err = p.text()
	case "nonce":
		in.nonce, err = p.text()
	case "created":
		in.created, err = p.integer()
	default:
		return errField
	}
	return err
}

// key reads a dictionary or parameter key.
func (p *fieldParser) key() (string, error) {
	end := 0
	for end < len(p.rest) && isKeyByte(p.rest[end], end == 0) {
		end++
	}
	key := p.rest[:end]
	p.rest = p.rest[end:]
	if key == "" {
		return "", errField
	}
	return key, nil
}

func isKeyByte(c byte, first bool) bool {
	if 'a' <= c && c <= 'z' || c == '*' {
		return true
	}
	return !first && ('0' <= c && c <= '9' || strings.IndexByte("_-.", c) >= 0)
}

// text reads a quoted string of printable ASCII.
func (p *fieldParser) text() (string, error) {
	if !p.skip(`"`) {
		return "", errField
	}
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == '"':
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\':
			if i++; i == len(p.rest) || p.rest[i] != '"' && p.rest[i] != '\\' {
				return "", errField
			}
			b.WriteByte(p.rest[i])
		case c < ' ' || c > '~':
			return "", errField
		default:
			b.WriteByte(c)
		}
	}
	return "", errField
}

// integer reads a whole number that is not negative.
func (p *fieldParser) integer() (int64, error) {
	end := 0
	for end < len(p.rest) && '0' <= p.rest[end] && p.rest[end] <= '9' {
		end++
	}
	digits := p.rest[:end]
	p.rest = p.rest[end:]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != digits {
		return 0, errField
	}
	return n, nil
}

// bytes reads a byte sequence.
func (p *fieldParser) bytes() ([]byte, error) {
	if !p.skip(":") {
		return nil, errField
	}
	encoded, rest, ok := strings.Cut(p.rest, ":")
	if !ok || strings.ContainsAny(encoded, "\r\n") { // which the decoder would skip
		return nil, errField
	}
	p.rest = rest
	value, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errField
	}
	return value, nil
}
