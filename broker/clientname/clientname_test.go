package clientname

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"plain", "Claude Code -- beta", "Claude Code -- beta"},
		{"accent", "Café MCP", "Café MCP"},
		{"accent by itself", "Cafe\u0301 MCP", "Cafe\u0301 MCP"},
		{"two accents", "e\u0302\u0301", "e\u0302\u0301"},
		{"other scripts", "Größe 日本語 עברית हिन्दी ไทย", "Größe 日本語 עברית हिन्दी ไทย"},
		{"punctuation", `<script>alert("1")</script>&amp;'`, `<script>alert("1")</script>&amp;'`},
		{"typographer's punctuation", "Tom’s “app” – beta…", "Tom’s “app” – beta…"},
		{"ASCII symbols", "C++ | a=b ~ $1 ^ `x`", "C++ | a=b ~ $1 ^ `x`"},
		{"spaces", "  a \t b\u00a0c\u3000d ", "a b c d"},
		{"line breaks", "a\r\nb\u2028c\u2029d\u0085e", "a b c d e"},
		{"escape codes", "a\x1b[31mb\x00c", "a [31mb c"},
		{"not UTF-8", "a\xffb", "a b"},
		{"turned writing", "Claude\u202e edualC\u2066\u200f", "Claude edualC"},
		{"nothing between", "Cla\u200bu\u2060d\ufeffe\u00ad", "Claude"},
		{"letters that show nothing", "Clau\u3164de\u115f\u1160\uffa0", "Claude"},
		{"marks that show nothing", "Claude\u034f\ufe0f\U000e0101\u180b\u17b4", "Claude"},
		{"tags", "Claude\U000e0041\U000e007f", "Claude"},
		{"a blank of braille", "Cla\u2800ude", "Claude"},
		{"tick", "Claude ✓ ✔️ ☑ ✅", "Claude"},
		{"lock, shield and star", "🔒 Claude 🛡️ ⭐ ★", "Claude"},
		{"trade marks", "Claude® ™ ©", "Claude"},
		{"letters in circles", "ⓥ🅥 Claude", "Claude"},
		{"digits in circles", "Claude ❶①", "Claude"},
		{"keycap", "Claude 1\ufe0f\u20e3", "Claude 1"},
		{"skin and family", "👍🏽 Claude 👨\u200d👩", "Claude"},
		{"arrows and lines", "Claude → ─ █", "Claude"},
		{"mathematics", "√ Claude ≠", "Claude"},
		{"mark without a letter", "\u0301 \u0301a .\u0301", "a ."},
		{"marks in a heap", "a" + strings.Repeat("\u0301", 20) + "b", "a\u0301\u0301\u0301b"},
		{"private and unassigned", "a\ue000\U000f0000\u0378b", "ab"},
		{"no letter", "-- !!", ""},
		{"symbols alone", "✓ 🔒", ""},
		{"digit", "7", "7"},
		{"nothing", "", ""},
		{"long", strings.Repeat("é", 60), strings.Repeat("é", 48)},
		{"long with a space at the end", strings.Repeat("x", 95) + " yz", strings.Repeat("x", 95)},
		{"a letter behind the end", strings.Repeat("-", 96) + "x", ""},
		{"a letter behind much space", strings.Repeat(" ", 4096) + "x", "x"},
	}
	for _, tt := range tests {
		if got := Clean(tt.in); got != tt.want {
			t.Errorf("%s: %q becomes %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

// FuzzClean: a clean name stays as it is, is short, and holds nothing that does
// not show.
func FuzzClean(f *testing.F) {
	f.Add("Claude Code")
	f.Add("a\r\n\u202eb\x00\xff" + strings.Repeat("é", 60))
	f.Add(strings.Repeat("x ", 60) + "\u0301")
	f.Fuzz(func(t *testing.T, name string) {
		clean := Clean(name)
		if Clean(clean) != clean || len(clean) > MaxBytes || !utf8.ValidString(clean) || clean != strings.TrimSpace(clean) || strings.Contains(clean, "  ") {
			t.Errorf("%q becomes %q", name, clean)
		}
		readable := clean == ""
		for _, r := range clean {
			readable = readable || unicode.IsLetter(r) || unicode.IsDigit(r)
			if !strconv.IsPrint(r) || r > '~' && unicode.IsSymbol(r) {
				t.Errorf("%q keeps %q", name, r)
			}
		}
		if !readable {
			t.Errorf("%q becomes %q, which says nothing", name, clean)
		}
	})
}
