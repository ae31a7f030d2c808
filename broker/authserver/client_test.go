package authserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/upstream"
)

func (f *fixture) postJSON(body string) reply {
	f.t.Helper()
	return f.newBrowser().do("POST", f.url+authserver.RegisterPath, http.Header{"Content-Type": {"application/json"}}, body)
}

func TestRegister(t *testing.T) {
	f := newFixture(t)
	r := f.postJSON(`{"client_name":" A\tB ","redirect_uris":["https://app.example/cb","http://[::1]:1/"],"grant_types":["refresh_token","authorization_code"],"response_types":["code","token"],"token_endpoint_auth_method":"client_secret_post","scope":"openid","client_id":"mine","logo_uri":null,"application_type":"native"}`)
	got := r.json(t)
	want := map[string]any{
		"client_id": got["client_id"], "client_id_issued_at": float64(f.clock().Unix()), "client_name": "A B",
		"redirect_uris": []any{"https://app.example/cb", "http://[::1]:1/"}, "grant_types": []any{"authorization_code"},
		"response_types": []any{"code"}, "token_endpoint_auth_method": "none", "scope": "aws aws:write github ssh",
	}
	if r.status != http.StatusCreated || fmt.Sprint(got) != fmt.Sprint(want) || strings.Contains(r.body, "null") {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	if again := f.postJSON(`{"redirect_uris":["https://app.example/cb","http://[::1]:1/"],"client_name":"A B"}`).json(t); again["client_id"] != got["client_id"] {
		t.Error("the same client has two ids")
	}
	unnamed := f.postJSON(`{"redirect_uris":["https://app.example/cb"]}`).json(t)
	if _, has := unnamed["client_name"]; has {
		t.Errorf("a client without a name: %v", unnamed)
	}
	_, page := f.newBrowser().open(f.query(app{id: unnamed["client_id"].(string), redirectURI: "https://app.example/cb", verifier: "v"}))
	if !strings.Contains(page.body, "unnamed app") {
		t.Error("the page names no app")
	}
}

func TestRegisterRefuses(t *testing.T) {
	f := newFixture(t)
	tests := []struct{ name, body, code string }{
		{"javascript", `{"redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
		{"data", `{"redirect_uris":["data:text/html,x"]}`, "invalid_redirect_uri"},
		{"http", `{"redirect_uris":["http://app.example/cb"]}`, "invalid_redirect_uri"},
		{"one bad among good", `{"redirect_uris":["https://app.example/cb","http://app.example/cb"]}`, "invalid_redirect_uri"},
		{"scheme that is not listed", `{"redirect_uris":["evil://cb"]}`, "invalid_redirect_uri"},
		{"more than the listed URI", `{"redirect_uris":["` + cursorURI + `/x"]}`, "invalid_redirect_uri"},
		{"address", `{"redirect_uris":["https://10.0.0.1/cb"]}`, "invalid_redirect_uri"},
		{"fragment", `{"redirect_uris":["https://app.example/cb#x"]}`, "invalid_redirect_uri"},
		{"empty URI", `{"redirect_uris":[""]}`, "invalid_redirect_uri"},
		{"no URIs", `{"redirect_uris":[]}`, "invalid_redirect_uri"},
		{"without URIs", `{"client_name":"x"}`, "invalid_redirect_uri"},
		{"URI of 513 bytes", `{"redirect_uris":["https://app.example/` + strings.Repeat("x", 493) + `"]}`, "invalid_redirect_uri"},
		{"URIs are a text", `{"redirect_uris":"https://app.example/cb"}`, "invalid_client_metadata"},
		{"a URI is a number", `{"redirect_uris":[7]}`, "invalid_client_metadata"},
		{"name is a number", `{"redirect_uris":["https://app.example/cb"],"client_name":7}`, "invalid_client_metadata"},
		{"method is a list", `{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":["none"]}`, "invalid_client_metadata"},
		{"other grant", `{"redirect_uris":["https://app.example/cb"],"grant_types":["client_credentials"]}`, "invalid_client_metadata"},
		{"other response", `{"redirect_uris":["https://app.example/cb"],"response_types":["token"]}`, "invalid_client_metadata"},
		{"member twice", `{"redirect_uris":["https://app.example/cb"],"redirect_uris":["https://evil.example/cb"]}`, "invalid_client_metadata"},
		{"member twice, escaped", `{"redirect_uris":["https://app.example/cb"],"redirect_\u0075ris":["https://evil.example/cb"]}`, "invalid_client_metadata"},
		{"array", `[]`, "invalid_client_metadata"},
		{"no JSON", `{"redirect_uris":`, "invalid_client_metadata"},
		{"deep", strings.Repeat("[", 16<<10), "invalid_client_metadata"},
		{"not UTF-8", "{\"redirect_uris\":[\"https://app.example/cb\"],\"client_name\":\"\xff\"}", "invalid_client_metadata"},
		{"empty", ``, "invalid_client_metadata"},
		{"too long a body", `{"redirect_uris":["https://app.example/cb"],"x":"` + strings.Repeat("x", 16<<10) + `"}`, "invalid_client_metadata"},
		{"too long an id", `{"redirect_uris":["https://app.example/` + strings.Repeat("x", 480) + `","https://app.example/` + strings.Repeat("y", 480) + `","https://app.example/` + strings.Repeat("z", 480) + `"]}`, "invalid_client_metadata"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f.wantError(f.postJSON(tt.body), 400, tt.code)
		})
	}
	r := f.newBrowser().do("POST", f.url+authserver.RegisterPath, http.Header{"Content-Type": {"text/plain"}}, `{"redirect_uris":["https://app.example/cb"]}`)
	f.wantError(r, 400, "invalid_client_metadata")
}

const documentID = "https://app.example/oauth/client.json"

func document(changes map[string]any) string {
	members := map[string]any{"client_id": documentID, "client_name": "Doc App", "redirect_uris": []string{"https://app.example/cb"}}
	for name, value := range changes {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	text, _ := json.Marshal(members)
	return string(text)
}

func (f *fixture) documentApp() app {
	return app{id: documentID, redirectURI: "https://app.example/cb", verifier: strings.Repeat("v", 43), state: "s"}
}

func TestDocumentContents(t *testing.T) {
	good := map[string]string{
		"plain":                  document(nil),
		"method none":            document(map[string]any{"token_endpoint_auth_method": "none"}),
		"can do without":         document(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": []string{"private_key_jwt", "none"}}),
		"public key":             document(map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "EC", "x": "d", "y": "k"}}}}),
		"unusable URIs besides":  document(map[string]any{"redirect_uris": []string{"com.example:/cb", "https://app.example/cb", "javascript:1"}}),
		"members of other types": document(map[string]any{"contacts": 7, "logo_uri": nil}),
	}
	for name, body := range good {
		f := newFixture(t)
		f.documents.publish(documentID, body)
		_, page := f.newBrowser().open(f.query(f.documentApp()))
		if !strings.Contains(page.body, "Doc App") || !strings.Contains(page.body, "published at <strong>"+documentID+"</strong>") {
			t.Errorf("%s: %s", name, page.body)
		}
	}
	bad := map[string]string{
		"other client_id":        document(map[string]any{"client_id": documentID + "/"}),
		"client_id in capitals":  document(map[string]any{"client_id": "https://APP.example/oauth/client.json"}),
		"no client_id":           document(map[string]any{"client_id": nil}),
		"client_id is a list":    document(map[string]any{"client_id": []string{documentID}}),
		"no name":                document(map[string]any{"client_name": nil}),
		"name of nothing":        document(map[string]any{"client_name": "\u202e\n"}),
		"no redirect URIs":       document(map[string]any{"redirect_uris": nil}),
		"other redirect URIs":    document(map[string]any{"redirect_uris": []string{"https://app.example/cb2"}}),
		"redirect URIs a text":   document(map[string]any{"redirect_uris": "https://app.example/cb"}),
		"secret":                 document(map[string]any{"client_secret": "x"}),
		"expiry of a secret":     document(map[string]any{"client_secret_expires_at": 0}),
		"private key":            document(map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "EC", "d": "x"}}}}),
		"symmetric key":          document(map[string]any{"jwks": map[string]any{"keys": []any{map[string]any{"kty": "oct", "k": "x"}}}}),
		"authenticates":          document(map[string]any{"token_endpoint_auth_method": "private_key_jwt"}),
		"authenticates always":   document(map[string]any{"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": []string{"private_key_jwt"}}),
		"method is a number":     document(map[string]any{"token_endpoint_auth_method": 7}),
		"methods are a text":     document(map[string]any{"token_endpoint_auth_methods_supported": "none"}),
		"other grant":            document(map[string]any{"grant_types": []string{"client_credentials"}}),
		"other response":         document(map[string]any{"response_types": []string{"token"}}),
		"member twice":           strings.Replace(document(nil), `{`, `{"client_id":"https://app.example/oauth/client.json",`, 1),
		"an array":               "[" + document(nil) + "]",
		"no JSON":                "<!doctype html>",
		"nothing":                "",
		"followed by more":       document(nil) + "{}",
		"only an unlisted redir": document(map[string]any{"redirect_uris": []string{"evil://cb"}}),
	}
	for name, body := range bad {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.documents.publish(documentID, body)
			a := f.documentApp()
			f.wantPage(f.newBrowser().get(f.url+authserver.AuthorizePath+"?"+f.query(a).Encode()), 400, "cannot go on")
		})
	}
}

// TestDocumentAnswers: how the document comes.
func TestDocumentAnswers(t *testing.T) {
	header := func(contentType string) http.Header { return http.Header{"Content-Type": {contentType}} }
	tests := []struct {
		name string
		resp upstream.Response
		fail error
		ok   bool
	}{
		{"JSON", upstream.Response{Status: 200, Header: header("application/json; charset=utf-8")}, nil, true},
		{"JSON of a kind", upstream.Response{Status: 200, Header: header("application/oauth-client+json")}, nil, true},
		{"HTML", upstream.Response{Status: 200, Header: header("text/html")}, nil, false},
		{"JSON as text", upstream.Response{Status: 200, Header: header("text/json")}, nil, false},
		{"without type", upstream.Response{Status: 200, Header: http.Header{}}, nil, false},
		{"created", upstream.Response{Status: 201, Header: header("application/json")}, nil, false},
		{"partial", upstream.Response{Status: 206, Header: header("application/json")}, nil, false},
		{"not modified", upstream.Response{Status: 304, Header: header("application/json")}, nil, false},
		{"redirect", upstream.Response{Status: 302, Header: header("application/json")}, nil, false},
		{"not found", upstream.Response{Status: 404, Header: header("application/json")}, nil, false},
		{"broken server", upstream.Response{Status: 500, Header: header("application/json")}, nil, false},
		{"slow", upstream.Response{}, upstream.ErrTimeout, false},
		{"huge", upstream.Response{}, upstream.ErrTooLarge, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.resp.Body = []byte(document(nil))
			f.documents.known[documentID], f.documents.fail = tt.resp, tt.fail
			a := f.documentApp()
			r := f.newBrowser().get(f.url + authserver.AuthorizePath + "?" + f.query(a).Encode())
			if tt.ok != (r.status == 200) {
				t.Errorf("status %d: %s", r.status, r.body)
			}
			if !tt.ok {
				f.wantPage(r, 400, "could not be fetched")
			}
			if n := len(f.documents.fetched); n != 1 {
				t.Fatalf("%d fetches, want 1", n)
			}
			asked := f.documents.fetched[0]
			want := upstream.Request{Method: "GET", URL: documentID, Header: http.Header{"Accept": asked.Header["Accept"]}, Timeout: 5 * time.Second, MaxBytes: 5 << 10}
			if !reflect.DeepEqual(asked, want) {
				t.Errorf("fetched %+v, want %+v", asked, want)
			}
		})
	}
}

// TestDocumentServers uses the real way out: redirects and endless bodies.
func TestDocumentServers(t *testing.T) {
	f := newFixture(t)
	f.Upstream.Fetcher = upstream.NetHTTP{}
	f.Config.Loopback = true
	var server *httptest.Server
	trapped := false
	mux := http.NewServeMux()
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(document(map[string]any{"client_id": server.URL + r.URL.Path})))
	}
	mux.HandleFunc("/good", serve)
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/trap", http.StatusFound) })
	mux.HandleFunc("/trap", func(http.ResponseWriter, *http.Request) { trapped = true })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, r *http.Request) {
		serve(w, r)
		_, _ = w.Write([]byte(strings.Repeat(" ", 5<<10)))
	})
	server = httptest.NewServer(mux)
	defer server.Close()
	for path, status := range map[string]int{"/good": 200, "/redirect": 400, "/huge": 400, "/": 400} {
		a := f.documentApp()
		a.id = server.URL + path
		if r := f.newBrowser().get(f.url + authserver.AuthorizePath + "?" + f.query(a).Encode()); r.status != status {
			t.Errorf("%s: status %d", path, r.status)
		}
	}
	if trapped {
		t.Error("a redirect was followed")
	}
	f.Config.Loopback = false
	a := f.documentApp()
	a.id = server.URL + "/good"
	f.wantPage(f.newBrowser().get(f.url+authserver.AuthorizePath+"?"+f.query(a).Encode()), 400, "not the URL of a public")
}

// TestDocumentChanges: a document that changes after the person agreed changes
// nothing for this sign-in, and counts at the next.
func TestDocumentChanges(t *testing.T) {
	f := newFixture(t)
	f.documents.publish(documentID, document(nil))
	a, b := f.documentApp(), f.newBrowser()
	callback := b.begin(a)
	f.documents.publish(documentID, document(map[string]any{"client_name": "Evil", "redirect_uris": []string{"https://evil.example/cb"}}))
	back := b.get(callback).location(t)
	if !strings.HasPrefix(back.String(), a.redirectURI+"?") {
		t.Errorf("went to %s", back)
	}
	if r := f.post(authserver.TokenPath, tokenForm(a, back.Query().Get("code"))); r.status != 200 {
		t.Errorf("%s", r.body)
	}
	if len(f.documents.fetched) != 1 {
		t.Errorf("%d fetches in one sign-in", len(f.documents.fetched))
	}
	f.wantPage(b.get(f.url+authserver.AuthorizePath+"?"+f.query(a).Encode()), 400, "not one of the app")
}

// TestNames: what a client calls itself is shown and logged, and does nothing else.
func TestNames(t *testing.T) {
	tests := []struct{ name, in, shown, logged string }{
		{"markup", `<script>alert("1")</script>&amp;'`, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;&#39;", `<script>alert("1")</script>&amp;'`},
		{"attribute", `" autofocus onfocus="x`, "&#39; autofocus onfocus=&#39;x", `" autofocus onfocus="x`},
		{"line breaks", "a\r\nSet-Cookie: x\n{\"event\":1}\u2028b", "a Set-Cookie: x {&#39;event&#39;:1} b", `a Set-Cookie: x {"event":1} b`},
		{"turned writing", "Claude\u202e edualC\u200b\u2066", "Claude edualC", "Claude edualC"},
		{"escape codes", "a\x1b[31mb\x00c\u0085d", "a [31mb c d", "a [31mb c d"},
		{"other scripts", "Größe 日本 עברית", "Größe 日本 עברית", "Größe 日本 עברית"},
		{"long", strings.Repeat("é", 60), strings.Repeat("é", 48), strings.Repeat("é", 48)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			a := f.register(tt.in, "https://app.example/cb")
			b := f.newBrowser()
			sealed, page := b.open(f.query(a))
			if !strings.Contains(page.body, "“<bdi>"+tt.shown+"</bdi>”") || strings.Contains(page.body, "<script") {
				t.Errorf("the page: %s", page.body)
			}
			b.press("deny", sealed)
			if e := f.lastEvent(); e.ClientName != tt.logged {
				t.Errorf("logged %q", e.ClientName)
			}
		})
	}
}
