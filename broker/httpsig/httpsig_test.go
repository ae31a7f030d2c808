package httpsig

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/p256/p256test"
)

// The bases are written out as Vouch puts them together from the request.
func TestSign(t *testing.T) {
	key := p256test.Key()
	kid := key.Thumbprint()
	created := time.Unix(1795000000, 999_000_000)
	get := []string{"@method", "@authority", "@path", "@query", "authorization", "dpop"}
	post := append(slices.Clone(get), "content-type", "content-digest")
	header := func(more http.Header) http.Header {
		h := http.Header{"Authorization": {"DPoP token"}, "Dpop": {"proof"}}
		maps.Copy(h, more)
		return h
	}
	tests := []struct {
		name      string
		message   Message
		params    Params
		wantBase  string // its last line but for the name
		wantInput string
	}{
		{
			name: "with a body and a nonce",
			message: Message{"POST", "https://us.vouch.sh/v1/credentials/ssh", header(http.Header{
				"Content-Type": {"application/json"}, "Content-Digest": {ContentDigest(nil)},
			})},
			params: Params{post, created, "n-1"},
			wantBase: `"@method": POST
"@authority": us.vouch.sh
"@path": /v1/credentials/ssh
"@query": ?
"authorization": DPoP token
"dpop": proof
"content-type": application/json
"content-digest": sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:`,
			wantInput: `("@method" "@authority" "@path" "@query" "authorization" "dpop" "content-type" "content-digest");alg="ecdsa-p256-sha256";created=1795000000;keyid="` + kid + `";nonce="n-1"`,
		},
		{
			name:    "without",
			message: Message{"GET", "https://us.vouch.sh/v1/credentials/aws/token?role_arn=arn%3Aaws%3Aiam", header(nil)},
			params:  Params{get, created, ""},
			wantBase: `"@method": GET
"@authority": us.vouch.sh
"@path": /v1/credentials/aws/token
"@query": ?role_arn=arn%3Aaws%3Aiam
"authorization": DPoP token
"dpop": proof`,
			wantInput: `("@method" "@authority" "@path" "@query" "authorization" "dpop");alg="ecdsa-p256-sha256";created=1795000000;keyid="` + kid + `"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// What an earlier try left must not stay beside the new signature.
			tt.message.Header["Signature-Input"] = []string{"sig1=()", "sig2=()"}
			tt.message.Header["Signature"] = []string{"sig1=:AA==:", "sig2=:AA==:"}
			if err := Sign(key, tt.message, tt.params); err != nil {
				t.Fatal(err)
			}
			if got := tt.message.Header["Signature-Input"]; !slices.Equal(got, []string{"sig1=" + tt.wantInput}) {
				t.Errorf("Signature-Input\ngot  %q\nwant %q", got, "sig1="+tt.wantInput)
			}
			values := tt.message.Header["Signature"]
			if len(values) != 1 {
				t.Fatalf("Signature %q", values)
			}
			encoded, ok := strings.CutPrefix(values[0], "sig1=:")
			encoded, ok2 := strings.CutSuffix(encoded, ":")
			if !ok || !ok2 {
				t.Fatalf("Signature %q", values)
			}
			base := tt.wantBase + "\n\"@signature-params\": " + tt.wantInput
			if public := key.PublicJWK(); !verifyP256(t, public.X, public.Y, b64(t, encoded), base) {
				t.Errorf("signature does not verify over\n%s", base)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	key := p256test.Key()
	tests := []struct {
		name string
		edit func(*Message, *Params)
		want error
	}{
		{"no component", func(_ *Message, p *Params) { p.Components = nil }, ErrComponent},
		{"component named twice", func(_ *Message, p *Params) { p.Components = []string{"@path", "date", "@path"} }, ErrComponent},
		{"field named twice", func(_ *Message, p *Params) { p.Components = []string{"date", "date"} }, ErrComponent},
		{"field in upper case", func(_ *Message, p *Params) { p.Components = []string{"Date"} }, ErrComponent},
		{"component for responses", func(_ *Message, p *Params) { p.Components = []string{"@status"} }, ErrComponent},
		{"signature-params", func(_ *Message, p *Params) { p.Components = []string{"@signature-params"} }, ErrComponent},
		{"component with a parameter", func(_ *Message, p *Params) { p.Components = []string{`date";bs`} }, ErrComponent},
		{"component with a line break", func(_ *Message, p *Params) { p.Components = []string{"date\ndate"} }, ErrComponent},
		{"no name", func(_ *Message, p *Params) { p.Components = []string{""} }, ErrComponent},
		{"missing field", func(_ *Message, p *Params) { p.Components = []string{"dpop"} }, ErrComponent},
		{"field without lines", func(m *Message, _ *Params) { m.Header["Date"] = nil }, ErrComponent},
		{"field under two spellings", func(m *Message, _ *Params) { m.Header["date"] = []string{"hunter2"} }, ErrComponent},
		{"obsolete line folding", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2\r\n more") }, ErrComponent},
		{"another line of the base", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2\n\"@path\": /") }, ErrComponent},
		{"line break at the end", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2\n") }, ErrComponent},
		{"carriage return", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2\rmore") }, ErrComponent},
		{"NUL", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2\x00") }, ErrComponent},
		{"DEL", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2\x7f") }, ErrComponent},
		{"not ASCII", func(m *Message, _ *Params) { m.Header.Set("Date", "hunter2é") }, ErrComponent},
		{"method in lower case", func(m *Message, _ *Params) { m.Method = "post" }, ErrComponent},
		{"no method", func(m *Message, _ *Params) { m.Method = "" }, ErrComponent},
		{"method with a line break", func(m *Message, _ *Params) { m.Method = "GET\n" }, ErrComponent},
		{"URL not absolute", func(m *Message, _ *Params) { m.URL = "/hunter2" }, ErrURL},
		{"nonce ends its string", func(_ *Message, p *Params) { p.Nonce = `n";created=1;x="` }, ErrNonce},
		{"nonce with a backslash", func(_ *Message, p *Params) { p.Nonce = `n\` }, ErrNonce},
		{"nonce with a line break", func(_ *Message, p *Params) { p.Nonce = "n\n" }, ErrNonce},
		{"nonce too long", func(_ *Message, p *Params) { p.Nonce = strings.Repeat("n", 513) }, ErrNonce},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			message := rfcRequest()
			params := Params{Components: []string{"@method", "@path", "date"}, Created: time.Unix(1, 0), Nonce: "n"}
			if err := Sign(key, message, params); err != nil {
				t.Fatalf("unchanged: %v", err)
			}
			message = rfcRequest()
			tt.edit(&message, &params)
			err := Sign(key, message, params)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error %v, want %v", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes a value: %v", err)
			}
			if message.Header["Signature"] != nil || message.Header["Signature-Input"] != nil {
				t.Error("the header was changed all the same")
			}
		})
	}
}

func TestNonce(t *testing.T) {
	long := strings.Repeat("n", 512)
	tests := []struct {
		name   string
		values []string
		want   string
	}{
		{"none", nil, ""},
		{"one", []string{"n-1._~+/="}, "n-1._~+/="},
		{"longest", []string{long}, long},
		{"too long", []string{long + "n"}, ""},
		{"empty", []string{""}, ""},
		{"two", []string{"a", "b"}, ""},
		{"blank inside", []string{"a b"}, ""},
		{"quotation mark", []string{`a"`}, ""},
		{"backslash", []string{`a\`}, ""},
		{"line break", []string{"a\r\nb"}, ""},
		{"not ASCII", []string{"a\x80"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			for _, value := range tt.values {
				header.Add("Signature-Nonce", value)
			}
			if got := Nonce(header); got != tt.want {
				t.Errorf("nonce %q, want %q", got, tt.want)
			}
		})
	}
}

func FuzzNonce(f *testing.F) {
	f.Add("n-1")
	f.Add(`n";created=1`)
	f.Add("n\x00")
	f.Fuzz(func(t *testing.T, value string) {
		nonce := Nonce(http.Header{"Signature-Nonce": {value}})
		if nonce != "" && nonce != value {
			t.Fatalf("nonce %q of a header %q", nonce, value)
		}
		if slices.ContainsFunc([]byte(nonce), func(c byte) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			t.Fatalf("nonce %q needs escapes", nonce)
		}
	})
}

// Whatever a request holds, each component is one line of the base.
func FuzzSign(f *testing.F) {
	f.Add("POST", "https://example.com/foo?a", "date", "value", "n")
	f.Add("GET", "http://[::1]:80/%2e", "x-a", "a\r\n\"@path\": /", `n"`)
	f.Add("GET", "https://h/?'", "@query", "", "\n")
	key := p256test.Key()
	f.Fuzz(func(t *testing.T, method, url, name, value, nonce string) {
		message := Message{Method: method, URL: url, Header: http.Header{http.CanonicalHeaderKey(name): {value}}}
		params := Params{Components: []string{"@method", "@authority", "@path", "@query", name}, Nonce: nonce}
		if err := Sign(key, message, params); err != nil {
			if !errors.Is(err, ErrURL) && !errors.Is(err, ErrComponent) && !errors.Is(err, ErrNonce) {
				t.Fatal(err)
			}
			return
		}
		unsigned, err := message.lines(params.Components)
		if err != nil {
			t.Fatal(err)
		}
		input := strings.TrimPrefix(message.Header.Get("Signature-Input"), "sig1=")
		lines := strings.Split(signatureBase(unsigned, input), "\n")
		if len(lines) != len(params.Components)+1 {
			t.Fatalf("%d lines for %d components", len(lines), len(params.Components))
		}
		for i, c := range params.Components {
			if !strings.HasPrefix(lines[i], `"`+c+`": `) {
				t.Fatalf("line %q for %q", lines[i], c)
			}
		}
		if quotes := strings.Count(input, `"`); quotes != 2*len(params.Components)+4 && quotes != 2*len(params.Components)+6 {
			t.Fatalf("Signature-Input %q", input)
		}
	})
}
