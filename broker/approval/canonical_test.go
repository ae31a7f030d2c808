package approval_test

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/approval"
)

// TestCanonical: groups of objects that are the same call, each another than those
// of the other groups.
func TestCanonical(t *testing.T) {
	seen := map[[sha256.Size]byte]int{}
	for i, group := range [][]string{
		{`{}`, ` { } `, `{"approval":"ABCD"}`, `{"seal_to":"age1","approval":"x"}`},
		{`{"a":"x","b":900}`, `{"b":900,"a":"x"}`, "{\n\"b\" : 900.0,\t\"a\":\"\\u0078\"}", `{"a":"x","b":9e2,"approval":"Y"}`, `{"a":"x","b":0.9E+3}`},
		{`{"a":"x","b":901}`}, {`{"a":"x","b":"900"}`}, {`{"a":"x","b":-900}`}, {`{"a":"X","b":900}`}, {`{"a":"x"}`}, {`{"c":"x"}`}, {`{"a":"x","b":900,"c":""}`}, {`{"a":"x ","b":900}`},
		{`{"a":["x","y"]}`, `{"a" : [ "x", "y" ]}`}, {`{"a":["y","x"]}`}, {`{"a":["x","y","y"]}`}, {`{"a":["x,y"]}`}, {`{"a":"[\"x\",\"y\"]"}`}, {`{"a":[]}`},
		{`{"a":true}`}, {`{"a":false}`}, {`{"a":"true"}`},
		{`{"b":0}`, `{"b":-0}`, `{"b":0.0}`, `{"b":-0e5}`},
		{`{"a":"\"b\":1"}`}, {`{"a":"","b":1}`}, {`{"a":"x","b":"y"}`}, {`{"a":"x\",\"b\":\"y"}`}, {`{"a\":\"x\",\"b":"y"}`},
		{`{"b":9007199254740993}`, `{"b":9007199254740992}`}, // one number to whoever reads it as JSON's
		{`{"a":"/\u003c\u2028"}`, `{"a":"\/<` + "\u2028" + `"}`},
	} {
		for _, text := range group {
			sum, err := approval.Canonical(gjson.Parse(text).Map(), "approval", "seal_to")
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			if before, known := seen[sum]; known && before != i {
				t.Errorf("%s is the same call as one of group %d", text, before)
			} else if !known && text != group[0] {
				t.Errorf("%s is another call than %s", text, group[0])
			}
			seen[sum] = i
		}
	}
	for _, text := range []string{`{"a":{}}`, `{"a":[[]]}`, `{"a":[{}]}`, `{"a":null}`, `{"a":[null]}`} {
		if _, err := approval.Canonical(gjson.Parse(text).Map()); !errors.Is(err, approval.ErrArguments) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestCanonicalIsOfTheValues: objects of a few names and values that are easily taken
// for each other, each written in two ways. Two are the same call if and only if a JSON
// reader takes them for the same.
func TestCanonicalIsOfTheValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	names := []string{"a", "b", "a\"", "a,b", "", "\u00e9"}
	scalars := []string{`""`, `"a"`, `"\""`, `"a\",\"b"`, `"1"`, `"true"`, `"\u0061"`, `"\\u0061"`, `"[]"`, `1`, `1.0`, `10e-1`, `-0`, `0`, `0.1`, `1e300`, `true`, `false`, `"\u00e9"`, `"` + "\u00e9" + `"`}
	value := func() string {
		if random.IntN(3) > 0 {
			return scalars[random.IntN(len(scalars))]
		}
		items := make([]string, random.IntN(3))
		for i := range items {
			items[i] = scalars[random.IntN(len(scalars))]
		}
		return "[" + strings.Join(items, ",") + "]"
	}
	write := func(members map[string]string, space string) string {
		var all []string
		for name, value := range members { // in any order
			quoted, _ := json.Marshal(name)
			all = append(all, string(quoted)+space+":"+space+value)
		}
		return "{" + space + strings.Join(all, space+","+space) + "}"
	}
	read := func(text string) string {
		var members map[string]any
		if err := json.Unmarshal([]byte(text), &members); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for name, value := range members {
			if value == 0.0 { // no negative zero
				members[name] = 0.0
			}
			if list, ok := value.([]any); ok {
				for i := range list {
					if list[i] == 0.0 {
						list[i] = 0.0
					}
				}
			}
		}
		return fmt.Sprintf("%#v", members)
	}
	bySum, byValue := map[[sha256.Size]byte]string{}, map[string][sha256.Size]byte{}
	for range 20_000 {
		members := map[string]string{}
		for range random.IntN(4) {
			members[names[random.IntN(len(names))]] = value()
		}
		for _, text := range []string{write(members, ""), write(members, "\n\t ")} {
			sum, err := approval.Canonical(gjson.Parse(text).Map())
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			values := read(text)
			if other, known := bySum[sum]; known && other != values {
				t.Fatalf("%s is taken for %s", values, other)
			}
			if other, known := byValue[values]; known && other != sum {
				t.Fatalf("%s is another call than before", values)
			}
			bySum[sum], byValue[values] = values, sum
		}
	}
	if len(byValue) < 1000 {
		t.Errorf("only %d different calls", len(byValue))
	}
}
