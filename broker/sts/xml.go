package sts

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"mcp-credential-broker/broker/upstream"
)

// An element is one XML element: its name without prefix, its own text, and the
// elements inside, from first to last.
type element struct {
	name, text  string
	first, last *element
	next        *element // of the same parent
}

// add puts a child behind the others.
func (e *element) add(child *element) {
	if e.last == nil {
		e.first = child
	} else {
		e.last.next = child
	}
	e.last = child
}

// child returns the one child of that name. None and several are both nil: of
// two values nobody knows the right one. A nil element has no children.
func (e *element) child(name string) *element {
	if e == nil {
		return nil
	}
	var found *element
	for c := e.first; c != nil; c = c.next {
		if c.name != name {
			continue
		}
		if found != nil {
			return nil
		}
		found = c
	}
	return found
}

// value returns the text of an element that holds nothing else, or "".
func (e *element) value() string {
	if e == nil || e.first != nil {
		return ""
	}
	return e.text
}

// An xmlReader reads the part of XML 1.0 that STS writes: elements, attributes
// (checked and dropped), text, comments, CDATA, the five named references and
// numeric ones. There is no document type, so an entity cannot be defined, and
// neither expansion nor an outside file can be asked for. The first fault
// sticks, and empties the input so that every loop ends.
type xmlReader struct {
	rest     string
	elements int
	free     []element // room for elements that come
	err      error
}

// parseXML returns the root element of a UTF-8 document. Its error is
// ErrMalformed.
func parseXML(document []byte) (*element, error) {
	r := &xmlReader{rest: string(document)}
	if len(document) > upstream.MaxAnswerBytes {
		r.fail("too large")
	}
	if !isXMLText(r.rest) {
		r.fail("not XML characters")
	}
	r.skip("\ufeff") // a byte order mark (XML 1.0 section 4.3.3)
	r.declaration()
	r.filler()
	root := r.element(1)
	r.filler()
	if r.rest != "" {
		r.fail("data after the root element")
	}
	if r.err != nil {
		return nil, r.err
	}
	return root, nil
}

func (r *xmlReader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: XML: %s", ErrMalformed, why)
	}
	r.rest = ""
}

// skip takes token off the input if it is next.
func (r *xmlReader) skip(token string) bool {
	rest, found := strings.CutPrefix(r.rest, token)
	r.rest = rest
	return found
}

func (r *xmlReader) expect(token string) {
	if !r.skip(token) {
		r.fail("expected " + strconv.Quote(token))
	}
}

// until takes what stands before end, and end too.
func (r *xmlReader) until(end string) string {
	before, after, found := strings.Cut(r.rest, end)
	if !found {
		r.fail("cut off")
		return ""
	}
	r.rest = after
	return before
}

func (r *xmlReader) space() (some bool) {
	rest := strings.TrimLeft(r.rest, " \t\r\n")
	some = len(rest) != len(r.rest)
	r.rest = rest
	return some
}

// filler skips white space and comments around the root element.
func (r *xmlReader) filler() {
	for r.space(); r.skip("<!--"); r.space() {
		r.comment()
	}
}

func (r *xmlReader) comment() {
	if strings.Contains(r.until("-->")+"-", "--") {
		r.fail("hyphens in a comment")
	}
}

// declaration reads <?xml version="1.0" encoding="UTF-8"?>, if it is there.
// Another encoding would make other text of the same bytes.
func (r *xmlReader) declaration() {
	if !r.skip("<?xml") {
		return
	}
	for r.space() && !strings.HasPrefix(r.rest, "?>") {
		name, value := r.attribute()
		fine := name == "version" && value == "1.0" ||
			name == "encoding" && strings.EqualFold(value, "utf-8") ||
			name == "standalone"
		if !fine {
			r.fail("declaration")
		}
	}
	r.expect("?>")
}

// count counts what breaks up a text: elements, comments and CDATA sections. The
// pieces of a text are put together one by one.
func (r *xmlReader) count() {
	if r.elements++; r.elements > maxXMLElements {
		r.fail("too many elements")
	}
}

func (r *xmlReader) element(depth int) *element {
	if r.count(); depth > maxXMLDepth || r.err != nil {
		r.fail("nested too deeply")
		return nil
	}
	// A name starts with a letter, so document types, entity declarations and
	// processing instructions all end here.
	r.expect("<")
	name := r.name()
	for r.space() && !strings.HasPrefix(r.rest, "/") && !strings.HasPrefix(r.rest, ">") {
		r.attribute()
	}
	e := r.newElement()
	e.name = name[strings.IndexByte(name, ':')+1:]
	if r.skip("/>") {
		return e
	}
	r.expect(">")
	r.content(e, depth)
	if !r.skip("</" + name) {
		r.fail("tags that do not match") // which ones is not for the log
	}
	r.space()
	r.expect(">")
	return e
}

// newElement returns one of many that are made at once.
func (r *xmlReader) newElement() (e *element) {
	if len(r.free) == 0 {
		r.free = make([]element, 24)
	}
	e, r.free = &r.free[0], r.free[1:]
	return e
}

// content reads what is between the tags of e.
func (r *xmlReader) content(e *element, depth int) {
	for r.rest != "" && !strings.HasPrefix(r.rest, "</") {
		switch {
		case r.skip("<!--"):
			r.count()
			r.comment()
		case r.skip("<![CDATA["):
			r.count()
			e.text += r.until("]]>")
		case r.rest[0] == '<':
			if child := r.element(depth + 1); child != nil {
				e.add(child)
			}
		default:
			e.text += r.characters()
		}
	}
}

// characters reads text up to the next tag.
func (r *xmlReader) characters() string {
	end, plain := 0, true
	for ; end < len(r.rest) && r.rest[end] != '<'; end++ {
		plain = plain && r.rest[end] != '&' && r.rest[end] != '>'
	}
	text := r.rest[:end]
	r.rest = r.rest[end:]
	if plain {
		return text
	}
	if strings.Contains(text, "]]>") {
		r.fail("end of CDATA in text")
	}
	return r.unescape(text)
}

// attribute reads name="value" or name='value'.
func (r *xmlReader) attribute() (name, value string) {
	name = r.name()
	r.space()
	r.expect("=")
	r.space()
	quote := "'"
	if !r.skip(quote) {
		quote = `"`
		r.expect(quote)
	}
	value = r.until(quote)
	if strings.Contains(value, "<") {
		r.fail("tag in an attribute")
	}
	return name, r.unescape(value)
}

// name reads a name with at most one prefix. Only ASCII: that is what STS
// writes, and no two of its names look alike.
func (r *xmlReader) name() string {
	end := 0
	for end < len(r.rest) && isNameChar(r.rest[end]) {
		end++
	}
	name := r.rest[:end]
	r.rest = r.rest[end:]
	prefix, local, prefixed := strings.Cut(name, ":")
	if !isNameStart(prefix) || prefixed && (!isNameStart(local) || strings.Contains(local, ":")) {
		r.fail("not a name")
		return ""
	}
	return name
}

func isNameChar(c byte) bool { return isWord(rune(c)) || c == '-' || c == '.' || c == ':' }

func isNameStart(s string) bool {
	return s != "" && isWord(rune(s[0])) && !isDigits(s[:1])
}

// unescape replaces the references in text. A replacement is never read again,
// so nothing grows.
func (r *xmlReader) unescape(text string) string {
	before, after, found := strings.Cut(text, "&")
	if !found {
		return text
	}
	var b strings.Builder
	for ; found; before, after, found = strings.Cut(after, "&") {
		b.WriteString(before)
		var name string
		if name, after, found = strings.Cut(after, ";"); !found {
			r.fail("reference")
			return ""
		}
		c, known := reference(name)
		if !known {
			r.fail("reference")
			return ""
		}
		b.WriteRune(c)
	}
	b.WriteString(before)
	return b.String()
}

func reference(name string) (c rune, known bool) {
	switch name {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "apos":
		return '\'', true
	case "quot":
		return '"', true
	}
	digits, numeric := strings.CutPrefix(name, "#")
	base := 10
	if hex, found := strings.CutPrefix(digits, "x"); found {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 21)
	if !numeric || err != nil || !utf8.ValidRune(rune(n)) || notXMLChar(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

// isXMLText reports whether s is UTF-8 of characters that XML may have.
func isXMLText(s string) bool {
	ascii := true
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			ascii = false
		} else if c < ' ' && notXMLChar(rune(c)) {
			return false
		}
	}
	return ascii || utf8.ValidString(s) && !strings.ContainsFunc(s, notXMLChar)
}

// notXMLChar is the complement of Char (XML 1.0 section 2.2) among the runes
// of valid UTF-8.
func notXMLChar(c rune) bool {
	return c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0xFFFE || c == 0xFFFF
}
