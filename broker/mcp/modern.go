package mcp

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"
)

// The headers by which proxies route modern requests. Each repeats a value of
// the body.
const (
	headerVersion = "Mcp-Protocol-Version" // _meta's protocolVersion
	headerMethod  = "Mcp-Method"           // method
	headerName    = "Mcp-Name"             // params.name or params.uri
)

const methodCall = "tools/call"

// decideModern is for requests of 2026-07-28: the envelope is checked from
// outside to inside, then the method. version is the header's, "" when absent.
func (s *Server) decideModern(header http.Header, version string, m *message) (step, *fault) {
	method := routingHeader(header, headerMethod)
	switch {
	case m.claim.Exists() && (version == "" || m.claim.Str != version):
		return step{}, headerMismatch("the header MCP-Protocol-Version must be the protocolVersion in _meta")
	case version != revision20260728:
		return step{}, unsupportedVersion(version)
	case !m.claim.Exists() || !m.capabilities.IsObject():
		return step{}, invalidEnvelope("_meta needs io.modelcontextprotocol/protocolVersion and io.modelcontextprotocol/clientCapabilities")
	case m.logLevel.Exists() && !isLogLevel(m.logLevel):
		return step{}, invalidEnvelope("_meta has an unknown io.modelcontextprotocol/logLevel")
	case method == "" || method != m.method.Str:
		return step{}, headerMismatch("the header Mcp-Method must be the method of the body")
	case !m.isNamedBy(header):
		return step{}, headerMismatch("the header Mcp-Name must be the name or uri in params")
	}
	switch m.method.Str {
	case "server/discover":
		return step{result: s.discover}, nil
	case "tools/list":
		return step{result: s.list}, m.checkCursor()
	case methodCall:
		st, f := s.decideCall(m)
		if f == nil {
			f = m.readModern(st.call)
		}
		return st, f
	}
	return step{}, methodNotFound(http.StatusNotFound)
}

// readModern adds to a call what only modern clients send. What they answer when
// they were asked must be well formed; whether they were is not known here.
func (m *message) readModern(c *Call) *fault {
	c.modern = true
	c.ClientName, c.ClientVersion = m.clientInfo.Get("name").Str, m.clientInfo.Get("version").Str
	c.AsksPeople = asksPeople(m.capabilities)
	if m.requestState.Exists() && (m.requestState.Type != gjson.String || m.requestState.Str == "") {
		return invalidParams("requestState was not issued by this server")
	}
	c.RequestState = m.requestState.Str
	if !m.inputResponses.Exists() {
		return nil
	}
	wellFormed := m.inputResponses.IsObject()
	m.inputResponses.ForEach(func(_, answer gjson.Result) bool {
		wellFormed = wellFormed && answer.IsObject()
		return wellFormed
	})
	if !wellFormed {
		return invalidParams("inputResponses must be an object of objects")
	}
	c.InputResponses = json.RawMessage(m.inputResponses.Raw)
	return nil
}

// asksPeople reports whether capabilities declare forms: an empty declaration
// of elicitation does too.
func asksPeople(capabilities gjson.Result) bool {
	elicitation := capabilities.Get("elicitation")
	return elicitation.IsObject() && (elicitation.Get("form").IsObject() || len(elicitation.Map()) == 0)
}

// isNamedBy reports whether Mcp-Name repeats what the method acts on. Without a
// name in the body there must be none in the header.
func (m *message) isNamedBy(header http.Header) bool {
	var name gjson.Result
	switch m.method.Str {
	case methodCall, "prompts/get":
		name = m.name
	case "resources/read":
		name = m.uri
	default:
		return true
	}
	got, ok := decodeName(routingHeader(header, headerName))
	return ok && got == name.Str
}

// decodeName undoes the form =?base64?...?= of values that a header cannot hold.
func decodeName(value string) (name string, ok bool) {
	inner, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value, true
	}
	if inner, ok = strings.CutSuffix(inner, "?="); !ok {
		return value, true
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(inner)
	return string(decoded), err == nil
}

// routingHeader returns a header's value without white space around it, "" when
// it is absent. One that comes several times is joined as RFC 9110 section 5.3
// has it, and as a Worker sees it anyway. No value that we accept has a comma,
// so a duplicate is always refused: otherwise a proxy could go by one of the
// two and we by the other.
func routingHeader(header http.Header, name string) string {
	return strings.Trim(strings.Join(header.Values(name), ", "), " \t")
}

// isLogLevel knows the levels of RFC 5424 section 6.2.1, as MCP spells them.
func isLogLevel(v gjson.Result) bool {
	switch v.Str {
	case "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency":
		return true
	}
	return false
}
