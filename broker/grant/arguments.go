package grant

import (
	"encoding/json"
	"fmt"
	"strings"

	"mcp-credential-broker/broker/strictjson"
)

// arguments are those of one call, by name.
type arguments map[string]strictjson.Value

// parseArguments takes apart a JSON object whose members must be among known's.
func parseArguments(object json.RawMessage, known strictjson.Object) (arguments, error) {
	in := arguments{}
	for name, value := range strictjson.Parse(string(object)).Members() {
		_, twice := in[name]
		switch {
		case isInjected(name) && !known.Has(name):
		case !known.Has(name):
			return in, invalid("there is no argument %s; %s", quoteName(name), names(known))
		case twice:
			return in, invalid("the argument %s was given twice", name)
		case holdsAgeKey(value.Raw): // in whatever place: a name may be looked up elsewhere, and logged
			return in, ageKeyFault(name)
		case value.Type != strictjson.Null: // null is "not given" to many clients
			in[name] = value
		}
	}
	return in, nil
}

// isInjected reports whether some clients add an argument of that name to every call,
// for themselves, whatever the tool's schema says. It is neither read nor kept, and
// makes no other call of one that is approved.
func isInjected(name string) bool { return name == "task_progress" || name == "toolCallId" }

// quoteName repeats an argument's name if it looks like one. Something else may
// be a secret that slipped into the wrong place.
func quoteName(name string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if len(name) > 24 || strings.Trim(name, letters) != "" {
		return "of that name"
	}
	return fmt.Sprintf("%q", name)
}

// names says which arguments a tool takes.
func names(known strictjson.Object) string {
	var all []string
	_ = known.Each(func(name string, _ strictjson.Value) error {
		all = append(all, name)
		return nil
	})
	if all == nil {
		return "this tool takes none"
	}
	return "known are " + strings.Join(all, ", ")
}

// text returns a string argument, or "" when it was not given.
func (in arguments) text(name string) (string, error) {
	value, given := in[name]
	if given && value.Type != strictjson.String {
		return "", invalid("%s must be a string", name)
	}
	return value.Str, nil
}

// whole returns an integer argument, or 0 when it was not given. As in JSON
// Schema, 3600.0 is an integer.
func (in arguments) whole(name string, least, most int) (int, error) {
	value, given := in[name]
	if !given {
		return 0, nil
	}
	n := value.Float()
	if value.Type != strictjson.Number || n != float64(int(n)) || n < float64(least) || n > float64(most) {
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
		if item.Type != strictjson.String {
			return nil, invalid("%s must be a list of strings", name)
		}
		all = append(all, item.Str)
	}
	return all, nil
}
