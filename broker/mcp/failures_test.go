package mcp_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"mcp-credential-broker/broker/mcp"
)

const (
	parseError         = -32700
	invalidRequest     = -32600
	methodNotFound     = -32601
	invalidParams      = -32602
	headerMismatch     = -32020
	unsupportedVersion = -32022

	ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
)

// A failure is a request and the status and code that refuse it. code 0 means
// an answer without a body.
type failure struct {
	name    string
	body    string
	headers []string
	status  int
	code    int
	id      string // of the answer; "" for none
}

func runFailures(t *testing.T, tests []failure) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a := post(t, f, tt.body, tt.headers...)
			if a.status != tt.status || a.Error.Code != tt.code || string(a.ID) != tt.id {
				t.Errorf("status %d, code %d, id %s; want %d, %d, %s\n%s", a.status, a.Error.Code, a.ID, tt.status, tt.code, tt.id, a.body)
			}
			if (tt.code == 0) != (a.body == "") {
				t.Errorf("body %q", a.body)
			}
			if len(f.calls) > 0 {
				t.Error("a tool ran")
			}
		})
	}
}

func TestFailuresOfBothEras(t *testing.T) {
	long := `{"jsonrpc":"2.0","id":1,"method":"` + strings.Repeat("x", mcp.MaxBodyBytes) + `"}`
	runFailures(t, []failure{
		{"text", ping, []string{"Content-Type: text/plain"}, 415, invalidRequest, ""},
		{"form", ping, []string{"Content-Type: application/x-www-form-urlencoded"}, 415, invalidRequest, ""},
		{"JSON's relative", ping, []string{"Content-Type: application/json-rpc"}, 415, invalidRequest, ""},
		{"two types", ping, []string{jsonType, jsonType}, 415, invalidRequest, ""},
		{"two types in one header", ping, []string{"Content-Type: application/json, text/plain"}, 415, invalidRequest, ""},
		{"too large", long, nil, 413, invalidRequest, ""},
		{"empty", ``, nil, 400, parseError, ""},
		{"white space", ` `, nil, 400, parseError, ""},
		{"cut off", `{"jsonrpc":"2.0","id":1,"method":`, nil, 400, parseError, ""},
		{"two texts", ping + ping, nil, 400, parseError, ""},
		{"rubbish behind", ping + `x`, nil, 400, parseError, ""},
		{"single quotes", `{'jsonrpc':'2.0'}`, nil, 400, parseError, ""},
		{"NaN", `{"jsonrpc":"2.0","id":NaN,"method":"ping"}`, nil, 400, parseError, ""},
		{"line end in a string", "{\"jsonrpc\":\"2.0\",\"id\":\"a\nb\",\"method\":\"ping\"}", nil, 400, parseError, ""},
		{"invalid UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\"\xff\"}", nil, 400, parseError, ""},
		{"overlong UTF-8", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xc1\xb0ing\"}", nil, 400, parseError, ""},
		{"UTF-16", "{\x00}\x00", nil, 400, parseError, ""},
		{"two byte order marks", "\ufeff\ufeff" + ping, nil, 400, parseError, ""},
		{"too deep", deepBody(64), nil, 400, parseError, ""},
		{"too deep by far", strings.Repeat("[", mcp.MaxBodyBytes), nil, 400, parseError, ""},
		{"deep behind an escape", `{"jsonrpc":"2.0","id":1,"method":"ping","x":"\\` + `","y":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, nil, 400, parseError, ""},
		{"number", `7`, nil, 400, invalidRequest, ""},
		{"string", `"ping"`, nil, 400, invalidRequest, ""},
		{"null", `null`, nil, 400, invalidRequest, ""},
		{"empty object", `{}`, nil, 400, invalidRequest, ""},
		{"null id", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"boolean id", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"object id", `{"jsonrpc":"2.0","id":{"a":1},"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"array id", `{"jsonrpc":"2.0","id":[1],"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"fraction id", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"whole fraction id", `{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"exponent id", `{"jsonrpc":"2.0","id":1E3,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"no jsonrpc", `{"id":1,"method":"ping"}`, nil, 400, invalidRequest, "1"},
		{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, nil, 400, invalidRequest, "1"},
		{"jsonrpc a number", `{"jsonrpc":2.0,"id":1,"method":"ping"}`, nil, 400, invalidRequest, "1"},
		{"no method", `{"jsonrpc":"2.0","id":"a"}`, nil, 400, invalidRequest, `"a"`},
		{"null method", `{"jsonrpc":"2.0","id":1,"method":null}`, nil, 400, invalidRequest, "1"},
		{"number method", `{"jsonrpc":"2.0","id":1,"method":1}`, nil, 400, invalidRequest, "1"},
		{"method in capitals", `{"jsonrpc":"2.0","id":1,"METHOD":"ping"}`, nil, 400, invalidRequest, "1"},
		{"jsonrpc in capitals", `{"JSONRPC":"2.0","id":1,"method":"ping"}`, nil, 400, invalidRequest, "1"},
		{"method with a long s", "{\"j\u017fonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", nil, 400, invalidRequest, "1"},
		{"two methods", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, nil, 400, invalidRequest, ""},
		{"two methods, one escaped", `{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}`, nil, 400, invalidRequest, ""},
		{"two ids", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"two ids, the first null", `{"jsonrpc":"2.0","id":null,"id":2,"method":"ping"}`, nil, 400, invalidRequest, ""},
		{"two params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x"},"params":{"name":"echo"}}`, nil, 400, invalidRequest, ""},
		{"two names", legacyBody("tools/call", `"name":"x","name":"echo"`), nil, 400, invalidRequest, ""},
		{"two arguments", legacyBody("tools/call", `"name":"echo","arguments":{},"arguments":{}`), nil, 400, invalidRequest, ""},
		{"two claims", legacyBody("tools/list", `"_meta":{`+claimKey+`:"2025-11-25",`+claimKey+`:"2026-07-28",`+capabilities+`}`), []string{modern, methodList}, 400, invalidRequest, ""},
		{"empty array", `[]`, nil, 400, invalidRequest, ""},
		{"array in modern", `[` + ping + `]`, []string{modern}, 400, invalidRequest, ""},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, 202, 0, ""},
		{"modern notification", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, []string{modern}, 202, 0, ""},
		{"notification of an unknown version", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, []string{"MCP-Protocol-Version: 2030-01-01"}, 400, unsupportedVersion, ""},
		{"tool call without an id", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo"}}`, nil, 202, 0, ""},
		{"modern tool call without an id", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo",` + meta + `}}`, []string{modern, methodCall, nameEcho}, 202, 0, ""},
		{"legacy response", `{"jsonrpc":"2.0","id":1,"result":{}}`, nil, 202, 0, ""},
		{"legacy error response", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}`, []string{"MCP-Protocol-Version: 2025-11-25"}, 202, 0, ""},
		{"modern response", `{"jsonrpc":"2.0","id":1,"result":{}}`, []string{modern}, 400, invalidRequest, ""},
		{"response of an unknown version", `{"jsonrpc":"2.0","id":1,"result":{}}`, []string{"MCP-Protocol-Version: x"}, 400, unsupportedVersion, ""},
	})
}

// deepBody is a ping whose value x is an array of that depth.
func deepBody(depth int) string {
	return `{"jsonrpc":"2.0","id":1,"method":"ping","x":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`
}

func TestFailuresOfModern(t *testing.T) {
	call := []string{modern, methodCall, nameEcho}
	list := []string{modern, methodList}
	version := func(v string) string { return "MCP-Protocol-Version: " + v }
	claim := func(v string) string {
		return legacyBody("tools/list", `"_meta":{`+claimKey+`:`+v+`,`+capabilities+`}`)
	}
	method := func(name string, headers ...string) failure {
		return failure{name, modernBody(name, ""), append(headers, modern, "Mcp-Method: "+name), 404, methodNotFound, "1"}
	}
	runFailures(t, []failure{
		{"claim without header", modernBody("tools/list", ""), []string{methodList}, 400, headerMismatch, "1"},
		{"claim with empty header", claim(`""`), []string{version(""), methodList}, 400, headerMismatch, "1"},
		{"claim and legacy header", modernBody("tools/list", ""), []string{version("2025-11-25"), methodList}, 400, headerMismatch, "1"},
		{"unknown header that differs", modernBody("tools/list", ""), []string{version("2030-01-01"), methodList}, 400, headerMismatch, "1"},
		{"header twice", modernBody("tools/list", ""), []string{modern, modern, methodList}, 400, headerMismatch, "1"},
		{"claim no string", claim(`20260728`), list, 400, headerMismatch, "1"},
		{"claim null", claim(`null`), list, 400, headerMismatch, "1"},
		{"claim in capitals", legacyBody("tools/list", `"_meta":{"IO.modelcontextprotocol/protocolVersion":"2026-07-28",`+capabilities+`}`), list, 400, invalidParams, "1"},
		{"unknown version", claim(`"2030-01-01"`), []string{version("2030-01-01"), methodList}, 400, unsupportedVersion, "1"},
		{"legacy version claimed", claim(`"2025-11-25"`), []string{version("2025-11-25"), methodList}, 400, unsupportedVersion, "1"},
		{"no claim", legacyBody("tools/list", `"_meta":{`+capabilities+`}`), list, 400, invalidParams, "1"},
		{"no _meta", legacyBody("tools/list", ""), list, 400, invalidParams, "1"},
		{"no params", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, list, 400, invalidParams, "1"},
		{"params an array", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[{` + meta + `}]}`, list, 400, invalidParams, "1"},
		{"_meta an array", legacyBody("tools/list", `"_meta":[]`), list, 400, invalidParams, "1"},
		{"initialize with modern header", legacyBody("initialize", `"protocolVersion":"2025-11-25"`), []string{modern}, 400, invalidParams, "1"},
		{"no capabilities", legacyBody("tools/list", `"_meta":{`+claimKey+`:"2026-07-28"}`), list, 400, invalidParams, "1"},
		{"capabilities an array", legacyBody("tools/list", `"_meta":{`+claimKey+`:"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}`), list, 400, invalidParams, "1"},
		{"unknown log level", legacyBody("tools/list", `"_meta":{`+claimKey+`:"2026-07-28",`+capabilities+`,"io.modelcontextprotocol/logLevel":"loud"}`), list, 400, invalidParams, "1"},
		{"log level no string", legacyBody("tools/list", `"_meta":{`+claimKey+`:"2026-07-28",`+capabilities+`,"io.modelcontextprotocol/logLevel":1}`), list, 400, invalidParams, "1"},

		{"no Mcp-Method", modernBody("tools/list", ""), []string{modern}, 400, headerMismatch, "1"},
		{"no Mcp-Method for an empty method", modernBody("", ""), []string{modern}, 400, headerMismatch, "1"},
		{"wrong Mcp-Method", modernBody("tools/call", `"name":"echo"`), []string{modern, methodList, nameEcho}, 400, headerMismatch, "1"},
		{"Mcp-Method in capitals", modernBody("tools/list", ""), []string{modern, "Mcp-Method: TOOLS/LIST"}, 400, headerMismatch, "1"},
		{"Mcp-Method twice", modernBody("tools/list", ""), []string{modern, methodList, methodList}, 400, headerMismatch, "1"},
		{"no Mcp-Name", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall}, 400, headerMismatch, "1"},
		{"wrong Mcp-Name", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: fail"}, 400, headerMismatch, "1"},
		{"Mcp-Name in capitals", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: Echo"}, 400, headerMismatch, "1"},
		{"Mcp-Name twice", modernBody("tools/call", `"name":"echo"`), append(call, nameEcho), 400, headerMismatch, "1"},
		{"Mcp-Name twice in base64", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: =?base64?ZWNobw==?=", "Mcp-Name: =?base64?ZWNobw==?="}, 400, headerMismatch, "1"},
		{"Mcp-Name no base64", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: =?base64?ZWNobw?="}, 400, headerMismatch, "1"},
		{"Mcp-Name with loose base64", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: =?base64?ZWNobx==?="}, 400, headerMismatch, "1"},
		{"Mcp-Name of another name in base64", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: =?base64?ZmFpbA==?="}, 400, headerMismatch, "1"},
		{"Mcp-Name with a marker in capitals", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, "Mcp-Name: =?BASE64?ZWNobw==?="}, 400, headerMismatch, "1"},
		{"Mcp-Name without a name", modernBody("tools/call", ""), call, 400, headerMismatch, "1"},
		{"prompt without Mcp-Name", modernBody("prompts/get", `"name":"x"`), []string{modern, "Mcp-Method: prompts/get"}, 400, headerMismatch, "1"},
		{"resource without Mcp-Name", modernBody("resources/read", `"uri":"x:y"`), []string{modern, "Mcp-Method: resources/read"}, 400, headerMismatch, "1"},

		method("initialize"), method("ping"), method("logging/setLevel"), method("resources/list"), method("resources/templates/list"),
		method("prompts/list"), method("prompts/get"), method("subscriptions/listen"), method("tools/call/x"), method("Tools/list"),
		{"resources/read", modernBody("resources/read", `"uri":"x:y"`), []string{modern, "Mcp-Method: resources/read", "Mcp-Name: x:y"}, 404, methodNotFound, "1"},

		{"unknown tool", modernBody("tools/call", `"name":"nobody"`), []string{modern, methodCall, "Mcp-Name: nobody"}, 200, invalidParams, "1"},
		{"no name", modernBody("tools/call", ""), []string{modern, methodCall}, 200, invalidParams, "1"},
		{"name no string", modernBody("tools/call", `"name":["echo"]`), []string{modern, methodCall}, 200, invalidParams, "1"},
		{"a body that is encoded", modernBody("tools/call", `"name":"echo"`), []string{modern, methodCall, nameEcho, "Content-Encoding: gzip"}, 415, invalidRequest, ""},
		{"arguments an array", modernBody("tools/call", `"name":"echo","arguments":[]`), call, 200, invalidParams, "1"},
		{"arguments a text", modernBody("tools/call", `"name":"echo","arguments":"x"`), call, 200, invalidParams, "1"},
		{"arguments an empty text", modernBody("tools/call", `"name":"echo","arguments":""`), call, 200, invalidParams, "1"},
		{"arguments a list as a text", modernBody("tools/call", `"name":"echo","arguments":"[]"`), call, 200, invalidParams, "1"},
		{"arguments null as a text", modernBody("tools/call", `"name":"echo","arguments":"null"`), call, 200, invalidParams, "1"},
		{"arguments an object as a text of a text", modernBody("tools/call", `"name":"echo","arguments":"\"{}\""`), call, 200, invalidParams, "1"},
		{"arguments an object cut off, as a text", modernBody("tools/call", `"name":"echo","arguments":"{\"text\":\"x\""`), call, 200, invalidParams, "1"},
		{"arguments an object and more, as a text", modernBody("tools/call", `"name":"echo","arguments":"{}{}"`), call, 200, invalidParams, "1"},
		{"arguments an object and a comma, as a text", modernBody("tools/call", `"name":"echo","arguments":"{},"`), call, 200, invalidParams, "1"},
		{"arguments too deep, as a text", modernBody("tools/call", `"name":"echo","arguments":"`+strings.Repeat(`{\"a\":`, 65)+"1"+strings.Repeat("}", 65)+`"`), call, 200, invalidParams, "1"},
		{"arguments too large, as a text", modernBody("tools/call", `"name":"echo","arguments":"{\"a\":\"`+strings.Repeat("x", 16<<10)+`\"}"`), call, 200, invalidParams, "1"},
		{"cursor", modernBody("tools/list", `"cursor":"x"`), list, 200, invalidParams, "1"},
		{"empty cursor", modernBody("tools/list", `"cursor":""`), list, 200, invalidParams, "1"},
		{"number cursor", modernBody("tools/list", `"cursor":0`), list, 200, invalidParams, "1"},
		{"request state", modernBody("tools/call", `"name":"echo","requestState":"x"`), call, 200, invalidParams, "1"},
		{"null request state", modernBody("tools/call", `"name":"echo","requestState":null`), call, 200, invalidParams, "1"},
		{"answers an array", modernBody("tools/call", `"name":"echo","inputResponses":[]`), call, 200, invalidParams, "1"},
		{"null answers", modernBody("tools/call", `"name":"echo","inputResponses":null`), call, 200, invalidParams, "1"},
		{"an answer no object", modernBody("tools/call", `"name":"echo","inputResponses":{"a":{},"b":"accept"}`), call, 200, invalidParams, "1"},
	})
}

func TestFailuresOfLegacy(t *testing.T) {
	runFailures(t, []failure{
		{"unknown version", ping, []string{"MCP-Protocol-Version: 2030-01-01"}, 400, unsupportedVersion, "1"},
		{"version twice", ping, []string{"MCP-Protocol-Version: 2025-11-25", "MCP-Protocol-Version: 2025-11-25"}, 400, unsupportedVersion, "1"},
		{"unknown method", legacyBody("resources/list", ""), nil, 200, methodNotFound, "1"},
		{"logging/setLevel", legacyBody("logging/setLevel", `"level":"info"`), nil, 200, methodNotFound, "1"},
		{"server/discover without an envelope", legacyBody("server/discover", ""), nil, 200, methodNotFound, "1"},
		{"empty method", legacyBody("", ""), nil, 200, methodNotFound, "1"},
		{"initialize without a version", legacyBody("initialize", `"capabilities":{}`), nil, 200, invalidParams, "1"},
		{"initialize with a number for a version", legacyBody("initialize", `"protocolVersion":20251125`), nil, 200, invalidParams, "1"},
		{"initialize without params", `{"jsonrpc":"2.0","id":1,"method":"initialize"}`, nil, 200, invalidParams, "1"},
		{"unknown tool", legacyBody("tools/call", `"name":"nobody"`), nil, 200, invalidParams, "1"},
		{"tool in capitals", legacyBody("tools/call", `"name":"ECHO"`), nil, 200, invalidParams, "1"},
		{"name in capitals", legacyBody("tools/call", `"Name":"echo"`), nil, 200, invalidParams, "1"},
		{"no name", legacyBody("tools/call", ""), nil, 200, invalidParams, "1"},
		{"params an array", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}`, nil, 200, invalidParams, "1"},
		{"params a string", `{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}`, nil, 200, invalidParams, "1"},
		{"arguments a number", legacyBody("tools/call", `"name":"echo","arguments":1`), nil, 200, invalidParams, "1"},
		{"cursor", legacyBody("tools/list", `"cursor":"x"`), nil, 200, invalidParams, "1"},
		{"empty cursor", legacyBody("tools/list", `"cursor":""`), nil, 200, invalidParams, "1"},
	})
}

func TestOtherMethodsThanPost(t *testing.T) {
	for _, method := range []string{"GET", "HEAD", "DELETE", "PUT", "PATCH", "post"} {
		f := newFixture(t)
		r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(ping))
		r.Method = method
		a := serve(t, f, r)
		if a.status != 405 || a.header.Get("Allow") != "POST, OPTIONS" || a.body != "" {
			t.Errorf("%s: %d %v %s", method, a.status, a.header, a.body)
		}
	}
}

// TestUnsupportedVersionData: a client of both eras goes on by this list.
func TestUnsupportedVersionData(t *testing.T) {
	const want = `{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"2030-<\"1\">"}`
	legacy := post(t, newFixture(t), ping, `MCP-Protocol-Version: 2030-<"1">`)
	claim := legacyBody("tools/list", `"_meta":{`+claimKey+`:"2030-<\"1\">",`+capabilities+`}`)
	modern := post(t, newFixture(t), claim, methodList, `MCP-Protocol-Version: 2030-<"1">`)
	for _, a := range []answer{legacy, modern} {
		if a.Error.Code != unsupportedVersion || string(a.Error.Data) != want {
			t.Errorf("%s", a.body)
		}
	}
}

// TestFaultsRepeatNothing: what a client sent may be a secret in the wrong place.
func TestFaultsRepeatNothing(t *testing.T) {
	const secret = "hunter2"
	for _, body := range []string{
		legacyBody("tools/call", `"name":"`+secret+`"`), legacyBody(secret, ""), legacyBody("tools/list", `"cursor":"`+secret+`"`),
		legacyBody("tools/call", `"name":"echo","arguments":"`+secret+`"`), `{"jsonrpc":"` + secret + `","id":1,"method":"x"}`, secret,
		modernBody("tools/call", `"name":"`+secret+`"`), `{"` + secret + `":1}`,
	} {
		if a := post(t, newFixture(t), body); a.Error.Code == 0 || strings.Contains(a.body, secret) {
			t.Errorf("%s is answered with %s", body, a.body)
		}
	}
}

// TestBodyIsReadOnlyUpToTheCap: a body without end must not fill the memory.
func TestBodyIsReadOnlyUpToTheCap(t *testing.T) {
	body := &countingReader{endless: ' '}
	r := httptest.NewRequest(http.MethodPost, "/mcp", body)
	r.Header.Set("Content-Type", "application/json")
	if a := serve(t, newFixture(t), r); a.status != 413 || body.read != mcp.MaxBodyBytes+1 {
		t.Errorf("status %d after %d bytes", a.status, body.read)
	}

	padded := ping + strings.Repeat(" ", mcp.MaxBodyBytes-len(ping))
	if a := post(t, newFixture(t), padded); a.status != 200 || string(a.Result) != "{}" {
		t.Errorf("body of the largest size: %d %s", a.status, a.body)
	}
	if a := post(t, newFixture(t), padded+" "); a.status != 413 {
		t.Errorf("body one byte larger: %d %s", a.status, a.body)
	}

	broken := io.MultiReader(strings.NewReader(ping), iotest.ErrReader(errors.New("hung up")))
	r = httptest.NewRequest(http.MethodPost, "/mcp", broken)
	r.Header.Set("Content-Type", "application/json")
	if a := serve(t, newFixture(t), r); a.status != 400 || a.Error.Code != parseError || strings.Contains(a.body, "hung up") {
		t.Errorf("body that breaks off: %d %s", a.status, a.body)
	}
}

// TestHostileBodiesCostLittle: an isolate has 128 MB for everybody.
func TestHostileBodiesCostLittle(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, (mcp.MaxBodyBytes-100)/len(s)) }
	for name, body := range map[string]string{
		"deep array":   fill("["),
		"deep object":  fill(`{"":`),
		"large batch":  "[" + fill("1,") + "1]",
		"many members": `{"jsonrpc":"2.0","id":1,"method":"ping",` + fill(`"":1,`) + `"x":1}`,
		"long id":      `{"jsonrpc":"2.0","id":"` + fill("x") + `","method":"ping"}`,
	} {
		f := newFixture(t)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		post(t, f, body)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 6<<20 {
			t.Errorf("%s: %d bytes allocated", name, spent)
		}
	}
}

type countingReader struct {
	endless byte
	read    int
}

func (r *countingReader) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{r.endless}, len(p)))
	r.read += len(p)
	return len(p), nil
}
