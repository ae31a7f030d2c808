package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

// replay is an upstream.Fetcher that repeats what the local Vouch and STS answered
// to the same question.
type replay struct {
	vouch, sts http.Handler
	kept       map[string]*upstream.Response
}

const benchVouch, benchSTS, benchBroker = "https://vouch.example", "https://sts.example", "https://broker.example/mcp"

// Fetch implements upstream.Fetcher.
func (f *replay) Fetch(_ context.Context, r upstream.Request) (*upstream.Response, error) {
	question := r.Method + r.URL + string(r.Body)
	if f.kept[question] == nil {
		handler, address := f.vouch, r.URL
		if r.URL == benchSTS {
			handler, address = f.sts, r.URL+"/" // as every client has it
		}
		req := httptest.NewRequest(r.Method, address, bytes.NewReader(r.Body))
		req.Header = r.Header.Clone()
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		f.kept[question] = &upstream.Response{Status: w.Code, Header: w.Header(), Body: w.Body.Bytes()}
	}
	return f.kept[question], nil
}

// goES256 verifies in Go where the host has no verifier of its own.
type goES256 struct{ p256.Native }

// VerifyES256 implements p256.ES256.
func (goES256) VerifyES256(message string, signature []byte, key *p256.PublicKey) error {
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), key.Point())
	if err != nil {
		return err
	}
	return jwt.SigningMethodES256.Verify(message, signature, public)
}

// discard is an http.ResponseWriter like the Worker's.
type discard struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return d.body.Write(p) }

// BenchmarkRequest is all that Go does for one request of a client that has called
// before, without a host. Under Node it shows what that takes in WebAssembly:
//
//	GOOS=js GOARCH=wasm go test -run '^$' -bench Request -exec "$(go env GOROOT)/lib/wasm/go_js_wasm_exec" ./broker
func BenchmarkRequest(b *testing.B) {
	vouch, err := vouchtest.New(vouchtest.Options{Issuer: benchVouch})
	if err != nil {
		b.Fatal(err)
	}
	handler, err := broker.New(broker.Environment{
		Getenv: func(name string) string {
			return map[string]string{
				"BROKER_MODE": "relay", "VOUCH_ISSUER": benchVouch, "VOUCH_AUDIENCE": benchBroker, "AWS_ENDPOINT_URL_STS": benchSTS,
			}[name]
		},
		Fetcher: &replay{vouch, vouchtest.NewSTS(vouch), map[string]*upstream.Response{}},
		ES256:   goES256{},
		Now:     time.Now,
		Log:     func(string) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	token := vouch.MintAccessToken(vouchtest.TokenOptions{Audience: benchBroker, Scope: "openid email"})
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}`
	for _, job := range []struct{ name, method, tool, body string }{
		{"list", "tools/list", "", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{` + meta + `}}`},
		{"aws", "tools/call", "get-aws-credentials", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-aws-credentials",` +
			`"arguments":{"role_arn":"` + ststest.RoleARN + `"},` + meta + `}}`},
	} {
		b.Run(job.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequest(http.MethodPost, benchBroker, strings.NewReader(job.body))
				if err != nil {
					b.Fatal(err)
				}
				r.Header = http.Header{
					"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
					"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {job.method}, "Mcp-Name": {job.tool}, "Cf-Ray": {"8f00ba5eba11ba5e-FRA"},
				}
				w := &discard{header: http.Header{}}
				handler.ServeHTTP(w, r)
				if w.status != http.StatusOK || bytes.Contains(w.body.Bytes(), []byte(`"isError":true`)) {
					text, _ := io.ReadAll(&w.body)
					b.Fatalf("status %d: %s", w.status, text)
				}
			}
		})
	}
}
