package authserver

import (
	"strings"
	"testing"

	"mcp-credential-broker/broker/approval"
)

// TestConsentPageEscapes: nothing that comes from outside is HTML, whatever the
// rules for it may become.
func TestConsentPageEscapes(t *testing.T) {
	const hostile = `<b>"'&`
	app := &client{name: hostile, host: hostile, document: hostile}
	text := Config{VouchIssuer: "https://" + "vouch.example" + hostile}.consentPage(app, &request{redirectURI: "https://x" + hostile, asked: AllScopes}, hostile)
	if strings.Contains(text, hostile) || strings.Contains(text, "<b>") {
		t.Error(text)
	}
	if text := (Config{}).consentPage(app, &request{redirectURI: hostile + ":x", asked: AllScopes}, ""); strings.Contains(text, "<b>") {
		t.Error(text)
	}
}

// TestANameStaysInItsQuotes: what a client calls itself cannot end them and go on in
// words that look like ours.
func TestANameStaysInItsQuotes(t *testing.T) {
	const name = "Claude”, which Example Inc. has \"checked„. Its number is “7"
	for _, host := range []string{"", "app.example"} {
		text := Config{}.consentPage(&client{name: name, host: host, document: host}, &request{redirectURI: "https://x.example/"}, "")
		_, quoted, _ := strings.Cut(text, "<p class=\"small\">It calls itself “<bdi>")
		quoted, after, _ := strings.Cut(quoted, "</bdi>”. ")
		if quoted != "Claude&#39;, which Example Inc. has &#39;checked&#39;. Its number is &#39;7" || !strings.HasPrefix(after, "That name is ") {
			t.Errorf("%q", quoted)
		}
	}
}

// TestApprovalPagesEscape: the same for what a call says of itself.
func TestApprovalPagesEscape(t *testing.T) {
	const hostile = `<b>"'&`
	r := &approval.Request{Person: hostile, ClientName: hostile, ClientHost: hostile, Facts: []approval.Fact{{Name: hostile, Value: hostile}, {Name: hostile, Value: hostile, Claimed: true}}, Approvers: []string{hostile}}
	r.Tool = hostile
	for _, text := range []string{Config{VouchIssuer: "https://" + "vouch.example" + hostile}.approvalPage(r, hostile), codePage(r, hostile), refusedPage(r)} {
		if strings.Contains(text, hostile) || strings.Contains(text, "<b>") {
			t.Error(text)
		}
	}
}

// TestPurposes: each kind of sealed value has a purpose of its own, so that none
// can be passed off as another.
func TestPurposes(t *testing.T) {
	seen := map[string]bool{}
	for _, purpose := range []string{purposeConsent, purposeTransaction, purposeCode, purposeAccess, purposeApprovalForm, purposeApproval} {
		if seen[purpose] || purpose == "" {
			t.Errorf("%q is there twice", purpose)
		}
		seen[purpose] = true
	}
}
