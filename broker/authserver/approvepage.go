package authserver

import (
	"strings"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/page"
)

// approvalPage asks the person. It says whose call it is first: a link may come from
// anybody.
func (c Config) approvalPage(r *approval.Request, sealed string) string {
	vouch := page.Escape(hostOf(c.VouchIssuer))
	var b strings.Builder
	b.WriteString("<h1>Approve one call?</h1>\n")
	b.WriteString(`<p class="warn"><strong>Be sure that you know why this is asked.</strong> `)
	if len(r.Approvers) > 0 {
		b.WriteString("Somebody else asks for it, and you are to look at it: ask them when in doubt. ")
	} else {
		b.WriteString("Approve only what you are having done right now. ")
	}
	b.WriteString("If an app can steer this browser, open the link on another device, such as your phone.</p>\n")
	b.WriteString(facts(r))
	b.WriteString(`<form method="post" action="` + approval.Path + `">
<input type="hidden" name="request" value="` + page.Escape(sealed) + `">
<p>You go to ` + vouch + ` next and touch your hardware key. Then this page shows a code for the app.</p>
<div class="act"><button disabled hidden></button>
<button name="decision" value="deny">Refuse</button>
<button class="go" name="decision" value="allow">Approve with my key</button></div>
</form>
`)
	return page.Document("Approve one call", b.String())
}

// codePage shows the code, and again what it is for.
func codePage(r *approval.Request, code string) string {
	return page.Document("Approved", "<h1>Approved</h1>\n<p>Give this code to the app. It is good for this one call, by this app, for up to five minutes.</p>\n"+
		`<pre class="code">`+page.Escape(code)+"</pre>\n"+facts(r)+
		`<p class="small">The code is no secret: it does nothing for anybody else. You can close this page.</p>`+"\n")
}

// refusedPage ends what the person does not want. Nothing needs to be undone.
func refusedPage(r *approval.Request) string {
	return page.Document("Refused", "<h1>Refused</h1>\n<p>Nothing was approved and nothing was handed out. Tell the app so; you can close this page.</p>\n"+facts(r))
}

// facts are the request, as a list. All of it is escaped, and <bdi> keeps what is
// written from right to left from reordering our words.
func facts(r *approval.Request) string {
	var b strings.Builder
	item := func(name, value string) {
		b.WriteString("<dt>" + page.Escape(name) + "</dt><dd><bdi>" + page.Escape(value) + "</bdi></dd>")
	}
	b.WriteString("<dl>")
	item("Asked in the name of", r.Person)
	app := r.ClientName
	if r.ClientHost != "" {
		app += " (" + r.ClientHost + ")"
	} else {
		app += " (a name that nobody verified)"
	}
	item("By the app", app)
	item("Tool", r.Tool)
	for _, f := range r.Facts {
		name := f.Name
		if f.Claimed {
			name += " (the app's own words, not checked)"
		}
		item(name, f.Value)
	}
	b.WriteString("</dl>\n")
	return b.String()
}
