package mcp

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/strictjson"
)

// parse reads a body as one JSON text. A byte order mark is skipped (RFC 8259
// section 8.1 allows it). A batch is an array, and of members that come twice only
// those that count are refused, see pick: what is in a tool's arguments is for the
// tool to judge, in its own words.
func parse(body []byte) (gjson.Result, *fault) {
	text := strings.TrimPrefix(string(body), "\ufeff")
	if !strictjson.Valid(text, maxDepth) {
		return gjson.Result{}, &fault{http.StatusBadRequest, codeParse, "the body is not JSON in UTF-8, or nested too deeply", nil}
	}
	return gjson.Parse(text), nil
}

// A message is a JSON-RPC request, notification or response with the members
// that the protocol knows. A value that is absent does not exist in gjson's
// sense; null does.
type message struct {
	id json.RawMessage // as sent, a string or an integer; nil when absent or unreadable

	jsonrpc, rawID, method, params, result, failure gjson.Result

	// Members of params.
	name, uri, arguments, cursor, protocolVersion, inputResponses, requestState, meta gjson.Result

	// Members of params._meta.
	claim, capabilities, clientInfo, logLevel gjson.Result
}

// readMessage takes one message apart, once. With a fault the message has the
// id to answer to, if that could be read.
func readMessage(value gjson.Result) (*message, *fault) {
	m := &message{}
	if !pick(value, m.member) || !pick(m.params, m.paramsMember) || !pick(m.meta, m.metaMember) {
		return m, malformed("a member of the message is there twice")
	}
	if m.rawID.Exists() && !isID(m.rawID) {
		return m, malformed("id must be a string or an integer")
	}
	if m.rawID.Exists() {
		m.id = json.RawMessage(m.rawID.Raw)
	}
	switch {
	case m.jsonrpc.Str != "2.0":
		return m, malformed(`a message is an object with jsonrpc "2.0"`)
	case m.method.Exists() && m.method.Type != gjson.String:
		return m, malformed("method must be a string")
	case !m.method.Exists() && !m.result.Exists() && !m.failure.Exists():
		return m, malformed("a message has a method, a result or an error")
	}
	return m, nil
}

func (m *message) isRequest() bool  { return m.method.Exists() && m.id != nil }
func (m *message) isResponse() bool { return !m.method.Exists() }

// pick stores the members of an object where field wants them; nil means that
// the member does not matter. It returns false if one comes twice: which of the
// two counts differs between parsers, so that a proxy could check one and we
// run the other. Names are compared exactly, not by case folding as
// encoding/json does. What is no object has no members.
func pick(object gjson.Result, field func(name string) *gjson.Result) bool {
	unique := true
	object.ForEach(func(key, value gjson.Result) bool {
		f := field(key.Str)
		if f == nil {
			return true
		}
		unique = !f.Exists()
		*f = value
		return unique
	})
	return unique
}

func (m *message) member(name string) *gjson.Result {
	switch name {
	case "jsonrpc":
		return &m.jsonrpc
	case "id":
		return &m.rawID
	case "method":
		return &m.method
	case "params":
		return &m.params
	case "result":
		return &m.result
	case "error":
		return &m.failure
	}
	return nil
}

func (m *message) paramsMember(name string) *gjson.Result {
	switch name {
	case "name":
		return &m.name
	case "uri":
		return &m.uri
	case "arguments":
		return &m.arguments
	case "cursor":
		return &m.cursor
	case "protocolVersion":
		return &m.protocolVersion
	case "inputResponses":
		return &m.inputResponses
	case "requestState":
		return &m.requestState
	case "_meta":
		return &m.meta
	}
	return nil
}

func (m *message) metaMember(name string) *gjson.Result {
	switch name {
	case "io.modelcontextprotocol/protocolVersion":
		return &m.claim
	case "io.modelcontextprotocol/clientCapabilities":
		return &m.capabilities
	case "io.modelcontextprotocol/clientInfo":
		return &m.clientInfo
	case "io.modelcontextprotocol/logLevel":
		return &m.logLevel
	}
	return nil
}

// isID reports whether an id is a string or an integer. An integer has neither
// fraction nor exponent, any length and any size: it is never made a number.
func isID(v gjson.Result) bool {
	return v.Type == gjson.String || v.Type == gjson.Number && !strings.ContainsAny(v.Raw, ".eE")
}
