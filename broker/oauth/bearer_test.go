package oauth

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestBearerToken(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	long := strings.Repeat("a", 100<<10)
	tests := []struct {
		name          string
		target        string
		authorization []string
		kind, body    string
		token         string
		err           error
	}{
		{name: "one token", authorization: []string{"Bearer abc"}, token: "abc"},
		{name: "every character of the grammar", authorization: []string{"Bearer aZ09-._~+/=="}, token: "aZ09-._~+/=="},
		{name: "scheme in lower case", authorization: []string{"bearer abc"}, token: "abc"},
		{name: "scheme in upper case", authorization: []string{"BEARER abc"}, token: "abc"},
		{name: "several spaces", authorization: []string{"Bearer   abc"}, token: "abc"},
		{name: "long", authorization: []string{"Bearer " + long}, token: long},
		{name: "JSON body that mentions one", authorization: []string{"Bearer abc"}, kind: "application/json", body: "access_token=x", token: "abc"},
		{name: "form without one", authorization: []string{"Bearer abc"}, kind: form, body: "a=b", token: "abc"},
		{name: "long form", authorization: []string{"Bearer abc"}, kind: form, body: "a=" + long, token: "abc"},

		{name: "nothing", err: ErrNoToken},
		{name: "empty header", authorization: []string{""}, err: ErrNoToken},
		{name: "Basic", authorization: []string{"Basic YTpi"}, err: ErrNoToken},
		{name: "DPoP", authorization: []string{"DPoP abc"}, err: ErrNoToken},
		{name: "scheme that starts like ours", authorization: []string{"Bearers abc"}, err: ErrNoToken},
		{name: "cookie parameter of another name", target: "/mcp?token=abc", err: ErrNoToken},

		{name: "two headers", authorization: []string{"Bearer abc", "Bearer abc"}, err: ErrInvalidRequest},
		{name: "second header of another scheme", authorization: []string{"Basic YTpi", "Bearer abc"}, err: ErrInvalidRequest},
		{name: "two headers joined by the host", authorization: []string{"Bearer abc, Bearer def"}, err: ErrInvalidRequest},
		{name: "two headers joined without a blank", authorization: []string{"Bearer abc,def"}, err: ErrInvalidRequest},
		{name: "another scheme and ours, joined", authorization: []string{"Basic YTpi, Bearer abc"}, err: ErrInvalidRequest},
		{name: "ours and another scheme, joined", authorization: []string{"Bearer abc, Basic YTpi"}, err: ErrInvalidRequest},
		{name: "nothing and a token, joined", authorization: []string{"Bearer, bearer abc"}, err: ErrInvalidRequest},
		{name: "nothing twice, joined", authorization: []string{"Bearer ,Bearer "}, err: ErrInvalidRequest},
		{name: "joined with a tab", authorization: []string{"Basic YTpi,\tBEARER\tabc"}, err: ErrInvalidRequest},

		{name: "scheme alone", authorization: []string{"Bearer"}, err: ErrNoToken},
		{name: "scheme alone in lower case", authorization: []string{"bearer"}, err: ErrNoToken},
		{name: "scheme and blank", authorization: []string{"Bearer "}, err: ErrNoToken},
		{name: "scheme and blanks in upper case", authorization: []string{"BEARER    "}, err: ErrNoToken},
		{name: "scheme and tab", authorization: []string{"bearer\t"}, err: ErrNoToken},
		{name: "scheme, blank and tab", authorization: []string{"Bearer \t "}, err: ErrNoToken},
		{name: "Digest, whose parameters have commas", authorization: []string{`Digest username="bearer", realm="Bearer"`}, err: ErrNoToken},

		{name: "two words", authorization: []string{"Bearer abc def"}, err: ErrInvalidToken},
		{name: "scheme twice", authorization: []string{"Bearer Bearer abc"}, err: ErrInvalidToken},
		{name: "padding alone", authorization: []string{"Bearer =="}, err: ErrInvalidToken},
		{name: "padding within", authorization: []string{"Bearer a=b"}, err: ErrInvalidToken},
		{name: "tab", authorization: []string{"Bearer \tabc"}, err: ErrInvalidToken},
		{name: "tab in place of the blank", authorization: []string{"Bearer\tabc"}, err: ErrInvalidToken},
		{name: "blank behind", authorization: []string{"Bearer abc "}, err: ErrInvalidToken},
		{name: "line break", authorization: []string{"Bearer abc\r\nX: y"}, err: ErrInvalidToken},
		{name: "quotes", authorization: []string{`Bearer "abc"`}, err: ErrInvalidToken},
		{name: "placeholder", authorization: []string{"Bearer ${TOKEN}"}, err: ErrInvalidToken},
		{name: "not ASCII", authorization: []string{"Bearer äbc"}, err: ErrInvalidToken},

		{name: "query", target: "/mcp?access_token=abc", err: ErrInvalidRequest},
		{name: "query, empty", target: "/mcp?x=y&access_token", err: ErrInvalidRequest},
		{name: "query, escaped", target: "/mcp?access%5Ftoken=abc", err: ErrInvalidRequest},
		{name: "query behind a malformed part", target: "/mcp?%zz&access_token=abc", err: ErrInvalidRequest},
		{name: "query and header", target: "/mcp?access_token=abc", authorization: []string{"Bearer abc"}, err: ErrInvalidRequest},
		{name: "form", kind: form, body: "access_token=abc", err: ErrInvalidRequest},
		{name: "form with a character set", kind: form + "; charset=utf-8", body: "access_token=abc", err: ErrInvalidRequest},
		{name: "form of other case", kind: strings.ToUpper(form), body: "access_token=abc", err: ErrInvalidRequest},
		{name: "form and header", authorization: []string{"Bearer abc"}, kind: form, body: "a=b&access_token=abc", err: ErrInvalidRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.target == "" {
				test.target = "/mcp"
			}
			r := httptest.NewRequest("POST", test.target, strings.NewReader(test.body))
			r.Header["Authorization"] = test.authorization
			r.Header.Set("Content-Type", test.kind)
			token, err := BearerToken(r)
			if token.Reveal() != test.token || !errors.Is(err, test.err) {
				t.Errorf("got %d bytes, %v; want %d bytes, %v", len(token.Reveal()), err, len(test.token), test.err)
			}
			if body, err := io.ReadAll(r.Body); err != nil || string(body) != test.body {
				t.Errorf("the body is not whole any more: %d of %d bytes, %v", len(body), len(test.body), err)
			}
		})
	}
}

func TestBearerTokenWithoutBody(t *testing.T) {
	r := httptest.NewRequest("GET", "/mcp", nil)
	r.Body = nil
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := BearerToken(r); !errors.Is(err, ErrNoToken) {
		t.Errorf("got %v", err)
	}
}

func FuzzBearerToken(f *testing.F) {
	f.Add("Bearer abc", "a=b")
	f.Add("bearer  a.b.c==", "access_token=x")
	f.Add("Bearer a, Bearer b", "%")
	f.Fuzz(func(t *testing.T, authorization, form string) {
		r := httptest.NewRequest("POST", "/mcp", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header["Authorization"] = []string{authorization}
		token, err := BearerToken(r)
		if err != nil {
			if !errors.Is(err, ErrNoToken) && !errors.Is(err, ErrInvalidRequest) && !errors.Is(err, ErrInvalidToken) || !token.IsEmpty() {
				t.Errorf("token %q, error %v", token.Reveal(), err)
			}
			return
		}
		if token.IsEmpty() || strings.ContainsAny(token.Reveal(), " ,\t\r\n\"") || !strings.HasSuffix(authorization, token.Reveal()) {
			t.Errorf("token %q of %q", token.Reveal(), authorization)
		}
	})
}
