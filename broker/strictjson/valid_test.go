package strictjson_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"mcp-credential-broker/broker/strictjson"
)

// FuzzValid: what is JSON in UTF-8 for encoding/json is JSON here, and nothing else.
func FuzzValid(f *testing.F) {
	for _, text := range []string{
		"", " ", "0", "-0", "-", "01", "-01", "1.", ".1", "1.5", "1e9", "1E+9", "1e-", "1e+", "+1", "0x1", "1 2", "-1.0e-1",
		"true", "tru", "truer", "false", "falsy", "null", "nul", "NULL", "\x00", "1\x00", "\v1",
		`"`, `""`, `"\`, `"\"`, `"\\"`, `"\/\b\f\n\r\t"`, `"\v"`, `"\u"`, `"\u12"`, `"\u00e9"`, `"\u00eg"`, `"\ud800"`, "\"\t\"", "\"\x7f\"", "\"\u2028é😀\"", "\"\xff\"", "\"\xed\xa0\x80\"",
		"[", "]", "[]", "[ ]", "[,]", "[1,]", "[,1]", "[1 2]", "[1]]", "[[]", "[[],{}]", "[\n1\t,\r2 ]",
		"{", "}", "{}", "{ }", `{,}`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a" : 1 , "b":[ { } ] }`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`, `{"a":1}}`, `{"a"::1}`, `{null:1}`,
	} {
		f.Add(text)
		f.Add(" \t\r\n" + text + "\n")
		f.Add(`{"a":[` + text + `,"b"]}`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := json.Valid([]byte(text)) && utf8.ValidString(text)
		if got := strictjson.Valid(text, len(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	})
}
