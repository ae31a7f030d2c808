package authserver

import (
	"net/url"
	"strings"

	"mcp-credential-broker/broker/page"
)

// scopeLabels are in the order of the scopes.
var scopeLabels = [...]string{
	"<strong>AWS, to look</strong>: temporary credentials that read, for roles that trust you",
	"<strong>AWS, to change</strong>: temporary credentials with all that those roles may do. It may change or delete things",
	"<strong>GitHub</strong>: short-lived tokens for your organisation's repositories",
	"<strong>SSH</strong>: short-lived certificates that log in to servers as you",
}

// consentPage asks the person. All that comes from the client is escaped, and
// <bdi> keeps a name written from right to left from reordering our words.
func consentPage(c *client, req *request, sealed string) string {
	name := "<bdi>" + page.Escape(c.name) + "</bdi>"
	source := page.Escape(c.host) + " (published there)"
	if c.host == "" {
		source = "the app itself (not verified: anybody can use any name)"
	}
	target, local := describeRedirect(req.redirectURI)
	var b strings.Builder
	b.WriteString("<h1>Let " + name + " use credentials in your name?</h1>\n" +
		"<p>An app that calls itself <strong>" + name + "</strong> asks for short-lived credentials in your name. " +
		"If you agree, you sign in at Vouch with your hardware key next.</p>\n" +
		"<dl><dt>The name comes from</dt><dd>" + source + "</dd>\n" +
		"<dt>You return to</dt><dd>" + page.Escape(target) + "</dd></dl>\n")
	if local {
		b.WriteString(`<p class="warn"><strong>Be sure that you started this yourself.</strong> The answer goes to a program on this computer, ` +
			"and nobody can check which one. If you did not just connect an app, refuse.</p>\n")
	}
	b.WriteString(`<form method="post" action="` + AuthorizePath + `">
<input type="hidden" name="request" value="` + page.Escape(sealed) + `">
<fieldset><legend>What it may ask for</legend>
`)
	for i, label := range scopeLabels {
		if scope := Scopes(1 << i); req.asked.Has(scope) {
			ticked := " checked"
			if deliberate.Has(scope) {
				ticked = ""
			}
			b.WriteString(`<label><input type="checkbox" name="scope" value="` + scope.String() + `"` + ticked + `><span>` + label + "</span></label>\n")
		}
	}
	b.WriteString(`</fieldset>
<div class="act"><button class="go" name="decision" value="allow">Go on to Vouch</button>
<button name="decision" value="deny">Refuse</button></div>
</form>
`)
	return page.Document("Allow access", b.String())
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
