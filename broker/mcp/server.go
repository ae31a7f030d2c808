package mcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	discoverTTL = 3_600_000 // milliseconds
	listTTL     = 300_000   // milliseconds: some clients ask again only after it
)

// A Server is what one MCP endpoint offers. It does not change and may be used
// concurrently.
type Server struct {
	tools map[string]bool // by name

	// Results that are the same for everyone, encoded once.
	discover   json.RawMessage
	list       json.RawMessage
	initialize map[string]json.RawMessage // by legacy revision
	legacyList json.RawMessage

	// meta is the member _meta of modern results, with a comma before it.
	meta []byte
}

// New returns a Server that names itself info and offers tools, always listed in
// this order. instructions is short plain text for the model, or "".
//
// Schemas are held to what every known client accepts: an object at the root;
// one type and a description for each property; no $schema, $ref, $defs, anyOf,
// oneOf, allOf; no x-mcp-header, which would copy arguments into headers. The
// error joins all faults, each wrapping ErrInvalidServer.
func New(info Implementation, instructions string, tools []Tool) (*Server, error) {
	s := &Server{tools: make(map[string]bool, len(tools))}
	var faults []error
	if info.Name == "" || info.Version == "" {
		faults = append(faults, fmt.Errorf("%w: it needs a name and a version", ErrInvalidServer))
	}
	for _, tool := range tools {
		if err := tool.check(); err != nil {
			faults = append(faults, fmt.Errorf("%w: tool %q: %w", ErrInvalidServer, tool.Name, err))
		}
		if s.tools[tool.Name] {
			faults = append(faults, fmt.Errorf("%w: tool %q is there twice", ErrInvalidServer, tool.Name))
		}
		s.tools[tool.Name] = true
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if err := s.precompute(info, instructions, tools); err != nil {
		return nil, err
	}
	return s, nil
}

// precompute encodes all that does not depend on the request.
func (s *Server) precompute(info Implementation, instructions string, tools []Tool) (err error) {
	keep := func(v any) json.RawMessage {
		encoded, e := encode(v)
		err = errors.Join(err, e)
		return encoded
	}
	meta := map[string]Implementation{"io.modelcontextprotocol/serverInfo": info}
	s.meta = append([]byte(`,"_meta":`), keep(meta)...)

	// "public" lets a cache hand the result to others. Nothing in either depends
	// on who asks; a list filtered by caller would have to be "private".
	s.discover = keep(discoverResult{"complete", revisions(), toolsOnly{}, instructions, discoverTTL, "public", meta})
	listed := make([]listedTool, len(tools))
	for i := range tools {
		listed[i] = listedTool{&tools[i], listedAnnotations{tools[i].Title, tools[i].Annotations}}
	}
	s.list = keep(listResult{"complete", listed, listTTL, "public", meta})
	s.legacyList = keep(legacyListResult{listed})

	s.initialize = map[string]json.RawMessage{}
	for _, revision := range revisions() {
		if revision != revision20260728 {
			s.initialize[revision] = keep(initializeResult{revision, toolsOnly{}, info.in(revision), instructions})
		}
	}
	return err
}

// in returns i without the members that came after a revision.
func (i Implementation) in(revision string) Implementation {
	if revision < revision20251125 {
		i.Description, i.WebsiteURL = "", ""
	}
	if revision < revision20250618 {
		i.Title = ""
	}
	return i
}

// toolsOnly is the capabilities object of a server that has tools and cannot
// notify anybody of anything.
type toolsOnly struct {
	Tools struct{} `json:"tools"`
}

type discoverResult struct {
	ResultType        string                    `json:"resultType"`
	SupportedVersions []string                  `json:"supportedVersions"`
	Capabilities      toolsOnly                 `json:"capabilities"`
	Instructions      string                    `json:"instructions,omitempty"`
	TTLMs             int                       `json:"ttlMs"`
	CacheScope        string                    `json:"cacheScope"`
	Meta              map[string]Implementation `json:"_meta"`
}

type initializeResult struct {
	ProtocolVersion string         `json:"protocolVersion"`
	Capabilities    toolsOnly      `json:"capabilities"`
	ServerInfo      Implementation `json:"serverInfo"`
	Instructions    string         `json:"instructions,omitempty"`
}

type listResult struct {
	ResultType string                    `json:"resultType"`
	Tools      []listedTool              `json:"tools"`
	TTLMs      int                       `json:"ttlMs"`
	CacheScope string                    `json:"cacheScope"`
	Meta       map[string]Implementation `json:"_meta"`
}

type legacyListResult struct {
	Tools []listedTool `json:"tools"`
}

// A listedTool is a Tool whose annotations repeat its title, for clients that
// look only there.
type listedTool struct {
	*Tool
	Annotations listedAnnotations `json:"annotations"`
}

type listedAnnotations struct {
	Title string `json:"title"`
	Annotations
}

// encode is json.Marshal without the escapes for HTML, which a model would have
// to read through.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding %T: %w", v, err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
