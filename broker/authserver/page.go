package authserver

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

const style = `:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--soft:#f2f4f7;--line:#8a939e;--go:#0b57a4;--on:#fff;--warn:#fdf0d5}
@media(prefers-color-scheme:dark){:root{--ink:#e9edf1;--paper:#14181d;--soft:#1f252c;--line:#7d8793;--go:#8ec2ff;--on:#10151a;--warn:#3d2f10}}
*{box-sizing:border-box}
body{max-width:36rem;margin:0 auto;padding:1.5rem 1rem 3rem;font:1rem/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);overflow-wrap:anywhere}
h1{margin:0 0 1rem;font-size:1.4rem;line-height:1.25;text-wrap:balance}
dl{margin:1rem 0;padding:1rem;background:var(--soft);border-radius:.5rem}
dt{font-size:.9rem}dd{margin:0 0 .75rem;font-weight:600}dd:last-child{margin:0}
.warn{padding:.75rem 1rem;background:var(--warn);border-radius:.5rem}
fieldset{margin:1rem 0;padding:.5rem 1rem;border:1px solid var(--line);border-radius:.5rem}
label{display:flex;gap:.75rem;align-items:start;min-height:2.75rem;padding:.5rem 0}
input{width:1.25rem;height:1.25rem;margin:.15rem 0 0;flex:none;accent-color:var(--go)}
button{font:inherit;font-weight:600;min-height:2.75rem;padding:.5rem 1.25rem;border:1px solid var(--line);border-radius:.5rem;color:var(--ink);background:var(--paper)}
.go{color:var(--on);background:var(--go);border-color:var(--go)}
:focus-visible{outline:3px solid var(--go);outline-offset:2px}
.act{display:flex;gap:.75rem}
@media(max-width:26rem){body{padding-top:1rem}.act button{flex:1 1 auto;padding:.5rem}}`

// pagePolicy allows a page its own style and nothing else. It has no form-action:
// Chrome applies that to every redirect after the form, so the client's redirect
// URI would have to be listed, and whatever that goes on to.
var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
}()

func setPageHeaders(h http.Header) {
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors: a hidden frame would collect clicks
	// The form must carry its Origin, which no-referrer would turn into null; the
	// page's URL goes to nobody else.
	h.Set("Referrer-Policy", "same-origin")
}

// escapeHTML is html.EscapeString without its package, whose table of entities
// is 22 KB of the upload.
var escapeHTML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// page puts a title and a body, both HTML, into a document.
func page(title, body string) string {
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

// faultPage tells a fixed sentence.
func faultPage(sentence string) string {
	return page("Sign-in stopped", "<h1>This sign-in cannot go on</h1>\n<p>"+escapeHTML.Replace(sentence)+"</p>\n")
}

// scopeLabels are in the order of the scopes.
var scopeLabels = [...]string{
	"<strong>AWS</strong>: temporary credentials for roles that trust you",
	"<strong>GitHub</strong>: short-lived tokens for your organisation's repositories",
	"<strong>SSH</strong>: short-lived certificates that log in to servers as you",
}

// consentPage asks the person. All that comes from the client is escaped, and
// <bdi> keeps a name written from right to left from reordering our words.
func consentPage(c *client, req *request, sealed string) string {
	name := "<bdi>" + escapeHTML.Replace(c.name) + "</bdi>"
	source := escapeHTML.Replace(c.host) + " (published there)"
	if c.host == "" {
		source = "the app itself (not verified: anybody can use any name)"
	}
	target, local := describeRedirect(req.redirectURI)
	var b strings.Builder
	b.WriteString("<h1>Let " + name + " use credentials in your name?</h1>\n" +
		"<p>An app that calls itself <strong>" + name + "</strong> asks for short-lived credentials in your name. " +
		"If you agree, you sign in at Vouch with your hardware key next.</p>\n" +
		"<dl><dt>The name comes from</dt><dd>" + source + "</dd>\n" +
		"<dt>You return to</dt><dd>" + escapeHTML.Replace(target) + "</dd></dl>\n")
	if local {
		b.WriteString(`<p class="warn"><strong>Be sure that you started this yourself.</strong> The answer goes to a program on this computer, ` +
			"and nobody can check which one. If you did not just connect an app, refuse.</p>\n")
	}
	b.WriteString(`<form method="post" action="` + AuthorizePath + `">
<input type="hidden" name="request" value="` + escapeHTML.Replace(sealed) + `">
<fieldset><legend>What it may ask for</legend>
`)
	for i, label := range scopeLabels {
		if scope := Scopes(1 << i); req.asked.Has(scope) {
			b.WriteString(`<label><input type="checkbox" name="scope" value="` + scope.String() + `" checked><span>` + label + "</span></label>\n")
		}
	}
	b.WriteString(`</fieldset>
<div class="act"><button class="go" name="decision" value="allow">Go on to Vouch</button>
<button name="decision" value="deny">Refuse</button></div>
</form>
`)
	return page("Allow access", b.String())
}

// describeRedirect says where a redirect URI leads, and whether that is a program
// on the person's own computer.
func describeRedirect(uri string) (target string, local bool) {
	u, err := url.Parse(uri)
	if err != nil {
		return uri, true
	}
	switch u.Scheme {
	case "https":
		return u.Host, false
	case "http":
		return u.Hostname() + " (this computer)", true
	}
	return "the program on this computer that opens " + u.Scheme + ": links", true
}
