package strictjson

import (
	"encoding/json"
	"iter"
	"strconv"
	"strings"
)

// A Type is what a JSON value is.
type Type uint8

// The types. Null is that of a value that is absent, too.
const (
	Null Type = iota
	False
	True
	Number
	String
	Nested // an array or an object
)

// A Value is one value of a JSON text that was found to be valid. The zero Value is
// one that is absent.
type Value struct {
	Type Type
	Raw  string // the value as it was written, without space around it
	Str  string // what a string says; "" of all else
}

// Parse returns the value that a text is. It is for texts for which Valid holds, and
// for parts of them: it looks at their beginning only.
func Parse(text string) Value {
	v := Value{Raw: strings.Trim(text, space)}
	if v.Raw == "" {
		return v
	}
	switch v.Raw[0] {
	case '"':
		v.Type, v.Str = String, unquote(v.Raw)
	case '{', '[':
		v.Type = Nested
	case 't':
		v.Type = True
	case 'f':
		v.Type = False
	case 'n':
	default:
		v.Type = Number
	}
	return v
}

// unquote reads a string. Most have no escapes, and cost nothing.
func unquote(quoted string) string {
	if strings.IndexByte(quoted, '\\') >= 0 {
		return unescape(quoted)
	}
	return strings.TrimSuffix(quoted[1:], `"`)
}

// unescape reads a string with escapes. A half of a surrogate pair comes out as U+FFFD.
func unescape(quoted string) (text string) {
	_ = json.Unmarshal([]byte(quoted), &text)
	return text
}

// Exists reports whether the value is there; null is.
func (v Value) Exists() bool { return v.Raw != "" }

// IsObject reports whether the value is an object.
func (v Value) IsObject() bool { return strings.HasPrefix(v.Raw, "{") }

// IsArray reports whether the value is an array.
func (v Value) IsArray() bool { return strings.HasPrefix(v.Raw, "[") }

// Int returns a whole number, or 0 for what is none.
func (v Value) Int() int64 {
	n, err := strconv.ParseInt(v.Raw, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Float returns a number as JavaScript has it, or 0 for what is none.
func (v Value) Float() float64 {
	if v.Type != Number {
		return 0
	}
	n, _ := strconv.ParseFloat(v.Raw, 64) // what is out of range is infinite
	return n
}

// Members are the members of an object by name, or the items of an array, whose names
// are empty, in order. A name may come twice. What is neither has none.
func (v Value) Members() iter.Seq2[string, Value] {
	return func(yield func(string, Value) bool) {
		if v.Type != Nested {
			return
		}
		s := scanner{text: v.Raw, at: 1}
		s.space()
		for {
			name, ok := `""`, true
			if v.IsObject() {
				name, ok = s.name()
			}
			at := s.at
			if !ok || !s.value(len(s.text)) || !yield(unquote(name), Parse(s.text[at:s.at])) || !s.take(',') {
				return
			}
		}
	}
}

// Array returns the items of an array. What is none has none.
func (v Value) Array() []Value {
	var items []Value
	if v.IsArray() {
		for _, item := range v.Members() {
			items = append(items, item)
		}
	}
	return items
}
