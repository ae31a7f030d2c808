package authserver

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

var (
	errBodyType  = errors.New("body has another content type")
	errBodyCoded = errors.New("body has a content encoding")
	errBodySize  = errors.New("body is too long or broke off")
	errMalformed = errors.New("parameters are too long or malformed")
)

// params are the parameters of a request. A parameter without a value is as good
// as absent (RFC 6749 section 3.1).
type params map[string][]string

func readQuery(r *http.Request) (params, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > maxQueryBytes {
		return nil, errMalformed
	}
	return params(query), nil
}

// readForm reads a form body, and nothing from the query: a code or token in a
// URL would end up in logs.
func readForm(r *http.Request) (params, error) {
	body, err := readBody(r, "application/x-www-form-urlencoded", maxFormBytes)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, errMalformed
	}
	return params(form), nil
}

func readBody(r *http.Request, contentType string, maxBytes int) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != contentType {
		return nil, errBodyType
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, errBodyCoded
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(maxBytes)+1))
	if err != nil || len(body) > maxBytes {
		return nil, errBodySize
	}
	return body, nil
}

// bodyRefusal is for the errors of readBody and readForm.
func bodyRefusal(code, sentence string, err error) *refusal {
	r := invalid(code, sentence).because(err)
	if errors.Is(err, errBodyCoded) {
		r.status, r.sentence = http.StatusUnsupportedMediaType, "The body must not be compressed (Content-Encoding)."
	}
	return r
}

// get returns a parameter that must be there once, or "".
func (p params) get(name string) string {
	if len(p[name]) != 1 {
		return ""
	}
	return p[name][0]
}

// repeated reports whether a parameter comes twice, which none may (RFC 6749
// section 3.1): another reader could take the other one. Those in except may.
func (p params) repeated(except ...string) bool {
	for name, values := range p {
		if len(values) > 1 && !slices.Contains(except, name) {
			return true
		}
	}
	return false
}
