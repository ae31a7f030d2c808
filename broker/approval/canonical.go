package approval

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// ErrArguments says that an argument is neither text, number, truth value nor a list
// of those.
var ErrArguments = errors.New("argument has no canonical form")

// Canonical returns the SHA-256 of arguments in their one canonical form: a JSON
// object with its members in the order of their names, without white space, each
// value spelled in one way. So order, white space, escapes and the spelling of a
// number (900, 900.0, 9e2) do not make another call: what a tool reads does. The
// order of a list counts.
//
// Those named in without do not count. Errors: ErrArguments.
func Canonical(arguments map[string]gjson.Result, without ...string) (sum [sha256.Size]byte, err error) {
	var names []string
	for name := range arguments {
		if !slices.Contains(without, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(name) + ":")
		if err := write(&b, arguments[name]); err != nil {
			return sum, err
		}
	}
	b.WriteByte('}')
	return sha256.Sum256([]byte(b.String())), nil
}

func write(b *strings.Builder, value gjson.Result) error {
	if !value.IsArray() {
		return writeScalar(b, value)
	}
	b.WriteByte('[')
	for i, item := range value.Array() {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := writeScalar(b, item); err != nil { // no lists of lists: nothing recurses
			return err
		}
	}
	b.WriteByte(']')
	return nil
}

func writeScalar(b *strings.Builder, value gjson.Result) error {
	switch value.Type {
	case gjson.String:
		b.WriteString(quote(value.Str))
	case gjson.Number:
		b.WriteString(strconv.FormatFloat(value.Num+0, 'g', -1, 64)) // +0: no negative zero
	case gjson.True, gjson.False:
		b.WriteString(value.Type.String())
	default:
		return ErrArguments
	}
	return nil
}

func quote(text string) string {
	encoded, err := json.Marshal(text)
	if err != nil {
		panic("text that JSON cannot hold: " + err.Error())
	}
	return string(encoded)
}
