package authserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/page"
)

// An answer is an HTTP answer as a value.
type answer struct {
	status    int
	location  string // of a redirect
	page      string // HTML
	json      any
	cookies   []*http.Cookie
	wait      time.Duration // Retry-After, if positive
	allow     string        // methods
	challenge bool          // the client authenticated itself, in vain
	maxAge    time.Duration // how long anybody may keep it; zero: no-store
}

// isJSON reports whether programs, not browsers with a person, ask for path.
// They may run on any web page: nothing there looks at a cookie.
func isJSON(path string) bool {
	return path != AuthorizePath && path != CallbackPath && path != approval.Path
}

func (a *answer) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if a.maxAge > 0 {
		h.Set("Cache-Control", "public, max-age="+strconv.Itoa(wholeSeconds(a.maxAge)))
	}
	if a.allow != "" {
		h.Set("Allow", a.allow)
	}
	if a.challenge {
		h.Set("WWW-Authenticate", `Basic realm="no client authentication is taken here"`)
	}
	if a.wait > 0 {
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(a.wait)))
	}
	for _, c := range a.cookies {
		http.SetCookie(w, c)
	}
	body := a.body(h)
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// body sets the headers that go with the answer's kind, and returns its bytes.
func (a *answer) body(h http.Header) []byte {
	switch {
	case a.location != "":
		h.Set("Location", a.location)
		h.Set("Referrer-Policy", "no-referrer") // the URL that is left behind may hold a code
		return nil
	case a.page != "":
		page.SetHeaders(h)
		return []byte(a.page)
	case a.json != nil:
		body, err := json.Marshal(a.json)
		if err != nil {
			panic("value that JSON cannot hold: " + err.Error())
		}
		h.Set("Content-Type", "application/json")
		return append(body, '\n')
	}
	return nil
}

// A parameter is one of an authorization response.
type parameter struct{ name, value string }

// backTo is the redirect URI of req with an authorization response (RFC 6749
// section 4.1.2), which is always with the client's state and our issuer: iss
// keeps a client that uses several servers from sending our code to another one
// (RFC 9207).
func (s *Server) backTo(req *request, response ...parameter) string {
	if req.state != "" {
		response = append(response, parameter{"state", req.state})
	}
	response = append(response, parameter{"iss", s.Config.Issuer})
	separator := "?"
	if strings.Contains(req.redirectURI, "?") {
		separator = "&"
	}
	// The URI is not taken apart: what was matched is what is used.
	text := req.redirectURI
	for _, p := range response {
		text += separator + p.name + "=" + url.QueryEscape(p.value)
		separator = "&"
	}
	return text
}
