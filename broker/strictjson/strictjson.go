// Package strictjson reads JSON objects that others wrote.
//
// It promises that every reader of what it lets through sees the same: one JSON
// text (RFC 8259) in UTF-8, in which no object names a member twice, at any
// depth, in which names are compared as they are, and without half of a surrogate
// pair. Size and depth are bounded before anything recurses. It does not check
// what the members mean.
package strictjson

import (
	"errors"
	"strings"

	"github.com/tidwall/gjson"
)

// maxDepth is how deep arrays and objects may nest in what Read takes. Nothing
// that the broker reads nests deeper than 4.
const maxDepth = 32

var (
	// ErrMalformed says that a text is not one JSON text in UTF-8, has half of a
	// surrogate pair, or is too large or nested too deeply.
	ErrMalformed = errors.New("text is not JSON in UTF-8, too large or nested too deeply")
	// ErrNotObject says that a JSON text is no object, or that an object in it
	// names a member twice: of two equal members each parser takes its own (RFC
	// 8725 section 2.4).
	ErrNotObject = errors.New("value is not a JSON object with unique member names")
	// ErrType says that a member is of another type than was asked for.
	ErrType = errors.New("a member has the wrong type")
)

// An Object is the members of a JSON object. The zero Object has none.
type Object struct{ members []member }

// A member's value is its JSON text.
type member struct{ name, value string }

// Read reads one object of at most maxBytes.
//
// Errors: ErrMalformed, ErrNotObject.
func Read(text []byte, maxBytes int) (Object, error) {
	if len(text) > maxBytes {
		return Object{}, ErrMalformed
	}
	return read(string(text))
}

func read(text string) (Object, error) {
	s := scanner{text: text, members: make([]member, 0, usualMembers)}
	switch {
	case !s.whole(maxDepth):
		return Object{}, ErrMalformed
	case s.twice || !strings.HasPrefix(strings.TrimLeft(text, space), "{"):
		return Object{}, ErrNotObject
	}
	return Object{s.members}, nil
}

// Valid reports whether text is one JSON text in UTF-8 whose arrays and objects
// nest at most to depth. Other encodings are refused because readers disagree on
// what they mean. Unlike Read it takes names twice and halves of surrogate pairs.
func Valid(text string, depth int) bool {
	s := scanner{text: text}
	return s.whole(depth)
}

// Each calls visit for each member, in order, and ends with its first error.
func (o Object) Each(visit func(name string, value gjson.Result) error) error {
	for _, m := range o.members {
		if err := visit(m.name, gjson.Parse(m.value)); err != nil {
			return err
		}
	}
	return nil
}

// Member returns the member of exactly this name; one that is absent does not
// exist in gjson's sense, and has the type null.
func (o Object) Member(name string) gjson.Result {
	for _, m := range o.members {
		if m.name == name {
			return gjson.Parse(m.value)
		}
	}
	return gjson.Result{}
}

// Object returns the members of a member that is an object, and none of another.
func (o Object) Object(name string) Object { return Of(o.Member(name)) }

// Of returns the members of a value that was found in an Object. What is no
// object has none.
func Of(value gjson.Result) Object {
	object, _ := read(value.Raw)
	return object
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
