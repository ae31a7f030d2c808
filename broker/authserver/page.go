package authserver

import (
	"net/url"
	"strings"

	"mcp-credential-broker/broker/page"
)

// scopeLabels are in the order of the scopes.
var scopeLabels = [...]string{
	"<strong>AWS, to look</strong>: temporary credentials that read, stored data too, in roles that trust you",
	"<strong>AWS, to change</strong>: temporary credentials with all that those roles may do. It may change or delete things",
	"<strong>GitHub</strong>: tokens that read and write the contents of your organisation's repositories, about an hour each",
	"<strong>SSH</strong>: certificates that log in to servers as you",
}

// inQuotes keeps a name from ending the quotes that it stands in.
func inQuotes(r rune) rune {
	if r == '"' || r >= '“' && r <= '‟' {
		return '\''
	}
	return r
}

// consentPage asks the person. What is certain comes first: where access goes. The
// name is quoted and small, since anybody can use any. All that comes from the
// client is escaped, and <bdi> keeps a name written from right to left from
// reordering our words.
func (c Config) consentPage(app *client, req *request, sealed string) string {
	target, local := describeRedirect(req.redirectURI)
	vouch := hostOf(c.VouchIssuer)
	var b strings.Builder
	b.WriteString("<h1>Access goes to " + page.Escape(target) + "</h1>\n")
	b.WriteString(`<p class="small">It calls itself “<bdi>` + page.Escape(strings.Map(inQuotes, app.name)) + "</bdi>”. ")
	if app.host == "" {
		b.WriteString("That name is not verified: anybody can use any.</p>\n")
	} else {
		b.WriteString("That name is published at <strong>" + page.Escape(app.document) + "</strong></p>\n")
	}
	switch {
	case local:
		b.WriteString(`<p class="warn"><strong>Be sure that you started this yourself.</strong> The answer goes to a program on this computer, ` +
			"and nobody can check which one. If you did not just connect an app, refuse.</p>\n")
	case app.host == "":
		b.WriteString(`<p class="warn"><strong>Be sure that you started this yourself, at ` + page.Escape(target) + ".</strong> " +
			"Anybody can make a link to this page. If you came here by one that you were sent, refuse.</p>\n")
	}
	b.WriteString(`<form method="post" action="` + AuthorizePath + `">
<input type="hidden" name="request" value="` + page.Escape(sealed) + `">
<fieldset><legend>What it may get in your name</legend>
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
	b.WriteString("</fieldset>\n<dl><dt>For how long</dt><dd>Until your sign-in at Vouch ends, usually after 8 hours</dd>\n" +
		"<dt>Where you sign in next, with your hardware key</dt><dd>" + page.Escape(vouch) + "</dd>\n" +
		"<dt>How to undo it</dt><dd>Sign out at " + page.Escape(vouch) + ". What was handed out before lives on until its own end</dd></dl>\n" + buttons)
	return page.Document("Allow access", b.String())
}

// buttons end the form. Enter on a box presses the first button of a form: that
// one would close a dialog, and there is none; where a browser passes over it the
// next one refuses.
const buttons = `<div class="act"><button hidden formmethod="dialog"></button>
<button name="decision" value="deny">Refuse</button>
<button class="go" name="decision" value="allow">Allow and sign in</button></div>
</form>
`

// hostOf is the host of an absolute URL.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return u.Host
}

// describeRedirect says where a redirect URI leads, and whether that is a program
// on the person's own computer.
func describeRedirect(uri string) (target string, local bool) {
	switch host := redirectHost(uri); {
	case strings.HasPrefix(uri, "https://"):
		return host, false
	case strings.HasPrefix(uri, "http://"):
		return host + " (a program on this computer)", true
	default:
		return "the program on this computer that opens " + host + " links", true
	}
}
