package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/strictjson"
)

func nested(open, inner, closing string, depth int) string {
	return strings.Repeat(open, depth) + inner + strings.Repeat(closing, depth)
}

func TestRead(t *testing.T) {
	deep := func(depth int) string { return `{"a":` + nested("[", "", "]", depth-1) + `}` }
	tests := []struct {
		name, text string
		names      string // of the members, in order
		want       error
	}{
		{"empty object", ` {} `, "", nil},
		{"members in order", `{"b":1,"a":{"b":2},"":3}`, "b a  ", nil},
		{"escaped name", `{"\u0061":1}`, "a ", nil},
		{"surrogate pairs, and what is none", `{"\uD83d\uDe00\ud7ff\ue000\\ud800":1}`, "😀\ud7ff\ue000\\ud800 ", nil},
		{"names of other case are others", `{"a":1,"A":2}`, "a A ", nil},
		{"one name in two objects", `{"a":{"b":1},"c":[{"b":1},{"b":2}]}`, "a c ", nil},
		{"as deep as may be", deep(32), "a ", nil},
		{"brackets in a string", `{"a":"` + strings.Repeat("[", 99) + `\"[{\\"}`, "a ", nil},

		{"twice", `{"a":1,"b":2,"a":1}`, "", strictjson.ErrNotObject},
		{"twice, once escaped", `{"a":1,"\u0061":2}`, "", strictjson.ErrNotObject},
		{"twice, once with another escape", `{"/":1,"\/":2}`, "", strictjson.ErrNotObject},
		{"twice, once in escapes of a pair", `{"\ud83d\uDE00":1,"😀":2}`, "", strictjson.ErrNotObject},
		{"empty name twice", `{"":1,"":2}`, "", strictjson.ErrNotObject},
		{"twice further down", `{"a":{"b":1,"b":2}}`, "", strictjson.ErrNotObject},
		{"twice in an array's object", `{"a":[0,[{"b":1,"c":[],"b":2}]]}`, "", strictjson.ErrNotObject},
		{"twice behind what is good", `{"a":{"b":1},"c":{"d":1,"d":2},"e":3}`, "", strictjson.ErrNotObject},
		{"array", `[{"a":1}]`, "", strictjson.ErrNotObject},
		{"string", `"a"`, "", strictjson.ErrNotObject},
		{"number", `1`, "", strictjson.ErrNotObject},
		{"null", `null`, "", strictjson.ErrNotObject},

		{"nothing", ``, "", strictjson.ErrMalformed},
		{"blanks", "\n ", "", strictjson.ErrMalformed},
		{"cut off", `{"a":1`, "", strictjson.ErrMalformed},
		{"followed by another", `{}{}`, "", strictjson.ErrMalformed},
		{"comma at the end", `{"a":1,}`, "", strictjson.ErrMalformed},
		{"comment", `{"a":1/**/}`, "", strictjson.ErrMalformed},
		{"single quotes", `{'a':1}`, "", strictjson.ErrMalformed},
		{"bare name", `{a:1}`, "", strictjson.ErrMalformed},
		{"number with a zero in front", `{"a":01}`, "", strictjson.ErrMalformed},
		{"number with a plus", `{"a":+1}`, "", strictjson.ErrMalformed},
		{"half a surrogate pair", `{"a":"\ud800"}`, "", strictjson.ErrMalformed},
		{"half a surrogate pair before a letter's escape", `{"\uD83D\u0061":1,"\ufffda":2}`, "", strictjson.ErrMalformed},
		{"half a surrogate pair before another escape", `{"a":"\ud83d\n"}`, "", strictjson.ErrMalformed},
		{"half a surrogate pair before a letter", `{"a":"\uDBFFuDE00 "}`, "", strictjson.ErrMalformed},
		{"first half of a surrogate pair twice", `{"a":"\ud83d\ud83d\ude00"}`, "", strictjson.ErrMalformed},
		{"second half of a surrogate pair", `{"a":"\udc00"}`, "", strictjson.ErrMalformed},
		{"a surrogate pair the wrong way round", `{"a":"\ude00\ud83d"}`, "", strictjson.ErrMalformed},
		{"a surrogate pair cut off", `{"a":"\ud83d\ude0"}`, "", strictjson.ErrMalformed},
		{"NaN", `{"a":NaN}`, "", strictjson.ErrMalformed},
		{"line break in a string", "{\"a\":\"\n\"}", "", strictjson.ErrMalformed},
		{"byte order mark", "\ufeff{}", "", strictjson.ErrMalformed},
		{"not UTF-8", "{\"a\":\"\xff\"}", "", strictjson.ErrMalformed},
		{"name is not UTF-8", "{\"\xff\":1}", "", strictjson.ErrMalformed},
		{"UTF-16", "{\x00}\x00", "", strictjson.ErrMalformed},
		{"an array too deep", deep(33), "", strictjson.ErrMalformed},
		{"an object too deep", nested(`{"a":`, "1", "}", 33), "", strictjson.ErrMalformed},
		{"only openings", strings.Repeat("[", 4000), "", strictjson.ErrMalformed},
		{"as long as may be", `{"a":"` + strings.Repeat("x", 4096-8) + `"}`, "a ", nil},
		{"one byte too long", `{"a":"` + strings.Repeat("x", 4096-7) + `"}`, "", strictjson.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			object, err := strictjson.Read([]byte(tt.text), 4096)
			names := ""
			if failed := object.Each(func(name string, _ gjson.Result) error { names += name + " "; return nil }); failed != nil {
				t.Fatal(failed)
			}
			if !errors.Is(err, tt.want) || names != tt.names {
				t.Errorf("got %q, %v; want %q, %v", names, err, tt.names, tt.want)
			}
		})
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	object, err := strictjson.Read([]byte(`{"a":1,"fail":2,"b":3}`), 99)
	if err != nil {
		t.Fatal(err)
	}
	visited, failure := "", errors.New("failure of the visitor")
	err = object.Each(func(name string, _ gjson.Result) error {
		visited += name + " "
		if name == "fail" {
			return failure
		}
		return nil
	})
	if err != failure || visited != "a fail " {
		t.Errorf("visited %q, %v", visited, err)
	}
}

func TestMembers(t *testing.T) {
	object, err := strictjson.Read([]byte(`{"text":"a","null":null,"number":1,"list":["a","b"],"empty":[],"mixed":["a",1],"in":{"text":"b"},"\u0065sc":"c","a.b":"d"}`), 999)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		text    string
		list    []string
		has     bool
		textErr bool
		listErr bool
	}{
		"text":    {text: "a", has: true, listErr: true},
		"esc":     {text: "c", has: true, listErr: true},
		"a.b":     {text: "d", has: true, listErr: true},
		"null":    {},
		"absent":  {},
		"in.text": {}, // a name, not a path
		"*":       {},
		"@this":   {},
		"number":  {has: true, textErr: true, listErr: true},
		"in":      {has: true, textErr: true, listErr: true},
		"list":    {list: []string{"a", "b"}, has: true, textErr: true},
		"empty":   {list: []string{}, has: true, textErr: true},
		"mixed":   {has: true, textErr: true, listErr: true},
	} {
		text, textErr := object.Text(name)
		list, listErr := object.Texts(name)
		if has := object.Has(name); has != want.has {
			t.Errorf("%s: has %v, want %v", name, has, want.has)
		}
		if text != want.text || errors.Is(textErr, strictjson.ErrType) != want.textErr {
			t.Errorf("%s: text %q (%v), want %q (ErrType: %v)", name, text, textErr, want.text, want.textErr)
		}
		if !slices.Equal(list, want.list) || (list == nil) != (want.list == nil) || errors.Is(listErr, strictjson.ErrType) != want.listErr {
			t.Errorf("%s: list %#v (%v), want %#v (ErrType: %v)", name, list, listErr, want.list, want.listErr)
		}
	}
	if got := object.Object("in").Member("text").Str; got != "b" {
		t.Errorf("in.text is %q", got)
	}
	if object.Object("text").Has("") || object.Object("list").Has("") || object.Object("absent").Has("") {
		t.Error("what is no object has members")
	}
}

// FuzzRead compares with encoding/json, which takes more, and never something
// else.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":"\u0061"}],"A":1e3}`))
	f.Add([]byte(`{"a":1,"\u0061":2}`))
	f.Add([]byte("{\"a\":\"\xff\"}"))
	f.Add([]byte(`{"a":"\ud800\u0061","\ud83d\ude00":1}`))
	f.Add([]byte(strings.Repeat(`[{"":`, 40)))
	f.Fuzz(func(t *testing.T, text []byte) {
		object, err := strictjson.Read(text, 1<<10)
		if err != nil {
			return
		}
		var want map[string]any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil || len(text) > 1<<10 {
			t.Fatalf("took %q: %v", text, err)
		}
		names := 0
		_ = object.Each(func(name string, value gjson.Result) error {
			names++
			other, ok := want[name]
			if text, isText := other.(string); !ok || isText != (value.Type == gjson.String) || isText && text != value.Str {
				t.Fatalf("%q reads as %v here and as %v there", name, value, other)
			}
			return nil
		})
		if names != len(want) {
			t.Fatalf("%d members here, %d there: %q", names, len(want), text)
		}
	})
}

// TestTwiceAmongMany: a name that comes twice is found wherever it stands, in
// objects of few and of many members.
func TestTwiceAmongMany(t *testing.T) {
	for size := 1; size <= 40; size++ {
		members := make([]string, size)
		for i := range members {
			members[i] = fmt.Sprintf(`"m%d":[{"in":1}]`, i)
		}
		object := func() []byte { return []byte("{" + strings.Join(members, ",") + "}") }
		if _, err := strictjson.Read(object(), 9999); err != nil {
			t.Fatalf("%d members: %v", size, err)
		}
		for first := range size {
			for _, second := range []int{0, first, size - 1} {
				if second == first {
					continue
				}
				was := members[second]
				members[second] = fmt.Sprintf(`"\u006d%d":1`, first)
				if _, err := strictjson.Read(object(), 9999); !errors.Is(err, strictjson.ErrNotObject) {
					t.Errorf("%d members, of which %d and %d have one name: %v", size, first, second, err)
				}
				members[second] = was
			}
		}
	}
}

// TestDepth: brackets in strings do not count, neither when there are few nor many.
func TestDepth(t *testing.T) {
	for depth := range 8 {
		text := strings.Repeat("[", depth) + `"` + strings.Repeat("{[", 20) + `"` + strings.Repeat("]", depth)
		plain := strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth)
		for limit := range 8 {
			if got := strictjson.Valid(text, limit); got != (depth <= limit) {
				t.Errorf("%s within %d: %v", text, limit, got)
			}
			if got := strictjson.Valid(plain, limit); got != (depth <= limit) {
				t.Errorf("%s within %d: %v", plain, limit, got)
			}
		}
	}
}
