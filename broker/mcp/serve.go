package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// MaxBodyBytes is the size of the largest request body that is read, 256 KiB. A
// host may cut longer ones, as long as it passes on one byte more than this.
const MaxBodyBytes = 256 << 10

// ServeHTTP answers one request whose path, Host, Origin and token were checked
// before. It implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost { // there is neither a stream to GET nor a session to DELETE
		w.Header().Set("Allow", "POST, OPTIONS")
		write(w, http.StatusMethodNotAllowed, nil)
		return
	}
	var p plan
	if body, f := readBody(r); f != nil {
		p = refusal(f)
	} else {
		p = s.decide(r.Header, body)
	}
	if challenge := s.missingScope(r.Context(), p); challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
		write(w, http.StatusForbidden, []byte(`{"error":"insufficient_scope"}`))
		return
	}
	body, challenge := s.run(r.Context(), p)
	if challenge != "" {
		w.Header().Set("WWW-Authenticate", challenge)
		write(w, http.StatusUnauthorized, []byte(`{"error":"invalid_token"}`))
		return
	}
	write(w, p.status, body)
}

// missingScope asks for every tool of a plan before any runs: a batch of which a
// part is out of reach does nothing at all.
func (s *Server) missingScope(ctx context.Context, p plan) string {
	var names []string
	for _, st := range p.steps {
		if st.tool != nil && st.fault == nil {
			names = append(names, st.tool.Name)
		}
	}
	if s.MissingScope == nil || len(names) == 0 {
		return ""
	}
	return s.MissingScope(ctx, names)
}

// readBody reads at most one byte more than is allowed. The Accept header is not
// looked at: many clients get it wrong, and there is only one form to choose.
func readBody(r *http.Request) ([]byte, *fault) {
	if types := r.Header.Values("Content-Type"); len(types) != 1 || !isJSON(types[0]) {
		return nil, &fault{http.StatusUnsupportedMediaType, codeInvalidRequest, "Content-Type must be application/json", nil}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxBodyBytes+1))
	switch {
	case len(body) > MaxBodyBytes:
		return nil, &fault{http.StatusRequestEntityTooLarge, codeInvalidRequest, "the body is larger than 256 KiB", nil}
	case err != nil:
		return nil, &fault{http.StatusBadRequest, codeParse, "the body broke off", nil}
	}
	return body, nil
}

// isJSON compares a media type, parameters aside (RFC 9110 section 8.3.1).
func isJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.Trim(mediaType, " \t"), "application/json")
}

func write(w http.ResponseWriter, status int, body []byte) {
	if len(body) > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// run calls the tools of a plan, one after the other, and returns the body, or
// the challenge of the tool that found the caller's token dead.
func (s *Server) run(ctx context.Context, p plan) (body []byte, challenge string) {
	if !p.batch {
		if len(p.steps) == 0 {
			return nil, ""
		}
		return s.appendAnswer(ctx, nil, p.steps[0])
	}
	body = []byte{'['}
	for i, st := range p.steps {
		if i > 0 {
			body = append(body, ',')
		}
		if body, challenge = s.appendAnswer(ctx, body, st); challenge != "" {
			return nil, challenge
		}
	}
	return append(body, ']'), ""
}

// appendAnswer appends the JSON-RPC response of a step. A response without id
// leaves the member out: MCP's schema does not allow null.
func (s *Server) appendAnswer(ctx context.Context, b []byte, st step) (body []byte, challenge string) {
	member, value := `"result":`, st.result
	if st.fault == nil && st.tool != nil {
		if value, challenge, st.fault = s.call(ctx, st); challenge != "" {
			return nil, challenge
		}
	}
	if st.fault != nil {
		member = `"error":`
		value, _ = encode(st.fault) // integers and strings: JSON holds them all
	}
	if b == nil {
		b = make([]byte, 0, len(value)+len(st.id)+64)
	}
	b = append(b, `{"jsonrpc":"2.0",`...)
	if st.id != nil {
		b = append(b, `"id":`...)
		b = append(b, st.id...)
		b = append(b, ',')
	}
	b = append(b, member...)
	b = append(b, value...)
	return append(b, '}'), ""
}

// call runs a tool and encodes its result. A failure is told in the text alone:
// structured content would have to conform to the output schema.
func (s *Server) call(ctx context.Context, st step) (encoded json.RawMessage, challenge string, f *fault) {
	if !st.modern {
		ctx = context.WithoutCancel(ctx) // a lost connection is no cancellation in legacy revisions
	}
	result := st.tool.Call(ctx, st.call)
	if result.Challenge != "" {
		return nil, result.Challenge, nil
	}
	var compact, indented bytes.Buffer
	if err := json.Compact(&compact, result.Structured); err != nil || compact.Bytes()[0] != '{' {
		return nil, "", internalFault()
	}
	text := compact.String()
	if !result.IsError && json.Indent(&indented, compact.Bytes(), "", "  ") == nil {
		text = indented.String()
	}
	quoted, err := encode(text)
	if err != nil {
		return nil, "", internalFault()
	}
	b := []byte{'{'}
	if st.modern {
		b = append(b, `"resultType":"complete",`...)
	}
	b = append(b, `"content":[{"type":"text","text":`...)
	b = append(b, quoted...)
	b = append(b, `}],`...)
	if result.IsError {
		b = append(b, `"isError":true`...)
	} else {
		b = append(b, `"structuredContent":`...)
		b = append(b, compact.Bytes()...)
	}
	if st.modern {
		b = append(b, s.meta...)
	}
	return append(b, '}'), "", nil
}
