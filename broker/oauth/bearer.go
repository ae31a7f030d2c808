package oauth

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/secret"
)

// BearerToken returns the one access token of r, from the Authorization header
// (RFC 6750 section 2.1). It checks the token's syntax and nothing else. The
// body of r can still be read whole afterwards.
//
// Errors: ErrNoToken when there is none, nothing behind the name of the scheme, or
// credentials of another scheme only; ErrInvalidToken when it is malformed, so that
// the client signs in again (RFC 6750 section 3.1); ErrInvalidRequest when there are
// several, or one in the query or in a form body. Those two places are in the RFC,
// but leak into logs and let a foreign page's form send a token.
func BearerToken(r *http.Request) (secret.String, error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return secret.String{}, fmt.Errorf("%w: it is in the query", ErrInvalidRequest)
	}
	if formHasToken(r) {
		return secret.String{}, fmt.Errorf("%w: it is in a form body", ErrInvalidRequest)
	}
	values := r.Header.Values("Authorization")
	switch {
	case len(values) == 0:
		return secret.String{}, ErrNoToken
	case len(values) > 1:
		// Two parties that read one each could see two different callers.
		return secret.String{}, fmt.Errorf("%w: there are several Authorization headers", ErrInvalidRequest)
	}
	// A host may join two headers with a comma, which no token has.
	if strings.Contains(values[0], ",") && slices.ContainsFunc(strings.Split(values[0], ","), isBearer) {
		return secret.String{}, fmt.Errorf("%w: there are several", ErrInvalidRequest)
	}
	scheme, rest := cutScheme(values[0])
	if !isBearer(scheme) || strings.Trim(rest, " \t") == "" {
		return secret.String{}, ErrNoToken
	}
	token := strings.TrimLeft(rest, " ")
	if body := strings.TrimRight(token, "="); !ascii.Only(body, ascii.Alphanumeric+"-._~+/") {
		return secret.String{}, reason("it is malformed")
	}
	return secret.New(token), nil
}

// cutScheme cuts credentials behind the name of their scheme.
func cutScheme(credentials string) (scheme, rest string) {
	if end := strings.IndexAny(credentials, " \t"); end >= 0 {
		return credentials[:end], credentials[end:]
	}
	return credentials, ""
}

// isBearer reports whether credentials are of the scheme Bearer, in any case.
func isBearer(credentials string) bool {
	scheme, _ := cutScheme(strings.TrimLeft(credentials, " \t"))
	return strings.EqualFold(scheme, "Bearer")
}

// formHasToken looks for the parameter access_token in a form body (RFC 6750
// section 2.2) and puts back what it has read.
func formHasToken(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if !strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded") || r.Body == nil {
		return false
	}
	// A body that breaks off shows the same error to the next reader.
	head, _ := io.ReadAll(io.LimitReader(r.Body, maxFormBytes))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), r.Body), r.Body}
	form, _ := url.ParseQuery(string(head)) // what could be parsed, besides an error
	return form.Has("access_token")
}
