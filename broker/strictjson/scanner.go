package strictjson

import (
	"strings"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/ascii"
)

const (
	space        = " \t\r\n"
	usualMembers = 12 // of an object, with what is around it
	fewMembers   = 16 // are compared with each other; more are hashed
)

// A scanner goes through a JSON text once, by the grammar of RFC 8259. It recurses
// as deep as the text may nest.
type scanner struct {
	text string
	at   int // how much of it is taken
	// members are those of the objects around at, each object's behind those of the
	// one around it; in the end, those of the outermost. Nil: nobody asks for names.
	members []member
	twice   bool // an object names a member twice
}

// whole takes the whole text, which may nest to depth.
func (s *scanner) whole(depth int) bool {
	s.space()
	if !utf8.ValidString(s.text) || !s.value(depth) {
		return false
	}
	s.space()
	return s.at == len(s.text)
}

// next is the next byte, or 0 at the end, which no JSON text has as a byte.
func (s *scanner) next() byte {
	if s.at == len(s.text) {
		return 0
	}
	return s.text[s.at]
}

// take takes c if it is next, and space on both sides.
func (s *scanner) take(c byte) bool {
	s.space()
	if s.next() != c {
		return false
	}
	s.at++
	s.space()
	return true
}

func (s *scanner) space() {
	for s.at < len(s.text) && s.text[s.at] <= ' ' && strings.IndexByte(space, s.text[s.at]) >= 0 {
		s.at++
	}
}

// value takes the value that is next.
func (s *scanner) value(depth int) bool {
	switch s.next() {
	case '"':
		return s.string()
	case '{':
		return depth > 0 && s.object(depth-1)
	case '[':
		return depth > 0 && s.array(depth-1)
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) array(depth int) bool {
	s.take('[')
	if s.take(']') {
		return true
	}
	for s.value(depth) {
		if !s.take(',') {
			return s.take(']')
		}
	}
	return false
}

func (s *scanner) object(depth int) bool {
	s.take('{')
	if s.take('}') {
		return true
	}
	first := len(s.members)
	var seen map[string]bool
	for {
		at := s.at
		if s.next() != '"' || !s.string() {
			return false
		}
		if name := s.text[at:s.at]; s.members != nil {
			seen = s.add(nameOf(name), s.members[first:], seen)
		}
		if !s.take(':') {
			return false
		}
		mine, at := len(s.members)-1, s.at
		if !s.value(depth) {
			return false
		}
		if s.members != nil {
			s.members[mine].value = s.text[at:s.at]
		}
		if !s.take(',') {
			break
		}
	}
	if first > 0 {
		s.members = s.members[:first]
	}
	return s.take('}')
}

// add adds a member to those of the same object, whose names are in seen when they
// are many.
func (s *scanner) add(name string, others []member, seen map[string]bool) map[string]bool {
	if len(others) == fewMembers {
		seen = make(map[string]bool, 2*fewMembers)
		for _, m := range others {
			seen[m.name] = true
		}
	}
	if seen != nil {
		s.twice = s.twice || seen[name]
		seen[name] = true
	} else {
		for _, m := range others {
			s.twice = s.twice || m.name == name
		}
	}
	s.members = append(s.members, member{name: name})
	return seen
}

// nameOf reads the string of a name, most of which have no escapes.
func nameOf(quoted string) string {
	if strings.IndexByte(quoted, '\\') >= 0 {
		return gjson.Parse(quoted).Str
	}
	return quoted[1 : len(quoted)-1]
}

// string takes a string: no control characters, and the escapes of section 7.
func (s *scanner) string() bool {
	text := s.text
	for i := s.at + 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			s.at = i + 1
			return true
		case c < ' ':
			return false
		case c != '\\':
		case i+1 < len(text) && strings.IndexByte(`"\/bfnrt`, text[i+1]) >= 0:
			i++
		case i+5 < len(text) && text[i+1] == 'u' && isHex(text[i+2:i+6]):
			// What half of a surrogate pair, and what stands behind it, is to be differs
			// between readers. Whoever asks for names is one of several.
			if s.members != nil && text[i+2]|' ' == 'd' && text[i+3] > '7' {
				if !isPair(text[i:]) {
					return false
				}
				i += 6
			}
			i += 5
		default:
			return false
		}
	}
	return false
}

// isPair reports whether text, which begins with the escape of one half of a
// surrogate pair, begins with both (RFC 8259 section 7).
func isPair(text string) bool {
	return len(text) > 11 && text[3]|' ' < 'c' && text[6:8] == `\u` && isHex(text[8:12]) && text[8]|' ' == 'd' && text[9]|' ' > 'b'
}

func isHex(s string) bool { return ascii.Only(s, ascii.Hex) }

func (s *scanner) word(word string) bool {
	found := strings.HasPrefix(s.text[s.at:], word)
	s.at += len(word) // or the text is given up
	return found
}

// number takes -0, 12, 1.5e+9: no sign or zero in front, and digits around the point.
func (s *scanner) number() bool {
	s.one("-")
	if !s.one("0") && !s.digits() {
		return false
	}
	if s.one(".") && !s.digits() {
		return false
	}
	if s.one("eE") {
		s.one("+-")
		return s.digits()
	}
	return true
}

// one takes one of these bytes if one is next.
func (s *scanner) one(of string) bool {
	if s.at == len(s.text) || strings.IndexByte(of, s.text[s.at]) < 0 {
		return false
	}
	s.at++
	return true
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.text) && s.text[s.at] >= '0' && s.text[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}
