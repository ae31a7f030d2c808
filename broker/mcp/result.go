package mcp

import (
	"bytes"
	"encoding/json"
)

// encodeResult encodes what a call came to. A failure is told in the text alone:
// structured content would have to conform to the output schema.
func (s *Server) encodeResult(c *Call) (json.RawMessage, *fault) {
	result := c.Result
	switch {
	case result.Rejected != "":
		return nil, invalidParams(result.Rejected)
	case result.Ask != nil:
		return s.encodeAsk(c)
	}
	structured, err := encode(result.Structured)
	if err != nil || structured[0] != '{' {
		return nil, internalFault()
	}
	text := result.Text
	if text == "" {
		text = indented(structured, result.IsError)
	}
	quoted, err := encode(text)
	if err != nil {
		return nil, internalFault()
	}
	b := []byte{'{'}
	if c.modern {
		b = append(b, `"resultType":"complete",`...)
	}
	b = append(b, `"content":[{"type":"text","text":`...)
	b = append(b, quoted...)
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

// indented returns an object as a model reads it. A failure stays on one line.
func indented(object json.RawMessage, isError bool) string {
	var b bytes.Buffer
	if isError || json.Indent(&b, object, "", "  ") != nil {
		return string(object)
	}
	return b.String()
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

// encodeAsk asks. A client that did not say that it can is never asked.
func (s *Server) encodeAsk(c *Call) (json.RawMessage, *fault) {
	ask := c.Result.Ask
	if !c.AsksPeople {
		return nil, internalFault()
	}
	form := inputRequest{"elicitation/create", formParams{"form", ask.Message, ask.Schema}}
	encoded, err := encode(inputRequired{"input_required", map[string]inputRequest{ask.Key: form}, ask.State})
	if err != nil {
		return nil, internalFault()
	}
	encoded = append(encoded[:len(encoded)-1], s.meta...)
	return append(encoded, '}'), nil
}
