package mcp

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// indentedWant is what appendIndented has to make of an object, by encoding/json.
func indentedWant(t *testing.T, object []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, object, "", "  "); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func checkIndented(t *testing.T, object []byte) {
	t.Helper()
	quoted := appendIndented([]byte("before"), object)
	rest, found := bytes.CutPrefix(quoted, []byte("before"))
	var got string
	if err := json.Unmarshal(rest, &got); !found || err != nil {
		t.Fatalf("%q becomes %q, which is no JSON string: %v", object, rest, err)
	}
	if want := indentedWant(t, object); got != want {
		t.Errorf("%q becomes\n%s\nwant\n%s", object, got, want)
	}
}

func TestAppendIndented(t *testing.T) {
	for _, object := range []string{
		`{}`, `{"a":1}`, `{"a":{},"b":[],"c":[{}],"d":[[]]}`, `{"a":[1,-2.5e3,true,false,null,"x"]}`,
		`{"a":{"b":{"c":{"d":[{"e":"f"},{"g":"h"}]}}}}`,
		`{"":""}`, `{"a":"{[,:]}"}`, `{"a\"b":"c\"d\\"}`, `{"a":"\\\\\"","b":"\\"}`, `{"a":"\u0000\n\t\u2028\/"}`,
		`{"a":"é €  ` + "\u2028\u2029\x7f" + `"}`,
	} {
		checkIndented(t, []byte(object))
	}
}

// FuzzAppendIndented compares it with encoding/json. What is fed to it is what a
// tool's result is: compact JSON that encoding/json has written.
func FuzzAppendIndented(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c\\\"d"},[]],"e":{},"f":"\u2028\ud800"}`))
	f.Add([]byte(`{"a" : "\\" , "b":[ ]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil || members == nil {
			return
		}
		object, err := encode(members)
		if err != nil || !utf8.Valid(object) { // what encoding/json is given raw, it does not mend
			return
		}
		checkIndented(t, object)
	})
}
