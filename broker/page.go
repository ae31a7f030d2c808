package broker

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

const pageStyle = `body{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:3rem auto;padding:0 1rem;color-scheme:light dark}code{overflow-wrap:anywhere}`

const pageTop = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Vouch credential broker</title><style>` + pageStyle + `</style></head>
<body>
<h1>Vouch credential broker</h1>
<p>An MCP server that gives an AI assistant short-lived AWS, GitHub and SSH credentials, in the name of a person who
signed in at Vouch with a hardware key. It stores nothing.</p>
`

const pageConnect = `<p>Connect an MCP client to this URL; it will take you to Vouch to sign in:</p>
<p><code>RESOURCE</code></p>
<p>Claude Code, for example: <code>claude mcp add --transport http vouch RESOURCE</code></p>
`

// pagePolicy allows the page its own style and nothing else.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
}()

// escapeHTML is html.EscapeString without its package, whose table of entities
// is 22 KB of the upload.
var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// servePage serves the page at "/": what this is and how to connect.
func servePage(w http.ResponseWriter, r *http.Request, resource string, fault error) {
	if !isRead(w, r) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	text := pageTop + strings.ReplaceAll(pageConnect, "RESOURCE", escapeHTML.Replace(resource))
	status := http.StatusOK
	if fault != nil {
		text = pageTop + "<p>It is not configured yet:</p>\n<pre>" + escapeHTML.Replace(fault.Error()) + "</pre>\n"
		status = http.StatusServiceUnavailable
	}
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "</body>\n</html>\n"))
}
