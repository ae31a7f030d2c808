package mcp

import (
	"errors"
	"net/http"
)

// ErrInvalidServer is wrapped by every error of New: the server or one of its
// tools is described in a way that clients would stumble over.
var ErrInvalidServer = errors.New("MCP server cannot be offered")

// JSON-RPC 2.0 section 5.1 and, from -32020 on, MCP 2026-07-28.
const (
	codeParse              = -32700
	codeInvalidRequest     = -32600
	codeMethodNotFound     = -32601
	codeInvalidParams      = -32602
	codeInternal           = -32603
	codeHeaderMismatch     = -32020
	codeUnsupportedVersion = -32022
)

// A fault is a JSON-RPC error. It repeats nothing that a client sent, its
// version aside: arguments can hold secrets.
type fault struct {
	status int // of HTTP, when it answers a message that came alone

	Code    int          `json:"code"`
	Message string       `json:"message"`
	Data    *versionData `json:"data,omitempty"`
}

// versionData is the data of codeUnsupportedVersion.
type versionData struct {
	Supported []string `json:"supported"`
	Requested string   `json:"requested"`
}

// malformed is for what is no JSON-RPC message, in either era.
func malformed(message string) *fault {
	return &fault{http.StatusBadRequest, codeInvalidRequest, message, nil}
}

// headerMismatch is for routing headers that do not say what the body says: a
// proxy that routes or filters by them would have been deceived.
func headerMismatch(message string) *fault {
	return &fault{http.StatusBadRequest, codeHeaderMismatch, message, nil}
}

func unsupportedVersion(requested string) *fault {
	return &fault{http.StatusBadRequest, codeUnsupportedVersion, "this protocol version is not served", &versionData{revisions(), requested}}
}

// invalidEnvelope is for a modern request without its required members.
func invalidEnvelope(message string) *fault {
	return &fault{http.StatusBadRequest, codeInvalidParams, message, nil}
}

// invalidParams is for a readable request. Its status is 200 in both eras: many
// legacy clients take any other for a lost connection.
func invalidParams(message string) *fault {
	return &fault{http.StatusOK, codeInvalidParams, message, nil}
}

// methodNotFound has status 404 in the modern era, where the JSON body tells it
// from a wrong URL, and 200 in the legacy one.
func methodNotFound(status int) *fault {
	return &fault{status, codeMethodNotFound, "this method does not exist here", nil}
}

func internalFault() *fault {
	return &fault{http.StatusOK, codeInternal, "the server failed on this request; try again", nil}
}
