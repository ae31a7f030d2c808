package broker

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/oauth"
)

const defaultRequestHeaders = "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id, dpop"

// letRead lets every page read the answer (Fetch standard, CORS protocol): this is
// the one rule, for all paths and refusals too, since a client in a browser is else
// told nothing but that it failed. It shows nobody more than a stranger's program
// gets: without Access-Control-Allow-Credentials a page that sends cookies along
// cannot read the answer to that. Which pages may call is for mayCall to say.
func letRead(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, MCP-Protocol-Version, Retry-After, X-Request-Id")
}

// mayCall reports whether a browser may call from where this request comes. A
// request without Origin comes from no browser. A foreign page could not do much
// without a token, yet a page that guessed one by DNS rebinding is stopped here.
func (b *Broker) mayCall(in http.Header, own string) bool {
	values := in.Values("Origin")
	return len(values) == 0 || len(values) == 1 && b.originAllowed(values[0], own)
}

func (b *Broker) originAllowed(origin, own string) bool {
	if !isOrigin(origin) {
		return false
	}
	if origin == own || slices.Contains(b.config.AllowedOrigins, origin) {
		return true
	}
	scheme, authority, _ := strings.Cut(origin, "://")
	host := (&url.URL{Host: authority}).Hostname()
	return scheme == "https" && slices.Contains(b.config.AllowedOrigins, "*") ||
		(scheme == "https" || scheme == "http") && isLoopback(host)
}

const (
	// maxOriginBytes is longer than a scheme and the longest name of a host.
	maxOriginBytes = 300
	// maxAskedBytes bounds the names of headers that a page asks for, which are echoed.
	maxAskedBytes = 1024
)

// isOrigin reports whether s is an origin as browsers write it in the header (Fetch
// standard, Origin): of the web in its one spelling, of an extension or an app
// scheme://name. What passes here can be listed in ALLOWED_ORIGINS, and nothing else
// can. "null" stands for a thousand pages at once, and file:// for every file.
func isOrigin(s string) bool {
	const lower = ascii.Lower + ascii.Digits
	scheme, host, _ := strings.Cut(s, "://")
	switch {
	case len(s) > maxOriginBytes || host == "":
		return false
	case scheme == "https" || scheme == "http":
		normal, err := oauth.NormalizeResource(s)
		return err == nil && normal == s+"/"
	}
	return scheme != "" && scheme[0] >= 'a' && strings.Trim(scheme, lower+"+-.") == "" &&
		strings.Trim(host, lower+ascii.Upper+"-._~:[]") == ""
}

// originAdvice says why a page may not call, and what helps.
func (b *Broker) originAdvice(in http.Header) string {
	values := in.Values("Origin")
	if len(values) != 1 || !isOrigin(values[0]) {
		return "this Origin is not allowed and cannot be: it is not that of one page, extension or app; call from an https origin"
	}
	advice := "this Origin is not allowed; the operator can add " + values[0] + " to ALLOWED_ORIGINS"
	if b.config.Warning != "" {
		advice += " (" + b.config.Warning + ")"
	}
	return advice
}

// servePreflight answers a CORS preflight. It comes before authentication: a
// browser sends no token with it.
func servePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", requestHeaders(r))
	h.Set("Access-Control-Max-Age", "86400")
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

// requestHeaders echoes the headers asked for, if they are header names: "*"
// does not cover Authorization, and Mcp-Param-* cannot be listed.
func requestHeaders(r *http.Request) string {
	asked := strings.Join(r.Header.Values("Access-Control-Request-Headers"), ", ")
	if len(asked) > maxAskedBytes || !ascii.Only(asked, ascii.Alphanumeric+"-_, ") {
		return defaultRequestHeaders
	}
	return asked
}
