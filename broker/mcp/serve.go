package mcp

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A Request is one HTTP request as it was read: what it calls, and how it is
// answered.
type Request struct {
	server *Server
	plan   plan
	method bool // not POST
}

// Read reads a request whose path, Host, Origin and token were checked before.
// It never fails: what cannot be read has no calls, and Write says why.
func (s *Server) Read(r *http.Request) *Request {
	q := &Request{server: s}
	if r.Method != http.MethodPost { // there is neither a stream to GET nor a session to DELETE
		q.method = true
	} else if body, f := readBody(r); f != nil {
		q.plan = refusal(f)
	} else {
		q.plan = s.decide(r.Header, body)
	}
	return q
}

// Calls are the tool calls of the request, in the order in which to run them.
// All of the request was checked: if any of it is refused as a whole, there are
// none.
func (q *Request) Calls() []*Call {
	var calls []*Call
	for _, st := range q.plan.steps {
		if st.call != nil && st.fault == nil {
			calls = append(calls, st.call)
		}
	}
	return calls
}

// Write answers the request with the results of its calls.
func (q *Request) Write(w http.ResponseWriter) {
	if q.method {
		w.Header().Set("Allow", "POST, OPTIONS")
		write(w, http.StatusMethodNotAllowed, nil)
		return
	}
	if st, ok := q.plan.fixed(); ok {
		write(w, q.plan.status, append(appendHead(nil, st.id), `"result":`...), st.result, []byte{'}'})
		return
	}
	write(w, q.plan.status, q.body())
}

// readBody reads at most one byte more than is allowed. The Accept header is not
// looked at: many clients get it wrong, and there is only one form to choose.
func readBody(r *http.Request) ([]byte, *fault) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, &fault{http.StatusUnsupportedMediaType, codeInvalidRequest, "send the body as it is, without a Content-Encoding", nil}
	}
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

// write writes a body, in parts that need not be put together first.
func write(w http.ResponseWriter, status int, parts ...[]byte) {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	if length > 0 {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("Content-Length", strconv.Itoa(length))
	w.WriteHeader(status)
	for _, part := range parts {
		_, _ = w.Write(part)
	}
}

// fixed returns the one step of a plan whose result is the same for everybody. The
// list of tools is most of what is sent, and it need not be copied for that.
func (p plan) fixed() (step, bool) {
	if p.batch || len(p.steps) != 1 || p.steps[0].call != nil || p.steps[0].fault != nil {
		return step{}, false
	}
	return p.steps[0], true
}

func (q *Request) body() []byte {
	if !q.plan.batch {
		if len(q.plan.steps) == 0 {
			return nil
		}
		return q.server.appendAnswer(nil, q.plan.steps[0])
	}
	body := []byte{'['}
	for i, st := range q.plan.steps {
		if i > 0 {
			body = append(body, ',')
		}
		body = q.server.appendAnswer(body, st)
	}
	return append(body, ']')
}

// appendAnswer appends the JSON-RPC response of a step. A response without id
// leaves the member out: MCP's schema does not allow null.
func (s *Server) appendAnswer(b []byte, st step) []byte {
	b = appendHead(slices.Grow(b, len(st.result)+len(st.id)+64), st.id)
	head, f := len(b), st.fault
	if f == nil {
		b = append(b, `"result":`...)
		if st.call != nil {
			b, f = s.appendResult(b, st.call)
		} else {
			b = append(b, st.result...)
		}
	}
	if f != nil {
		encoded, _ := encode(f) // integers and strings: JSON holds them all
		b = append(b[:head], `"error":`...)
		b = append(b, encoded...)
	}
	return append(b, '}')
}

func appendHead(b []byte, id json.RawMessage) []byte {
	b = append(b, `{"jsonrpc":"2.0",`...)
	if id != nil {
		b = append(b, `"id":`...)
		b = append(b, id...)
		b = append(b, ',')
	}
	return b
}
