package page_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"mcp-credential-broker/broker/page"
)

func TestHeaders(t *testing.T) {
	h := http.Header{}
	page.SetHeaders(h)
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
		"X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
	} {
		if h.Get(name) != want {
			t.Errorf("%s: %q", name, h.Get(name))
		}
	}
	_, after, _ := strings.Cut(page.Document("t", ""), "<style>")
	style, _, _ := strings.Cut(after, "</style>")
	sum := sha256.Sum256([]byte(style))
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; frame-ancestors 'none'"
	if got := h.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
}

func TestEscape(t *testing.T) {
	if got := page.Escape(`<a href="x" title='y'>&amp;`); got != "&lt;a href=&#34;x&#34; title=&#39;y&#39;&gt;&amp;amp;" {
		t.Error(got)
	}
}

// TestFault: the sentence, the request and a way on are there, and no text of it
// is HTML.
func TestFault(t *testing.T) {
	text := page.Fault{Title: "<t>", Heading: "<h>", Sentence: "<s>", RequestID: "<r>"}.Document()
	for _, want := range []string{"<title>&lt;t&gt; ", "<h1>&lt;h&gt;</h1>", "<p>&lt;s&gt;</p>", "<code>&lt;r&gt;</code>", `<a href="/">`, `<html lang="en">`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing in %s", want, text)
		}
	}
	if text := (page.Fault{Heading: "h"}).Document(); strings.Contains(text, "<code>") {
		t.Error("a request without an id is named")
	}
}
