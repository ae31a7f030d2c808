package grant

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/ascii"
)

// arguments are those of one call, by name.
type arguments map[string]gjson.Result

// parseArguments takes apart a JSON object whose members must be among known's.
func parseArguments(object json.RawMessage, known gjson.Result) (arguments, error) {
	in := arguments{}
	var err error
	gjson.ParseBytes(object).ForEach(func(key, value gjson.Result) bool {
		name := key.String()
		_, twice := in[name]
		switch {
		case isInjected(name) && !known.Get(name).Exists():
		case !known.Get(gjson.Escape(name)).Exists():
			err = invalid("there is no argument %s; %s", quoteName(name), names(known))
		case twice:
			err = invalid("the argument %s was given twice", name)
		case holdsAgeKey(value.Raw): // in whatever place: a name may be looked up elsewhere, and logged
			err = ageKeyFault(name)
		case value.Type != gjson.Null: // null is "not given" to many clients
			in[name] = value
		}
		return err == nil
	})
	return in, err
}

// isInjected reports whether some clients add an argument of that name to every call,
// for themselves, whatever the tool's schema says. It is neither read nor kept, and
// makes no other call of one that is approved.
func isInjected(name string) bool { return name == "task_progress" || name == "toolCallId" }

// quoteName repeats an argument's name if it looks like one. Something else may
// be a secret that slipped into the wrong place.
func quoteName(name string) string {
	if len(name) > 24 || !ascii.Only(name, ascii.Alphanumeric+"_-") {
		return "of that name"
	}
	return fmt.Sprintf("%q", name)
}

// names says which arguments a tool takes.
func names(object gjson.Result) string {
	var all []string
	object.ForEach(func(key, _ gjson.Result) bool {
		all = append(all, key.String())
		return true
	})
	if all == nil {
		return "this tool takes none"
	}
	return "known are " + strings.Join(all, ", ")
}

// text returns a string argument, or "" when it was not given.
func (in arguments) text(name string) (string, error) {
	value, given := in[name]
	if given && value.Type != gjson.String {
		return "", invalid("%s must be a string", name)
	}
	return value.String(), nil
}

// whole returns an integer argument, or 0 when it was not given. As in JSON
// Schema, 3600.0 is an integer.
func (in arguments) whole(name string, least, most int) (int, error) {
	value, given := in[name]
	if !given {
		return 0, nil
	}
	n := value.Float()
	if value.Type != gjson.Number || n != float64(int(n)) || n < float64(least) || n > float64(most) {
		return 0, invalid("%s must be a whole number from %d to %d", name, least, most)
	}
	return int(n), nil
}

// texts returns an argument that is a list of strings, or nil.
func (in arguments) texts(name string) ([]string, error) {
	value, given := in[name]
	if !given {
		return nil, nil
	}
	if !value.IsArray() {
		return nil, invalid("%s must be a list of strings", name)
	}
	all := []string{} // an empty list is not "not given", which asks for everything
	for _, item := range value.Array() {
		if item.Type != gjson.String {
			return nil, invalid("%s must be a list of strings", name)
		}
		all = append(all, item.String())
	}
	return all, nil
}
