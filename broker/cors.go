package broker

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const defaultRequestHeaders = "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name, mcp-session-id, last-event-id, dpop"

// allowOrigin reports whether a browser may call from where this request comes,
// and then lets it read the answer (Fetch standard, CORS protocol). A request
// without Origin comes from no browser. A foreign page could not do much without
// a token, yet a page that guessed one by DNS rebinding is stopped here.
func (b *Broker) allowOrigin(out, in http.Header, own string) bool {
	values := in.Values("Origin")
	if len(values) == 0 {
		return true
	}
	out.Set("Vary", "Origin")
	if len(values) > 1 || !b.originAllowed(values[0], own) {
		return false
	}
	out.Set("Access-Control-Allow-Origin", values[0])
	out.Set("Access-Control-Expose-Headers", "WWW-Authenticate, MCP-Protocol-Version, Retry-After, X-Request-Id")
	return true
}

func (b *Broker) originAllowed(origin, own string) bool {
	if strings.ContainsFunc(origin, func(r rune) bool { return r <= ' ' || r > '~' }) { // browsers write host names in ASCII
		return false
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	return origin == own || isLoopback(u.Hostname()) || slices.Contains(b.config.AllowedOrigins, origin) ||
		u.Scheme == "https" && slices.Contains(b.config.AllowedOrigins, "*")
}

// servePreflight answers a CORS preflight. It comes before authentication: a
// browser sends no token with it.
func servePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "POST, GET, DELETE, OPTIONS")
	h.Set("Access-Control-Allow-Headers", requestHeaders(r))
	h.Set("Access-Control-Max-Age", "86400")
	h.Add("Vary", "Access-Control-Request-Headers")
	w.WriteHeader(http.StatusNoContent)
}

// requestHeaders echoes the headers asked for, if they are header names: "*"
// does not cover Authorization, and Mcp-Param-* cannot be listed.
func requestHeaders(r *http.Request) string {
	asked := r.Header.Get("Access-Control-Request-Headers")
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_, "
	if asked == "" || len(asked) > 1024 || strings.Trim(asked, allowed) != "" {
		return defaultRequestHeaders
	}
	return asked
}
