// Package mcp reads and writes the Model Context Protocol over HTTP: one request
// in, one JSON answer out, in both eras on one endpoint. It calls nobody: Read
// says which tools a request calls, and Write answers with what came of it. The modern era (2026-07-28)
// describes itself in every request; the legacy revisions (2024-11-05 to
// 2025-11-25) open with initialize.
//
// It promises that a request has no calls before all of its messages were
// checked, that no value is read by two parsers that could disagree, that ids come back
// as they were sent, and that no request makes it recurse or allocate without
// bound. It keeps no session and no state, streams nothing, and knows neither
// tokens nor origins: authentication, Host, Origin, CORS and rate limits belong
// to the handler in front of it.
package mcp

import (
	"context"
	"encoding/json"
)

// An Implementation names a server to its clients (MCP 2026-07-28,
// Implementation). Name and Version are required. Members that a client's
// revision does not know are left out.
type Implementation struct {
	Name        string `json:"name"`
	Title       string `json:"title,omitempty"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
	WebsiteURL  string `json:"websiteUrl,omitempty"`
}

// Annotations are hints about what a tool does (MCP 2026-07-28,
// ToolAnnotations). All four are always sent, since the defaults of absent ones
// differ from false.
type Annotations struct {
	ReadOnlyHint    bool `json:"readOnlyHint"`
	DestructiveHint bool `json:"destructiveHint"`
	IdempotentHint  bool `json:"idempotentHint"`
	OpenWorldHint   bool `json:"openWorldHint"`
}

// A Tool is something that a client may call.
type Tool struct {
	// Name is 1 to 64 characters of A-Z, a-z, 0-9, "_" and "-", unique in the
	// server: some clients take no more and no dots.
	Name  string `json:"name"`
	Title string `json:"title"` // for people
	// Description tells the model when and how to call the tool.
	Description string `json:"description"`
	// InputSchema and OutputSchema are JSON Schemas (2020-12) in the subset that
	// New describes. OutputSchema may be nil; a Result that is no error must
	// conform to it.
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  Annotations     `json:"annotations"`
}

// A Call is one tools/call request. Who runs it leaves its Result.
type Call struct {
	Tool string // the name of one of the server's tools
	// RequestID is the JSON-RPC id as it was sent: a string or an integer.
	RequestID json.RawMessage
	// Arguments is a JSON object as it was sent, {} when there was none. Its
	// member names may repeat: read it with one parser only.
	Arguments json.RawMessage
	// ClientName and ClientVersion are what a modern client calls itself, of any
	// length, or "". Nothing may be decided by them: anybody can send any name.
	ClientName, ClientVersion string
	// AsksPeople says that the client can put a form before its person (MCP
	// 2026-07-28, elicitation). Only then may a Result ask.
	AsksPeople bool
	// RequestState and InputResponses come back with the answers to a Result that
	// asked, "" and nil otherwise. Both are whatever the client sent.
	// InputResponses is a JSON object of objects.
	RequestState   string
	InputResponses json.RawMessage

	// Result is what the call came to. A call without one is answered with an
	// internal error.
	Result Result

	modern bool
}

// Context returns the context in which the call runs, given its request's. In
// the modern era it ends when the client hangs up; in the legacy one it does not,
// because there a lost connection is no cancellation.
func (c *Call) Context(ctx context.Context) context.Context {
	if c.modern {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

// A Result is the outcome of a Call.
type Result struct {
	// Structured becomes one JSON object.
	Structured any
	// Text is what the model reads, if that is not the object itself.
	Text string
	// IsError says that Structured describes a failure, in words that help the
	// model to do better.
	IsError bool
	// Ask, if it is not nil, asks the client's person; the other fields do not
	// count then. See Call.AsksPeople.
	Ask *Ask
	// Rejected, if it is not empty, says in a sentence why RequestState or
	// InputResponses are not what this server asked for: a JSON-RPC error.
	Rejected string
}

// An Ask is a question to a person by way of the client, which sends the call
// again with the answer (MCP 2026-07-28, input_required).
type Ask struct {
	Key     string // of the answer in Call.InputResponses
	Message string
	// Schema is the form, a flat JSON Schema.
	Schema json.RawMessage
	// State comes back as Call.RequestState. The client may read, change and
	// keep it: seal it.
	State string
}

// The revisions that are served. They are dates: their order is that of strings.
const (
	revision20241105 = "2024-11-05"
	revision20250326 = "2025-03-26" // the newest one with batches
	revision20250618 = "2025-06-18"
	revision20251125 = "2025-11-25" // the newest legacy one
	revision20260728 = "2026-07-28" // the modern one
)

// revisions returns every revision that is served, newest first.
func revisions() []string {
	return []string{revision20260728, revision20251125, revision20250618, revision20250326, revision20241105}
}
