// Package page is the one shell of all pages that a person sees: consent, faults,
// what this broker is, approval.
//
// It promises that a page runs no script, loads nothing, cannot be framed, is
// readable from a phone to a desk, in light, dark and forced colours, and goes
// into no cache. It does not escape by itself: whatever did not stand in our own
// source goes through Escape.
package page

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// style's classes: "code" is a text to take along, "go" the button that agrees, "act" a row of buttons, "warn"
// a box that warns, "small" what matters less. In forced colours backgrounds are
// gone, so that boxes keep their edges and "go" takes the colours of what is
// selected: what agrees never looks like what refuses.
const style = `:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#f2f4f7;--line:#8a939e;--go:#0b57a4;--on:#fff;--warn:#fdf0d5;--alarm:#b35c00;color:var(--ink);background:var(--paper)}
@media(prefers-color-scheme:dark){:root{--ink:#e9edf1;--paper:#14181d;--soft:#1f252c;--line:#7d8793;--go:#8ec2ff;--on:#10151a;--warn:#3d2f10;--alarm:#e0a030}}
*{box-sizing:border-box}
body{max-width:36rem;margin:0 auto;padding:1.5rem 1rem 3rem;font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{margin:0 0 1rem;font-size:1.4rem;line-height:1.25;text-wrap:balance}
h2{margin:1.5rem 0 .5rem;font-size:1.1rem}
a{color:var(--go)}
dl{margin:1rem 0;padding:1rem;background:var(--soft);border:1px solid transparent;border-radius:.5rem}
dt{font-size:.9rem}dd{margin:0 0 .75rem;font-weight:600}dd:last-child{margin:0}
code,pre{font:.95em/1.5 ui-monospace,monospace}pre{padding:.75rem 1rem;white-space:pre-wrap;background:var(--soft);border:1px solid transparent;border-radius:.5rem}
.code{font-size:1.35rem;font-weight:600;text-align:center;user-select:all}
.small{font-size:.9rem;font-weight:400}
.warn{padding:.75rem 1rem;background:var(--warn);border:1px solid transparent;border-left:.4rem solid var(--alarm);border-radius:.5rem}
fieldset{margin:1rem 0;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.5rem}
label{display:flex;gap:.75rem;align-items:start;min-height:2.75rem;padding:.5rem 0}
input{width:1.25rem;height:1.25rem;margin:.15rem 0 0;flex:none;accent-color:var(--go)}
button,.button{font:inherit;font-weight:600;min-height:2.75rem;padding:.5rem 1.25rem;border:1px solid var(--line);border-radius:.5rem;color:var(--ink);background:var(--paper)}
.go{color:var(--on);background:var(--go);border-color:var(--go)}
:focus-visible{outline:3px solid var(--go);outline-offset:2px}
.button{display:inline-block;text-decoration:none}
.act{display:flex;flex-wrap:wrap;gap:.75rem}
@media(max-width:26rem){body{padding-top:1rem}.act button,.act .button{flex:1 1 auto;padding:.5rem;text-align:center}}
@media(forced-colors:active){.go{forced-color-adjust:none;color:HighlightText;background:Highlight;border:3px solid ButtonText}}`

// policy allows a page its own style and nothing else. It has no form-action:
// Chrome applies that to every redirect after the form, so the client's redirect
// URI would have to be listed, and whatever that goes on to.
var policy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
}()

// SetHeaders sets the headers that every Document is sent with.
func SetHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors: a hidden frame would collect clicks
	// A form must carry its Origin, which no-referrer would turn into null; the
	// page's URL goes to nobody else.
	h.Set("Referrer-Policy", "same-origin")
}

// escaper is html.EscapeString without its package, whose table of entities is 22
// KB of the upload.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// Escape makes HTML of text, fit for content and for quoted attributes.
func Escape(text string) string { return escaper.Replace(text) }

// Document puts a title and a body, both HTML, into a document. The body begins
// with its h1.
func Document(title, body string) string {
	return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>` + title + ` - Vouch credential broker</title><style>` + style + `</style></head>
<body>
<main>
` + body + `</main>
</body>
</html>
`
}

// A Fault is what a person is told when something cannot go on.
type Fault struct {
	Title    string // of the window, e.g. "Sign-in stopped"
	Heading  string
	Sentence string // what happened and what to do next
	// RequestID is what the operator finds the log line by. It may be empty.
	RequestID string
}

// Document is the page of a fault, with a way on. Its texts are not HTML.
func (f Fault) Document() string {
	body := "<h1>" + Escape(f.Heading) + "</h1>\n<p>" + Escape(f.Sentence) + "</p>\n" +
		`<p>You can close this page. <a href="/">How to connect an app</a></p>` + "\n"
	return Document(Escape(f.Title), body+RequestID(f.RequestID))
}

// RequestID is the paragraph that names a request for the operator, or nothing
// when there is no id.
func RequestID(id string) string {
	if id == "" {
		return ""
	}
	return `<p class="small">If you ask the operator for help, name this request: <code>` + Escape(id) + "</code></p>\n"
}
