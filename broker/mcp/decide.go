package mcp

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/strictjson"
)

const methodInitialize = "initialize"

// A plan is the answer to an HTTP request before any tool has run. All that can
// refuse a request is decided on plans, so that no part of a refused batch runs.
type plan struct {
	status int
	steps  []step // none: the answer has no body
	batch  bool   // the answer is an array
}

// A step is the answer to one message: a fault, a result or what a call comes to.
type step struct {
	id     json.RawMessage // nil: the answer has none
	fault  *fault
	result json.RawMessage
	call   *Call
}

// refusal is the plan for a request of which no message can be answered.
func refusal(f *fault) plan { return single(step{fault: f}) }

func single(st step) plan {
	status := http.StatusOK
	if st.fault != nil {
		status = st.fault.status
	}
	return plan{status: status, steps: []step{st}}
}

// decide says how a request is answered, and runs nothing.
func (s *Server) decide(header http.Header, body []byte) plan {
	root, f := parse(body)
	if f != nil {
		return refusal(f)
	}
	version := routingHeader(header, headerVersion)
	if root.IsArray() {
		return s.decideBatch(version, root)
	}
	m, f := readMessage(root)
	if f != nil {
		return single(step{id: m.id, fault: f})
	}
	var st step
	switch {
	case m.isRequest() && (m.claim.Exists() || version == revision20260728):
		st, f = s.decideModern(header, version, m)
	case version != "" && !slices.Contains(revisions(), version):
		f = unsupportedVersion(version)
	case m.isRequest():
		st, f = s.decideLegacy(m)
	case m.isResponse() && version == revision20260728:
		return refusal(malformed("a client sends no responses in this protocol version"))
	default: // a notification, or a response to what we never asked
		return plan{status: http.StatusAccepted}
	}
	if m.isRequest() {
		st.id = m.id
	}
	st.fault = f
	return single(st)
}

// decideBatch is for arrays, which 2025-03-26 demands that servers receive and
// later revisions do not have.
func (s *Server) decideBatch(version string, root gjson.Result) plan {
	if version != "" && version != revision20250326 && version != revision20241105 {
		return refusal(malformed("this protocol version has no batches"))
	}
	var items []gjson.Result
	root.ForEach(func(_, item gjson.Result) bool {
		items = append(items, item)
		return len(items) <= maxBatch
	})
	if len(items) == 0 || len(items) > maxBatch {
		return refusal(malformed("a batch has 1 to 20 messages"))
	}
	p := plan{status: http.StatusOK, batch: true}
	for _, item := range items {
		m, f := readMessage(item)
		var st step
		switch {
		case f != nil:
		case m.claim.Exists():
			return refusal(malformed("a request of a protocol version without batches is in a batch"))
		case !m.isRequest():
			continue
		case m.method.Str == methodInitialize:
			f = malformed("initialize must not be in a batch")
		default:
			st, f = s.decideLegacy(m)
		}
		st.id, st.fault = m.id, f
		p.steps = append(p.steps, st)
	}
	if len(p.steps) == 0 {
		return plan{status: http.StatusAccepted}
	}
	return p
}

// decideLegacy is for requests of the revisions before 2026-07-28. No order is
// enforced: without sessions nobody could say what came before.
func (s *Server) decideLegacy(m *message) (step, *fault) {
	if m.params.Type != gjson.Null && !m.params.IsObject() { // absent is null, too
		return step{}, invalidParams("params must be an object")
	}
	switch m.method.Str {
	case methodInitialize:
		if m.protocolVersion.Type != gjson.String {
			return step{}, invalidParams("initialize needs a protocolVersion")
		}
		if result, ok := s.initialize[m.protocolVersion.Str]; ok {
			return step{result: result}, nil
		}
		return step{result: s.initialize[revision20251125]}, nil
	case "ping":
		return step{result: json.RawMessage("{}")}, nil
	case "tools/list":
		return step{result: s.legacyList}, m.checkCursor()
	case methodCall:
		return s.decideCall(m)
	}
	return step{}, methodNotFound(http.StatusOK)
}

// decideCall finds the tool of a tools/call request. Unknown members of params
// are ignored; the arguments are the tool's to judge.
func (s *Server) decideCall(m *message) (step, *fault) {
	if !s.tools[m.name.Str] { // no tool has the empty name, which is that of a number or an object
		return step{}, invalidParams("unknown tool; tools/list names those that exist")
	}
	arguments := json.RawMessage("{}")
	switch text := m.arguments.Str; {
	case len(m.arguments.Raw) > maxArgumentsBytes:
		return step{}, invalidParams("arguments are larger than 16 KiB")
	case m.arguments.IsObject():
		arguments = json.RawMessage(m.arguments.Raw)
	// Some models write the object as a text. Taken here, it is the same call to all
	// that comes after.
	case strictjson.Valid(text, maxDepth) && gjson.Parse(text).IsObject():
		arguments = json.RawMessage(text)
	case m.arguments.Type != gjson.Null:
		return step{}, invalidParams("arguments must be an object")
	}
	return step{call: &Call{Tool: m.name.Str, RequestID: m.id, Arguments: arguments}}, nil
}

// checkCursor refuses every cursor: the list has one page, so we gave out none.
func (m *message) checkCursor() *fault {
	if m.cursor.Type != gjson.Null {
		return invalidParams("Invalid cursor")
	}
	return nil
}
