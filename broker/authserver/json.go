package authserver

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var (
	errNotObject = errors.New("value is not a JSON object with unique member names")
	errWrongType = errors.New("a member has the wrong type")
)

// An object is the members of a JSON object. Names are compared as they are.
type object map[string]gjson.Result

// readObject reads strictly: two parsers could each take another one of two
// equal members, so none may come twice, and text must be UTF-8.
func readObject(data []byte) (object, error) {
	// json.Valid does not recurse: deep nesting costs no stack.
	if !utf8.Valid(data) || !json.Valid(data) {
		return nil, errNotObject
	}
	value := gjson.ParseBytes(data)
	if !value.IsObject() {
		return nil, errNotObject
	}
	members, unique := object{}, true
	value.ForEach(func(key, member gjson.Result) bool {
		_, seen := members[key.Str]
		members[key.Str] = member
		unique = !seen
		return unique
	})
	if !unique {
		return nil, errNotObject
	}
	return members, nil
}

// has reports whether there is a member with a value; null is none.
func (o object) has(name string) bool { return o[name].Type != gjson.Null }

// text returns a string member, or "" if there is none.
func (o object) text(name string) (string, error) {
	if !o.has(name) {
		return "", nil
	}
	if o[name].Type != gjson.String {
		return "", errWrongType
	}
	return o[name].Str, nil
}

// texts returns the strings of an array member, or nil if there is none.
func (o object) texts(name string) ([]string, error) {
	if !o.has(name) {
		return nil, nil
	}
	if !o[name].IsArray() {
		return nil, errWrongType
	}
	texts := []string{}
	for _, element := range o[name].Array() {
		if element.Type != gjson.String {
			return nil, errWrongType
		}
		texts = append(texts, element.Str)
	}
	return texts, nil
}
