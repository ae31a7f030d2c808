package glob

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true},
		{"", "a", false},
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"a", "ba", false},
		{"*", "", true},
		{"*", "a/b:c", true},
		{"a*", "a", true},
		{"a*", "ba", false},
		{"*a", "ba", true},
		{"*a", "ab", false},
		{"aa*aa", "aaa", false}, // head and tail may not share a letter
		{"aa*aa", "aaaa", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "a--b--c", true},
		{"a*b*c", "a--c--c", false},
		{"a*bc*c", "abc", false},
		{"*ab*ab*", "ab", false},
		{"*ab*ab*", "abab", true},
		{"a**b", "ab", true},
		{"a.b", "axb", false}, // no other byte is special
		{"[a-z]", "b", false},
		{"a?", "ab", false},
		{`\*`, "*", false},
		{"^a$", "a", false},
		{"a|b", "a", false},
		{"arn:aws:iam::*:role/Dev*", "arn:aws:iam::123456789012:role/Developer", true},
		{"arn:aws:iam::*:role/Dev*", "arn:aws:iam::123456789012:role/team/Developer", false},
		{"*@example.com", "bob@example.com", true},
		{"*@example.com", "bob@example.com.evil.example", false},
		{"*@example.com", "bob@example.com\n", false},
	}
	for _, tt := range tests {
		if got := New(tt.pattern).Match(tt.s); got != tt.want {
			t.Errorf("New(%q).Match(%q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestFold(t *testing.T) {
	tests := []struct {
		pattern, s string
		want       bool
	}{
		{"*@Example.COM", "BOB@eXample.com", true},
		{"kim", "KIM", true},
		{"kim", "\u212aim", false}, // the Kelvin sign is no k
		{"sam", "\u017fam", false}, // nor the long s an s
		{"ü", "Ü", false},
	}
	for _, tt := range tests {
		if got := Fold(tt.pattern).Match(tt.s); got != tt.want {
			t.Errorf("Fold(%q).Match(%q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestList(t *testing.T) {
	l := List{New("a*"), New("b")}
	if !l.Match("b") || !l.Match("ab") || l.Match("c") || (List{}).Match("") {
		t.Error("a list matches what none of its patterns does, or misses what one does")
	}
}

// TestSlowPattern: what takes a backtracking matcher longer than the universe
// has lasted ends at once.
func TestSlowPattern(t *testing.T) {
	if New(strings.Repeat("a*", 10_000) + "b").Match(strings.Repeat("a", 100_000)) {
		t.Error("it matches")
	}
}

// words are all texts of up to n letters of the alphabet.
func words(alphabet string, n int) []string {
	all := []string{""}
	for from := 0; n > 0; n-- {
		to := len(all)
		for _, word := range all[from:to] {
			for _, letter := range alphabet {
				all = append(all, word+string(letter))
			}
		}
		from = to
	}
	return all
}

// naive is what a pattern means, said as short as can be.
func naive(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		return naive(pattern[1:], s) || s != "" && naive(pattern, s[1:])
	}
	return s != "" && s[0] == pattern[0] && naive(pattern[1:], s[1:])
}

// TestAgainstNaive tries every short pattern with every short text, and holds
// Covers and Overlaps against what the patterns match.
func TestAgainstNaive(t *testing.T) {
	patterns, texts := words("ab*", 4), words("abc", 5)
	matched := make([]map[string]bool, len(patterns))
	for i, pattern := range patterns {
		g := New(pattern)
		matched[i] = map[string]bool{}
		for _, s := range texts {
			want := naive(pattern, s)
			if g.Match(s) != want {
				t.Fatalf("New(%q).Match(%q) = %v", pattern, s, !want)
			}
			if want {
				matched[i][s] = true
			}
		}
	}
	for i, a := range patterns {
		for j, b := range patterns {
			covers, overlaps := true, false
			for s := range matched[j] {
				covers = covers && matched[i][s]
				overlaps = overlaps || matched[i][s]
			}
			if got := New(a).Covers(New(b)); got != covers {
				t.Fatalf("%q covers %q: %v", a, b, got)
			}
			// A text of both may be longer than those tried.
			if got := New(a).Overlaps(New(b)); overlaps && !got || got && !overlaps && len(a)+len(b) <= 5 {
				t.Fatalf("%q overlaps %q: %v", a, b, got)
			}
		}
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*b*c", "abc")
	f.Add("*", "")
	f.Add("**a", "aaa")
	f.Add("ÜK*", "\u212a")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !New(pattern).Covers(New(pattern)) {
			t.Errorf("%q does not cover itself", pattern)
		}
		if len(pattern)+len(s) > 24 {
			New(pattern).Match(s)
			Fold(pattern).Match(s)
			return
		}
		if got, want := New(pattern).Match(s), naive(pattern, s); got != want {
			t.Errorf("New(%q).Match(%q) = %v", pattern, s, got)
		}
		if got, want := Fold(pattern).Match(s), naive(Lower(pattern), Lower(s)); got != want {
			t.Errorf("Fold(%q).Match(%q) = %v", pattern, s, got)
		}
	})
}
