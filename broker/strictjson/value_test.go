package strictjson_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"unicode/utf8"

	"mcp-credential-broker/broker/strictjson"
)

func TestMembersOfAValue(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", ` [ ] `: "", `null`: "", `7`: "", `"[1]"`: "", ``: "",
		` { "a" : 1 , "b\u0062" : [ 2 ] } `: "a=1 bb=[ 2 ] ",
		`{"a":1,"a":2,"":{"b":3}}`:          `a=1 a=2 ={"b":3} `,
		`["x",[],{"a":[1]},null,-1.5e3]`:    `="x" =[] ={"a":[1]} =null =-1.5e3 `,
		`["]","}",",",{"]":"["}]`:           `="]" ="}" ="," ={"]":"["} `,
	} {
		got := ""
		for name, value := range strictjson.Parse(text).Members() {
			got += name + "=" + value.Raw + " "
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
	for name := range strictjson.Parse(`{"a":1,"b":2}`).Members() {
		if name != "a" {
			t.Errorf("went on to %s after the end", name)
		}
		break
	}
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		text  string
		whole int64
		float float64
	}{
		{"0", 0, 0}, {"-7", -7, -7}, {"900.0", 0, 900}, {"9e2", 0, 900}, {"9223372036854775807", math.MaxInt64, 1 << 63}, {"9223372036854775808", 0, 1 << 63},
		{"1e999", 0, math.Inf(1)}, {`"7"`, 0, 0}, {"true", 0, 0}, {"null", 0, 0}, {"[7]", 0, 0}, {"", 0, 0},
	} {
		v := strictjson.Parse(tt.text)
		if whole := v.Int(); whole != tt.whole {
			t.Errorf("%s: whole %d, want %d", tt.text, whole, tt.whole)
		}
		if float := v.Float(); float != tt.float {
			t.Errorf("%s: %v, want %v", tt.text, float, tt.float)
		}
	}
}

// FuzzParse: a valid text reads as encoding/json reads it, all the way down; and what
// is no valid text is at least no panic.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", " ", `"`, `"\`, `"\u0061\n\ud800\u0061\ud83d\ude00"`, "{", `{"a"`, `{"a":`, `{"a":1,`, "[", "[1", "[1,", "tru", "nul", "-",
		`{"a":[1,{"b":null,"\u0063":true}],"":false,"d":"\"}"}`, ` [ "x" , -0.5e+7 , [ ] , { } ] `,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := readAll(strictjson.Parse(text), 100)
		if !json.Valid([]byte(text)) || !utf8.ValidString(text) || !strictjson.Valid(text, 50) {
			return
		}
		var want any
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			return // a number out of range
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	})
}

// readAll is a value as encoding/json has it. Of members with one name the last counts.
func readAll(v strictjson.Value, depth int) any {
	switch {
	case v.IsObject():
		object := map[string]any{}
		for name, member := range v.Members() {
			if depth > 0 {
				object[name] = readAll(member, depth-1)
			}
		}
		return object
	case v.IsArray():
		list := []any{}
		for _, item := range v.Array() {
			if depth > 0 {
				list = append(list, readAll(item, depth-1))
			}
		}
		return list
	case v.Type == strictjson.String:
		return v.Str
	case v.Type == strictjson.Number:
		return v.Float()
	case v.Type == strictjson.Null:
		return nil
	}
	return v.Type == strictjson.True
}
