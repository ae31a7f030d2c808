package broker

import (
	"net/http"
	"strings"

	"mcp-credential-broker/broker/page"
)

const pageTop = `<h1>Vouch credential broker</h1>
<p>An MCP server that gives an AI assistant short-lived AWS, GitHub and SSH credentials, in the name of a person who
signed in at Vouch with a hardware key. It stores nothing.</p>
`

const pageConnect = `<p>Connect an MCP client to this URL; it will take you to Vouch to sign in:</p>
<p><code>RESOURCE</code></p>
<p>Claude Code, for example: <code>claude mcp add --transport http vouch RESOURCE</code></p>
`

// servePage serves the page at "/": what this is and how to connect.
func servePage(w http.ResponseWriter, r *http.Request, resource string, fault error) {
	if !isRead(w, r) {
		return
	}
	text := pageTop + strings.ReplaceAll(pageConnect, "RESOURCE", page.Escape(resource))
	status := http.StatusOK
	if fault != nil {
		text = pageTop + "<p>It is not configured yet:</p>\n<pre>" + page.Escape(fault.Error()) + "</pre>\n"
		status = http.StatusServiceUnavailable
	}
	page.SetHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page.Document("Connect", text)))
}
