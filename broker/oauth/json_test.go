package oauth

import (
	"errors"
	"testing"

	"github.com/tidwall/gjson"
)

func TestEachMember(t *testing.T) {
	failure := errors.New("failure of the visitor")
	tests := []struct {
		name, data string
		visited    string
		want       error
	}{
		{"empty object", ` {} `, "", nil},
		{"members in order", `{"b":1,"a":{"b":2},"":3}`, "b a  ", nil},
		{"escaped name", `{"\u0061":1}`, "a ", nil},
		{"names of other case are others", `{"a":1,"A":2}`, "a A ", nil},
		{"twice", `{"a":1,"b":2,"a":1}`, "a b ", errNotObject},
		{"twice, once escaped", `{"a":1,"\u0061":2}`, "a ", errNotObject},
		{"empty name twice", `{"":1,"":2}`, " ", errNotObject},
		{"twice further down", `{"a":{"b":1,"b":2}}`, "a ", nil}, // its reader's business
		{"visitor fails", `{"a":1,"fail":2,"b":3}`, "a fail ", failure},
		{"array", `[{"a":1}]`, "", errNotObject},
		{"string", `"a"`, "", errNotObject},
		{"number", `1`, "", errNotObject},
		{"null", `null`, "", errNotObject},
		{"nothing", ``, "", errNotObject},
		{"not UTF-8", "{\"a\":\"\xff\"}", "", errNotObject},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			visited := ""
			err := eachMember([]byte(test.data), func(name string, _ gjson.Result) error {
				visited += name + " "
				if name == "fail" {
					return failure
				}
				return nil
			})
			if err != test.want || visited != test.visited {
				t.Errorf("got %q, %v; want %q, %v", visited, err, test.visited, test.want)
			}
		})
	}
}
