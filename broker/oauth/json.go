package oauth

import (
	"errors"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

var errNotObject = errors.New("value is not a JSON object with unique member names")

// eachMember calls visit for each member of the object in data, which must be
// valid JSON. It is strict where encoding/json is not: names are compared as they
// are ("ISS" is not iss), a name must not come twice (two parsers could each take
// another one, RFC 8725 section 2.4), and text must be UTF-8. It ends with the
// first error of visit.
func eachMember(data []byte, visit func(name string, value gjson.Result) error) error {
	object := gjson.ParseBytes(data)
	if !object.IsObject() || !utf8.Valid(data) {
		return errNotObject
	}
	var err error
	seen := map[string]bool{}
	object.ForEach(func(key, value gjson.Result) bool {
		if seen[key.Str] {
			err = errNotObject
			return false
		}
		seen[key.Str] = true
		err = visit(key.Str, value)
		return err == nil
	})
	return err
}
