package mcp_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"mcp-credential-broker/broker/mcp"
)

// A fixture is a server of three small tools, with somebody who runs them and
// notes every call.
type fixture struct {
	*mcp.Server
	calls   []mcp.Call
	names   []string // of the tools called
	ctxErrs []error  // what each call's context said
}

const (
	object       = `{"type":"object"}`
	echoSchema   = `{"type":"object","properties":{"text":{"type":"string","description":"What to say, e.g. <b>&amp;</b>.","maxLength":100}},"required":["text"],"additionalProperties":false}`
	echoResult   = `{"type":"object","properties":{"said":{"type":"object","description":"The arguments.","additionalProperties":{"type":"string"}}},"required":["said"],"additionalProperties":false}`
	instructions = "Fixture tools: <echo> says what it hears."
)

func info() mcp.Implementation {
	return mcp.Implementation{Name: "fixture", Title: "Fixture", Version: "1.2.3", Description: "For tests.", WebsiteURL: "https://broker.example/"}
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	tool := func(name, title, input, output string) mcp.Tool {
		return mcp.Tool{
			Name: name, Title: title, Description: "The <" + name + "> tool & no other.",
			InputSchema: json.RawMessage(input), OutputSchema: json.RawMessage(output),
			Annotations: mcp.Annotations{OpenWorldHint: true},
		}
	}
	plain := tool("plain", "Plain", object, "")
	plain.OutputSchema = nil
	plain.Annotations = mcp.Annotations{ReadOnlyHint: true, DestructiveHint: true, IdempotentHint: true}
	server, err := mcp.New(info(), instructions, []mcp.Tool{
		tool("echo", "Echo", echoSchema, echoResult), tool("fail", "Fail", object, object), plain,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &fixture{Server: server}
}

// ServeHTTP runs every call of a request, as whoever uses a server does. It takes
// back no state, since it gives out none.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := f.Read(r)
	for _, c := range q.Calls() {
		if c.RequestState != "" {
			c.Result = mcp.Result{Rejected: "requestState was not issued by this server"}
			continue
		}
		f.calls = append(f.calls, *c)
		f.names = append(f.names, c.Tool)
		f.ctxErrs = append(f.ctxErrs, c.Context(r.Context()).Err())
		switch c.Tool {
		case "echo":
			c.Result = mcp.Result{Structured: json.RawMessage(`{ "said":` + string(c.Arguments) + `}`)}
		case "fail":
			c.Result = mcp.Result{Structured: json.RawMessage(`{ "error": "say <please>", "status": 400 }`), IsError: true}
		case "plain":
			c.Result = mcp.Result{Structured: struct{}{}}
		}
	}
	q.Write(w)
}

// always is a server of which every call has the same result.
func always(s *mcp.Server, result mcp.Result) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := s.Read(r)
		for _, c := range q.Calls() {
			c.Result = result
		}
		q.Write(w)
	}
}

// An answer is an HTTP answer with what a test looks at in its JSON.
type answer struct {
	status int
	header http.Header
	body   string
	rpc
}

type rpc struct {
	ID     json.RawMessage
	Result json.RawMessage
	Error  struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

const (
	jsonType   = "Content-Type: application/json"
	modern     = "MCP-Protocol-Version: 2026-07-28"
	methodCall = "Mcp-Method: tools/call"
	methodList = "Mcp-Method: tools/list"
	nameEcho   = "Mcp-Name: echo"

	claimKey     = `"io.modelcontextprotocol/protocolVersion"`
	capabilities = `"io.modelcontextprotocol/clientCapabilities":{}`
	meta         = `"_meta":{` + claimKey + `:"2026-07-28",` + capabilities + `}`
)

// post sends body as JSON, with headers as "Name: value"; "Content-Type: ..."
// among them takes the place of the usual one. It checks what holds for every
// answer.
func post(t testing.TB, s http.Handler, body string, headers ...string) answer {
	t.Helper()
	return serve(t, s, request(body, headers...))
}

func request(body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Add(name, strings.TrimPrefix(value, " "))
	}
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func serve(t testing.TB, s http.Handler, r *http.Request) answer {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	a := answer{status: w.Code, header: w.Header(), body: w.Body.String()}
	if got := a.header.Get("Content-Length"); got != strconv.Itoa(len(a.body)) {
		t.Errorf("Content-Length %s for %d bytes", got, len(a.body))
	}
	if a.header.Get("Mcp-Session-Id") != "" {
		t.Error("the answer has a session id")
	}
	if a.body == "" {
		return a
	}
	if got := a.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if strings.HasPrefix(a.body, "[") {
		if !json.Valid([]byte(a.body)) {
			t.Errorf("the answer is no JSON: %s", a.body)
		}
		return a
	}
	if err := json.Unmarshal([]byte(a.body), &a.rpc); err != nil {
		t.Fatalf("the answer is no JSON: %v: %s", err, a.body)
	}
	if !strings.HasPrefix(a.body, `{"jsonrpc":"2.0",`) || (a.Result == nil) == (a.Error.Code == 0) {
		t.Errorf("the answer is no JSON-RPC response: %s", a.body)
	}
	return a
}

// legacyBody is a request without a version, modernBody one with the whole
// envelope; params is the inside of an object.
func legacyBody(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `}}`
}

func modernBody(method, params string) string {
	if params != "" {
		params += ","
	}
	return legacyBody(method, params+meta)
}

func TestNewRefuses(t *testing.T) {
	deep := func(schema string) string {
		return `{"type":"object","properties":{"list":{"type":"array","description":"A list.","items":` + schema + `}}}`
	}
	tests := []struct {
		name   string
		change func(info *mcp.Implementation, tool *mcp.Tool)
	}{
		{"server without a name", func(i *mcp.Implementation, _ *mcp.Tool) { i.Name = "" }},
		{"server without a version", func(i *mcp.Implementation, _ *mcp.Tool) { i.Version = "" }},
		{"empty name", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Name = "" }},
		{"name with a dot", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Name = "a.b" }},
		{"name with a comma", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Name = "a, b" }},
		{"name with a letter beyond ASCII", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Name = "é" }},
		{"name of 65 characters", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Name = strings.Repeat("a", 65) }},
		{"name of another tool", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Name = "other" }},
		{"no title", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Title = "" }},
		{"no description", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.Description = "" }},
		{"no input schema", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.InputSchema = nil }},
		{"empty output schema", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.OutputSchema = json.RawMessage{} }},
		{"bad output schema", func(_ *mcp.Implementation, tool *mcp.Tool) { tool.OutputSchema = json.RawMessage(`{"type":"array"}`) }},
	}
	schemas := map[string]string{
		"schema is no JSON":             `{"type":"object"`,
		"schema is no object":           `[]`,
		"schema of no type":             `{}`,
		"schema of two types":           `{"type":["object","null"]}`,
		"schema with a dialect":         `{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema"}`,
		"schema with definitions":       `{"type":"object","$defs":{}}`,
		"schema with anyOf":             `{"type":"object","anyOf":[]}`,
		"property without description":  `{"type":"object","properties":{"a":{"type":"string"}}}`,
		"property without type":         `{"type":"object","properties":{"a":{"description":"A."}}}`,
		"boolean property":              `{"type":"object","properties":{"a":true}}`,
		"property with a reference":     `{"type":"object","properties":{"a":{"type":"string","description":"A.","$ref":"#/x"}}}`,
		"property copied into a header": `{"type":"object","properties":{"a":{"type":"string","description":"A.","x-mcp-header":"A"}}}`,
		"items with oneOf":              deep(`{"type":"string","oneOf":[]}`),
		"boolean items":                 deep(`true`),
		"items of two types":            deep(`{"type":["string"]}`),
		"additional with allOf":         `{"type":"object","additionalProperties":{"allOf":[]}}`,
	}
	for name, schema := range schemas {
		tests = append(tests, struct {
			name   string
			change func(*mcp.Implementation, *mcp.Tool)
		}{name, func(_ *mcp.Implementation, tool *mcp.Tool) { tool.InputSchema = json.RawMessage(schema) }})
	}
	other := mcp.Tool{Name: "other", Title: "Other", Description: "Another.", InputSchema: json.RawMessage(object)}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, tool := info(), other
			tool.Name = "tool"
			if _, err := mcp.New(info, "", []mcp.Tool{other, tool}); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			tt.change(&info, &tool)
			server, err := mcp.New(info, "", []mcp.Tool{other, tool})
			if !errors.Is(err, mcp.ErrInvalidServer) || server != nil {
				t.Errorf("New: %v, %v; want ErrInvalidServer", server, err)
			}
		})
	}
}

// TestNewAccepts guards the edges of what New refuses.
func TestNewAccepts(t *testing.T) {
	tool := mcp.Tool{
		Name: strings.Repeat("a-Z_9", 12) + "abcd", Title: "T", Description: "D.",
		InputSchema: json.RawMessage(`{"type":"object","properties":{
			"anyOf":{"type":"string","description":"Named like a keyword.","enum":["a"]},
			"list":{"type":"array","description":"L.","items":{"type":"string"}},
			"map":{"type":"object","description":"M.","additionalProperties":{"type":"string"}}},"additionalProperties":false}`),
	}
	if _, err := mcp.New(info(), "", []mcp.Tool{tool}); err != nil {
		t.Error(err)
	}
	s, err := mcp.New(info(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := post(t, always(s, mcp.Result{}), legacyBody("tools/list", "")); string(a.Result) != `{"tools":[]}` {
		t.Errorf("a server without tools lists %s", a.Result)
	}
}
