package broker

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/page"
)

// landing is the page at "/". HOST, ISSUER and RESOURCE are escaped, VSCODE and
// CURSOR are what those programs' links take: a configuration for one server.
const landing = `<h1>Credentials for your AI assistant</h1>
<p>HOST is a credential broker: an MCP server that gives an assistant short-lived AWS, GitHub and SSH credentials in your name.
You sign in with your hardware key at ISSUER. The broker keeps nothing; whoever runs it can read who asked for what, and never
a credential.</p>
<h2>Connect</h2>
<p>Add this address to your MCP client. It opens the sign-in by itself.</p>
<pre>RESOURCE</pre>
<p class="act"><a class="button" href="vscode:mcp/install?VSCODE">Add to VS Code</a>
<a class="button" href="cursor://anysphere.cursor-deeplink/mcp/install?name=vouch&amp;config=CURSOR">Add to Cursor</a></p>
<dl>
<dt>Claude Code</dt><dd><code>claude mcp add --transport http vouch RESOURCE</code></dd>
<dt>Claude and ChatGPT, web and desktop</dt><dd class="small">Settings, Connectors, add a custom connector with the address above</dd>
<dt>VS Code, in a terminal</dt><dd><code>code --add-mcp '{"name":"vouch","type":"http","url":"RESOURCE"}'</code></dd>
<dt>Codex</dt><dd><code>codex mcp add vouch --url RESOURCE &amp;&amp; codex mcp login vouch</code></dd>
<dt>Gemini CLI</dt><dd><code>gemini mcp add --transport http vouch RESOURCE</code></dd>
<dt>Clients that only start programs</dt><dd><code>npx mcp-remote RESOURCE</code></dd>
</dl>
<p>Then ask the assistant, for example: <em>which credentials may I have?</em></p>
`

const unconfigured = `<h1>This broker is not configured yet</h1>
<p>Its operator has to set what is named here, and deploy again:</p>
<pre>FAULT</pre>
`

// servePage serves the page at "/": what this is, whose it is, and how to connect.
func (b *Broker) servePage(w http.ResponseWriter, r *http.Request, resource string, fault error) {
	if !isRead(w, r) {
		return
	}
	if fault != nil {
		writePage(w, http.StatusServiceUnavailable, "Not configured", strings.Replace(unconfigured, "FAULT", page.Escape(fault.Error()), 1)+
			page.RequestID(w.Header().Get(requestIDHeader)))
		return
	}
	writePage(w, http.StatusOK, "Connect", strings.NewReplacer(
		"RESOURCE", page.Escape(resource),
		"HOST", page.Escape(hostOf(resource)),
		"ISSUER", page.Escape(hostOf(b.config.Issuer)),
		"VSCODE", url.QueryEscape(`{"name":"vouch","type":"http","url":"`+resource+`"}`), // a URL in its plain form has no quotes
		"CURSOR", url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(`{"type":"http","url":"`+resource+`"}`))),
	).Replace(landing))
}

// visit is for a person who opened the MCP endpoint itself.
const visit = `<h1>This address is for MCP clients</h1>
<p>A browser has nothing to do here. <a href="/">See how to connect an assistant</a>; it brings you to the sign-in by itself.</p>
`

// opensInBrowser reports whether a person's browser asks for a page. MCP clients
// ask for JSON or an event stream.
func opensInBrowser(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// serveVisit answers such a request: for a client it is still the challenge.
func serveVisit(w http.ResponseWriter, requestID string, challenge oauth.Challenge) {
	w.Header().Set("WWW-Authenticate", challenge.String())
	w.Header().Add("Vary", "Accept")
	writePage(w, http.StatusUnauthorized, "For MCP clients", visit+page.RequestID(requestID))
}

// nothing is for a person with a mistyped address.
const nothing = `<h1>There is nothing at this address</h1>
<p><a href="/">See how to connect an assistant</a></p>
`

func serveNothing(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if opensInBrowser(r) {
		writePage(w, http.StatusNotFound, "Nothing here", nothing+page.RequestID(w.Header().Get(requestIDHeader)))
		return
	}
	writeNotFound(w)
}

func writePage(w http.ResponseWriter, status int, title, body string) {
	page.SetHeaders(w.Header())
	w.WriteHeader(status)
	_, _ = w.Write([]byte(page.Document(title, body)))
}

// hostOf is the host of a URL that was checked before.
func hostOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}
