// Package clientname cleans the names that MCP clients give themselves, before
// they are shown, logged or tagged with.
//
// It promises that a clean name is text of one line that a person can read: what
// breaks lines, hides, stacks up or poses as a mark of trust is gone. It does not
// promise that the name is true: anybody can use any.
package clientname

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxBytes bounds a clean name.
	MaxBytes = 96
	// maxMarks is how many combining marks one letter may carry. Real scripts
	// need three; twenty would grow over the lines above and below.
	maxMarks = 3
)

// Clean returns what of name is fit to be shown: letters of any script with their
// marks, digits, punctuation and single spaces, at most MaxBytes. A name without a
// letter or digit says nothing, and is "". Clean names stay as they are.
func Clean(name string) string {
	var b strings.Builder
	marks := maxMarks // on what came last; a mark needs a letter beneath it
	space, readable := true, false
	for _, r := range name {
		mark, letter := unicode.Is(unicode.M, r), unicode.IsLetter(r) || unicode.IsDigit(r)
		switch {
		case isSpace(r) && space, !isSpace(r) && !isText(r), mark && marks == maxMarks:
			continue
		case isSpace(r):
			r, marks = ' ', maxMarks
		case mark:
			marks++
		case letter:
			marks = 0
		default:
			marks = maxMarks
		}
		if b.Len()+utf8.RuneLen(r) > MaxBytes {
			break
		}
		b.WriteRune(r)
		space, readable = r == ' ', readable || letter
	}
	if !readable {
		return ""
	}
	return strings.TrimSuffix(b.String(), " ")
}

// isSpace reports whether a character stands between words. Line breaks are among
// them, which would forge lines of a log, and so is what could not be decoded.
func isSpace(r rune) bool {
	return r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
}

// isText reports whether a character may be in a name. Symbols outside ASCII may
// not: among them are the ticks, locks, shields and stars that a person takes for
// somebody's word about the name.
func isText(r rune) bool {
	if r <= '~' {
		return true
	}
	return strconv.IsPrint(r) && !isBlank(r) && !unicode.Is(unicode.Me, r) &&
		(unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.Is(unicode.M, r) || unicode.IsPunct(r))
}

// isBlank reports whether a letter or mark shows nothing (Unicode's
// Default_Ignorable_Code_Point, as far as those are neither formats nor
// unassigned): names that differ in such a one look alike.
func isBlank(r rune) bool {
	switch {
	case r == 0x034f, r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, // joiner, Hangul fillers
		r == 0x17b4, r == 0x17b5, // Khmer vowels that are never written
		r >= 0x180b && r <= 0x180f, r >= 0xfe00 && r <= 0xfe0f, r >= 0xe0100 && r <= 0xe01ef: // variation selectors
		return true
	}
	return false
}
