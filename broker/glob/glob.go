// Package glob matches text with patterns in which "*" alone is special: it
// stands for any run of bytes, also for none and across every separator. All
// other bytes stand for themselves, and a pattern covers the whole text.
//
// It promises that a match takes time in proportion to pattern and text, whatever
// they are: no pattern backtracks. There is no way to write a literal "*".
package glob

import "strings"

// A Glob is one compiled pattern. It never changes, so any number of goroutines
// may use it.
type Glob struct {
	text string
	// head and tail are what stands before the first star and behind the last;
	// inner is what stands between stars, without empty pieces.
	head, tail string
	inner      []string
	open       bool // there is a star; otherwise head is the whole text
	fold       bool
}

// New compiles a pattern that is compared byte for byte.
func New(pattern string) *Glob {
	g := &Glob{text: pattern}
	first := strings.IndexByte(pattern, '*')
	if first < 0 {
		g.head = pattern
		return g
	}
	last := strings.LastIndexByte(pattern, '*')
	g.open, g.head, g.tail = true, pattern[:first], pattern[last+1:]
	for piece := range strings.SplitSeq(pattern[first:last+1], "*") {
		if piece != "" {
			g.inner = append(g.inner, piece)
		}
	}
	return g
}

// Fold compiles a pattern in which a to z and A to Z are the same. Only these:
// Unicode's folding would take the Kelvin sign for a k, and a name for another.
func Fold(pattern string) *Glob {
	g := New(Lower(pattern))
	g.fold = true
	return g
}

// String returns the pattern as it is compared: that of Fold in small letters.
func (g *Glob) String() string { return g.text }

// Exact reports whether the pattern has no star, so that it matches one text.
func (g *Glob) Exact() bool { return !g.open }

// Match reports whether the pattern covers all of s.
func (g *Glob) Match(s string) bool {
	if g.fold {
		s = Lower(s)
	}
	if !g.open {
		return s == g.head
	}
	if len(s) < len(g.head)+len(g.tail) || !strings.HasPrefix(s, g.head) || !strings.HasSuffix(s, g.tail) {
		return false
	}
	// The first place of each piece is as good as any later one, so nothing is
	// ever tried again.
	rest := s[len(g.head) : len(s)-len(g.tail)]
	for _, piece := range g.inner {
		at := strings.Index(rest, piece)
		if at < 0 {
			return false
		}
		rest = rest[at+len(piece):]
	}
	return true
}

// Covers reports whether g matches everything that other matches. Both must be
// of one kind, New or Fold.
func (g *Glob) Covers(other *Glob) bool {
	// A star in other's text can only meet a star of g, for no piece has one.
	return g.Match(other.text)
}

// Overlaps reports whether some text matches both. Both must be of one kind.
func (g *Glob) Overlaps(other *Glob) bool {
	switch {
	case !g.open:
		return other.Match(g.text)
	case !other.open:
		return g.Match(other.text)
	}
	// Longer head, all pieces, longer tail: that text matches both.
	return (strings.HasPrefix(g.head, other.head) || strings.HasPrefix(other.head, g.head)) &&
		(strings.HasSuffix(g.tail, other.tail) || strings.HasSuffix(other.tail, g.tail))
}

// A List is patterns of which one must match.
type List []*Glob

// Match reports whether a pattern of the list covers all of s. An empty list
// matches nothing.
func (l List) Match(s string) bool {
	for _, g := range l {
		if g.Match(s) {
			return true
		}
	}
	return false
}

// Lower returns s with A to Z in small letters and all else as it is.
func Lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return lower(s)
		}
	}
	return s
}

func lower(s string) string {
	small := []byte(s)
	for i, c := range small {
		if 'A' <= c && c <= 'Z' {
			small[i] = c + 'a' - 'A'
		}
	}
	return string(small)
}
