package mcp

import (
	"cmp"
	"encoding/json"
	"slices"
)

// appendResult appends what a call came to, or nothing whole and a fault. A failure
// is told in the text alone: structured content would have to conform to the
// output schema.
func (s *Server) appendResult(b []byte, c *Call) ([]byte, *fault) {
	result := c.Result
	switch {
	case result.Rejected != "":
		return b, invalidParams(result.Rejected)
	case result.Ask != nil:
		return s.appendAsk(b, c)
	}
	structured, err := encode(result.Structured)
	if err != nil || structured[0] != '{' {
		return b, internalFault()
	}
	b = slices.Grow(b, 2*len(structured)+len(structured)/2+len(s.meta)+128)
	b = append(b, '{')
	if c.modern {
		b = append(b, `"resultType":"complete",`...)
	}
	b = append(b, `"content":[{"type":"text","text":`...)
	switch {
	case result.Text == "" && !result.IsError:
		b = appendIndented(b, structured)
	default: // a failure stays on one line
		quoted, err := encode(cmp.Or(result.Text, string(structured)))
		if err != nil {
			return b, internalFault()
		}
		b = append(b, quoted...)
	}
	b = append(b, `}],`...)
	if result.IsError {
		b = append(b, `"isError":true`...)
	} else {
		b = append(b, `"structuredContent":`...)
		b = append(b, structured...)
	}
	if c.modern {
		b = append(b, s.meta...)
	}
	return append(b, '}'), nil
}

// appendIndented appends a JSON string that holds object as a model reads it: what
// json.Indent makes of it with two spaces, quoted. object is compact JSON in UTF-8, so that
// between its strings there is no white space, and in them nothing needs to be
// escaped but quotes and backslashes.
func appendIndented(b, object []byte) []byte {
	b = append(b, '"')
	depth := 0
	for i := 0; i < len(object); i++ {
		switch c := object[i]; c {
		case '"':
			var n int
			b, n = appendQuoted(b, object[i:])
			i += n - 1
		case '{', '[':
			b = append(b, c)
			if i+1 < len(object) && object[i+1] == c+2 { // in ASCII each ends two after it begins
				i++
				b = append(b, object[i])
				continue
			}
			depth++
			b = appendLine(b, depth)
		case '}', ']':
			depth--
			b = append(appendLine(b, depth), c)
		case ',':
			b = appendLine(append(b, c), depth)
		case ':':
			b = append(b, ": "...)
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// appendQuoted appends the JSON string that text begins with, as it is written
// within another one, and returns how long it is in text.
func appendQuoted(b, text []byte) ([]byte, int) {
	b = append(b, `\"`...)
	for i := 1; i < len(text); i++ {
		run := i
		for i < len(text) && text[i] != '"' && text[i] != '\\' {
			i++
		}
		b = append(b, text[run:i]...)
		if i == len(text) {
			break
		}
		if text[i] == '"' {
			return append(b, `\"`...), i + 1
		}
		b = append(b, `\\`...)
		if i++; i < len(text) {
			if text[i] == '"' || text[i] == '\\' {
				b = append(b, '\\')
			}
			b = append(b, text[i])
		}
	}
	return b, len(text)
}

// appendLine ends a line within a JSON string and begins the next one.
func appendLine(b []byte, depth int) []byte {
	b = append(b, `\n`...)
	for range depth {
		b = append(b, "  "...)
	}
	return b
}

// An inputRequired is the result that asks a person (MCP 2026-07-28,
// InputRequiredResult).
type inputRequired struct {
	ResultType    string                  `json:"resultType"`
	InputRequests map[string]inputRequest `json:"inputRequests"`
	RequestState  string                  `json:"requestState"`
}

type inputRequest struct {
	Method string     `json:"method"`
	Params formParams `json:"params"`
}

type formParams struct {
	Mode            string          `json:"mode"`
	Message         string          `json:"message"`
	RequestedSchema json.RawMessage `json:"requestedSchema"`
}

// appendAsk asks. A client that did not say that it can is never asked.
func (s *Server) appendAsk(b []byte, c *Call) ([]byte, *fault) {
	ask := c.Result.Ask
	if !c.AsksPeople {
		return b, internalFault()
	}
	form := inputRequest{"elicitation/create", formParams{"form", ask.Message, ask.Schema}}
	encoded, err := encode(inputRequired{"input_required", map[string]inputRequest{ask.Key: form}, ask.State})
	if err != nil {
		return b, internalFault()
	}
	b = append(b, encoded[:len(encoded)-1]...)
	b = append(b, s.meta...)
	return append(b, '}'), nil
}
