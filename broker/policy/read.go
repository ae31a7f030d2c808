package policy

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A shape is what a JSON value is.
type shape uint8

const (
	isObject shape = iota + 1
	isList
	isText
	isNumber
	isBool
	isNull
)

func (s shape) String() string {
	return [...]string{"", "an object", "a list", "a text", "a number", "true or false", "null"}[s]
}

// A node is one JSON value and where it begins.
type node struct {
	shape   shape
	at      int
	text    string // of a text; the literal of a number, a bool or null
	members []member
	items   []node
}

// A member is one member of an object, at its name.
type member struct {
	at    int
	name  string
	value node
}

// A reader reads JSON (RFC 8259) strictly: valid UTF-8, no member twice in an
// object, no half of a surrogate pair, nothing behind the value. It is its own
// because every fault is to have a place, which no parser linked here tells.
type reader struct {
	text   string
	at     int
	depth  int
	broken bool // a syntax error was met; nothing behind it can be read
	faults *faults
}

// readJSON reads the one value of a document.
func readJSON(document string, f *faults) (*node, bool) {
	if len(document) > maxDocumentBytes {
		f.add(0, "the document is larger than %d bytes: write fewer rules with wider globs", maxDocumentBytes)
		return nil, false
	}
	if strings.HasPrefix(document, "\ufeff") {
		f.add(0, "the document begins with a byte order mark: save it as UTF-8 without one")
		return nil, false
	}
	r := reader{text: document, faults: f}
	value := r.value()
	if r.space(); !r.broken && r.at < len(r.text) {
		r.fail("there is something behind the end of the document: remove it")
	}
	return &value, !r.broken
}

func (r *reader) fail(problem string, args ...any) {
	if !r.broken {
		r.broken = true
		r.faults.add(r.at, problem, args...)
	}
}

func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// next reports whether the next byte that is no space is c, and takes it.
func (r *reader) next(c byte) bool {
	r.space()
	if r.broken || r.at >= len(r.text) || r.text[r.at] != c {
		return false
	}
	r.at++
	return true
}

func (r *reader) value() node {
	r.space()
	n := node{at: r.at}
	if r.at >= len(r.text) {
		r.fail("the document ends too early: a value is missing")
		return n
	}
	switch c := r.text[r.at]; {
	case c == '{' || c == '[':
		if r.depth == maxDepth {
			r.fail("values lie too deep in one another: nothing in a policy does")
			return n
		}
		r.depth++
		r.at++
		if c == '{' {
			n.shape, n.members = isObject, r.members()
		} else {
			n.shape, n.items = isList, r.items()
		}
		r.depth--
	case c == '"':
		n.shape, n.text = isText, r.string()
	case c == '-' || c >= '0' && c <= '9':
		n.shape, n.text = isNumber, r.number()
	default:
		n.shape, n.text = r.word()
	}
	return n
}

func (r *reader) members() []member {
	var all []member
	if r.next('}') {
		return all
	}
	var seen nameSet
	for !r.broken {
		r.space()
		m := member{at: r.at}
		if r.at >= len(r.text) || r.text[r.at] != '"' {
			r.fail("the name of a member must stand here, in double quotes (and no comma may stand before a closing brace)")
			break
		}
		if m.name = r.string(); r.broken {
			break
		}
		if !r.next(':') {
			r.fail("a colon must stand between a member's name and its value")
			break
		}
		if m.value = r.value(); r.broken {
			break
		}
		if seen.add(all, m.name) {
			r.faults.aside(m.at, "the member %s stands here twice: keep one", quote(m.name))
		}
		all = append(all, m)
		if r.next('}') {
			break
		}
		if !r.next(',') {
			r.fail("a comma or a closing brace must stand between members")
		}
	}
	return all
}

// A nameSet is the names of an object's members, once they are too many to look
// through one by one.
type nameSet map[string]bool

// add reports whether name is among the members so far, and takes it in.
func (s *nameSet) add(members []member, name string) (twice bool) {
	if len(members) < 16 {
		for i := range members {
			twice = twice || members[i].name == name
		}
		return twice
	}
	if *s == nil {
		*s = nameSet{}
		for i := range members {
			(*s)[members[i].name] = true
		}
	}
	twice = (*s)[name]
	(*s)[name] = true
	return twice
}

func (r *reader) items() []node {
	all := []node{}
	if r.next(']') {
		return all
	}
	for !r.broken {
		value := r.value()
		if r.broken {
			break
		}
		all = append(all, value)
		if r.next(']') {
			break
		}
		if !r.next(',') {
			r.fail("a comma or a closing bracket must stand between the items of a list")
		}
	}
	return all
}

// string reads a text at its opening quote.
func (r *reader) string() string {
	start := r.at
	r.at++
	var b strings.Builder
	for {
		from := r.at
		for r.at < len(r.text) && r.text[r.at] >= ' ' && r.text[r.at] != '"' && r.text[r.at] != '\\' {
			r.at++
		}
		piece := r.text[from:r.at]
		if !utf8.ValidString(piece) {
			r.at = from
			r.fail("this text is not valid UTF-8: save the document as UTF-8")
			return ""
		}
		switch {
		case r.at >= len(r.text):
			r.at = start
			r.fail("this text has no closing quote")
			return ""
		case r.text[r.at] == '"':
			r.at++
			if b.Len() == 0 {
				return piece
			}
			b.WriteString(piece)
			return b.String()
		case r.text[r.at] != '\\':
			r.fail("a control character stands in a text: write it as \\n, \\t or \\u00XX")
			return ""
		}
		b.WriteString(piece)
		c, ok := r.escape()
		if !ok {
			r.fail("this escape is none of JSON's: \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\uXXXX, surrogates in pairs")
			return ""
		}
		b.WriteRune(c)
	}
}

// escape takes one escape sequence, or leaves the place as it is.
func (r *reader) escape() (rune, bool) {
	rest := r.text[r.at:]
	if len(rest) < 2 {
		return 0, false
	}
	if i := strings.IndexByte(`"\/bfnrt`, rest[1]); i >= 0 {
		r.at += 2
		return rune("\"\\/\b\f\n\r\t"[i]), true
	}
	c, ok := unit(rest)
	if !ok {
		return 0, false
	}
	size := 6
	if utf16.IsSurrogate(c) {
		low, ok := unit(rest[size:])
		if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
			return 0, false
		}
		size = 12
	}
	r.at += size
	return c, true
}

// unit reads \uXXXX.
func unit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var c rune
	for _, digit := range []byte(s[2:6]) {
		value := strings.IndexByte("0123456789abcdef", digit|0x20)
		if value < 0 || digit < '0' {
			return 0, false
		}
		c = c<<4 | rune(value)
	}
	return c, true
}

// number reads a number's literal. Its grammar is checked where a whole number
// is wanted, and a number is wanted nowhere else.
func (r *reader) number() string {
	from := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.eE0123456789", r.text[r.at]) >= 0 {
		r.at++
	}
	return r.text[from:r.at]
}

func (r *reader) word() (shape, string) {
	for _, word := range []string{"true", "false", "null"} {
		if strings.HasPrefix(r.text[r.at:], word) {
			r.at += len(word)
			if word == "null" {
				return isNull, word
			}
			return isBool, word
		}
	}
	r.fail("no JSON value begins here: texts stand in double quotes, and there are no comments")
	return 0, ""
}
