// Package strictjson reads JSON objects that others wrote.
//
// It promises that every reader of what it lets through sees the same: one JSON
// text (RFC 8259) in UTF-8, in which no object names a member twice, at any
// depth, and in which names are compared as they are. Size and depth are bounded
// before anything recurses. It does not check what the members mean.
package strictjson

import (
	"bytes"
	"errors"
	"slices"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// maxDepth is how deep arrays and objects may nest in what Read takes. Nothing
// that the broker reads nests deeper than 4.
const maxDepth = 32

var (
	// ErrMalformed says that a text is not one JSON text in UTF-8, or that it is
	// too large or nested too deeply.
	ErrMalformed = errors.New("text is not JSON in UTF-8, too large or nested too deeply")
	// ErrNotObject says that a JSON text is no object, or that an object in it
	// names a member twice: of two equal members each parser takes its own (RFC
	// 8725 section 2.4).
	ErrNotObject = errors.New("value is not a JSON object with unique member names")
	// ErrType says that a member is of another type than was asked for.
	ErrType = errors.New("a member has the wrong type")
)

// An Object is the members of a JSON object. The zero Object has none.
type Object struct{ value gjson.Result }

// Read reads one object of at most maxBytes.
//
// Errors: ErrMalformed, ErrNotObject.
func Read(text []byte, maxBytes int) (Object, error) {
	if len(text) > maxBytes || !Valid(text, maxDepth) {
		return Object{}, ErrMalformed
	}
	value := gjson.ParseBytes(text)
	if !value.IsObject() || !isUnambiguous(value) {
		return Object{}, ErrNotObject
	}
	return Object{value}, nil
}

// Valid reports whether text is one JSON text in UTF-8 whose arrays and objects
// nest at most to depth. Other encodings are refused because readers disagree on
// what they mean.
func Valid(text []byte, depth int) bool {
	// The depth comes first: the validator recurses, and 256 KiB of "[" would
	// cost a stack of many megabytes.
	return nestsAtMost(text, depth) && utf8.Valid(text) && gjson.ValidBytes(text)
}

// nestsAtMost reports whether a text nests at most to depth. One with fewer
// brackets than that need not be looked at more closely.
func nestsAtMost(text []byte, depth int) bool {
	return bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) <= depth || deepest(text) <= depth
}

// deepest is how deep a JSON text nests. For one that is invalid it is at least
// the depth of the part before the fault.
func deepest(text []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++ // whatever is escaped
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			now++
			deepest = max(deepest, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return deepest
}

// isUnambiguous reports whether no object in value has two members of one name.
// It recurses as deep as value nests, which Read has bounded.
func isUnambiguous(value gjson.Result) bool {
	object, unique := value.IsObject(), true
	if !object && !value.IsArray() {
		return true
	}
	var few [8]string // most objects have no more members: these are compared, not hashed
	names, many := few[:0], map[string]bool(nil)
	value.ForEach(func(name, member gjson.Result) bool {
		if object && many == nil {
			unique = !slices.Contains(names, name.Str)
			if names = append(names, name.Str); len(names) == len(few) {
				many = make(map[string]bool, 2*len(few))
				for _, n := range names {
					many[n] = true
				}
			}
		} else if object {
			unique = !many[name.Str]
			many[name.Str] = true
		}
		unique = unique && (member.Type != gjson.JSON || isUnambiguous(member))
		return unique
	})
	return unique
}

// Each calls visit for each member, in order, and ends with its first error.
func (o Object) Each(visit func(name string, value gjson.Result) error) error {
	var err error
	o.value.ForEach(func(name, value gjson.Result) bool {
		err = visit(name.Str, value)
		return err == nil
	})
	return err
}

// Member returns the member of exactly this name; one that is absent does not
// exist in gjson's sense, and has the type null.
func (o Object) Member(name string) (found gjson.Result) {
	o.value.ForEach(func(key, value gjson.Result) bool {
		if key.Str == name {
			found = value
			return false
		}
		return true
	})
	return found
}

// Object returns the members of a member that is an object, and none of another.
func (o Object) Object(name string) Object { return Of(o.Member(name)) }

// Of returns the members of a value that was found in an Object. What is no
// object has none.
func Of(value gjson.Result) Object {
	if !value.IsObject() {
		return Object{}
	}
	return Object{value}
}

// Has reports whether there is a member with a value; null is none.
func (o Object) Has(name string) bool { return o.Member(name).Type != gjson.Null }

// Text returns a string member, or "" if there is none.
//
// Errors: ErrType.
func (o Object) Text(name string) (string, error) {
	switch member := o.Member(name); member.Type {
	case gjson.Null:
		return "", nil
	case gjson.String:
		return member.Str, nil
	}
	return "", ErrType
}

// Texts returns the strings of an array member, or nil if there is none.
//
// Errors: ErrType.
func (o Object) Texts(name string) ([]string, error) {
	member := o.Member(name)
	if member.Type == gjson.Null {
		return nil, nil
	}
	if !member.IsArray() {
		return nil, ErrType
	}
	texts := []string{}
	for _, element := range member.Array() {
		if element.Type != gjson.String {
			return nil, ErrType
		}
		texts = append(texts, element.Str)
	}
	return texts, nil
}
