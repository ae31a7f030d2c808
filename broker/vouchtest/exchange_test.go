package vouchtest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest"
)

const brokerResource = "https://broker.example/mcp"

func exchangeForm(token string) url.Values {
	return url.Values{"grant_type": {exchangeType}, "subject_token": {token}, "subject_token_type": {accessType}}
}

// exchange exchanges a token with a change to the request.
func (p *party) exchange(token string, change func(*form)) reply {
	p.t.Helper()
	f := p.form("/oauth/token", exchangeForm(token))
	if change != nil {
		change(f)
	}
	return p.post("/oauth/token", f)
}

func TestTokenExchange(t *testing.T) {
	now := newClock()
	p := newParty(t, vouchtest.Options{Now: now.Now})
	subject := p.s.Vouch.MintAccessToken(vouchtest.TokenOptions{ClientID: "mcp-client", Scope: "openid email", Lifetime: time.Hour})
	now.advance(10 * time.Minute)
	p.nonce = ""
	r := p.exchange(subject, func(f *form) { f.values.Set("scope", "email profile") })
	answer := r.decode(t)
	if r.status != http.StatusOK || answer["issued_token_type"] != accessType || answer["token_type"] != "DPoP" ||
		answer["expires_in"] != json.Number("3000") || answer["scope"] != "email" {
		t.Fatalf("status %d, body %s", r.status, r.body)
	}
	token := answer["access_token"].(string)
	claims := payload(t, token, 1)
	if claims["aud"] != p.id || claims["client_id"] != p.id || claims["sub"] != vouchtest.DefaultPerson().Subject ||
		claims["auth_time"] != nil || claims["hardware_verified"] != true || claims["amr"] == nil {
		t.Errorf("claims %v", claims)
	}
	if r := p.aws(token, nil); r.status != http.StatusOK {
		t.Errorf("AWS: status %d, body %s", r.status, r.body)
	}
	weak := p.s.Vouch.MintAccessToken(vouchtest.TokenOptions{ClientID: "mcp-client", Scope: "openid", WithoutHardware: true})
	weaker := p.exchange(weak, nil).decode(t)["access_token"].(string)
	if claims := payload(t, weaker, 1); claims["hardware_verified"] != false || claims["amr"] != nil {
		t.Errorf("an exchange made hardware of nothing: %v", claims)
	}
}

// TestNarrowedStaysNarrowed: what was issued for somebody else's server never
// becomes good for the credential API.
func TestNarrowedStaysNarrowed(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	own := p.s.VouchURL
	tests := []struct {
		name, held, audience string
		want                 string // the new audience, or an error code
	}{
		{"unnarrowed", "", "", p.id},
		{"unnarrowed, narrower", "", brokerResource, brokerResource},
		{"unnarrowed, own origin", "", own + "/v1", own + "/v1"},
		{"narrowed", brokerResource, "", brokerResource},
		{"narrowed, the same", brokerResource, "HTTPS://Broker.example:443/mcp", brokerResource},
		{"narrowed, another server", brokerResource, "https://other.example", "https://other.example/"},
		{"narrowed, the client", brokerResource, p.id, "invalid_request"},
		{"narrowed, another client", brokerResource, "mcp-client", "invalid_request"},
		{"narrowed, the issuer", brokerResource, own, "invalid_request"},
		{"narrowed, below the issuer", brokerResource, own + "/v1/credentials", "invalid_request"},
		{"narrowed, the issuer with a query", brokerResource, own + "/?x", "invalid_request"},
		{"narrowed, the issuer with userinfo", brokerResource, "http://u@" + own[7:] + "/", "invalid_request"},
		{"narrowed to a path of ours", own + "/v1/credentials/ssh", "", own + "/v1/credentials/ssh"},
		{"narrowed to a path of ours, widened", own + "/v1/credentials/ssh", own + "/v1", "invalid_request"},
		{"fragment", "", brokerResource + "#x", "invalid_target"},
	}
	for _, test := range tests {
		for _, parameter := range []string{"audience", "resource"} {
			if parameter == "resource" && test.audience != "" && !isURL(test.audience) {
				continue
			}
			t.Run(test.name+"/"+parameter, func(t *testing.T) {
				subject := p.s.Vouch.MintAccessToken(vouchtest.TokenOptions{ClientID: "mcp-client", Audience: test.held, Scope: "openid"})
				r := p.in(t).exchange(subject, func(f *form) {
					if test.audience != "" {
						f.values.Set(parameter, test.audience)
					}
				})
				if r.status != http.StatusOK {
					if r.code(t) != test.want || r.status != http.StatusBadRequest {
						t.Errorf("status %d, body %s", r.status, r.body)
					}
					return
				}
				token := r.decode(t)["access_token"].(string)
				if got := payload(t, token, 1)["aud"]; got != test.want {
					t.Errorf("audience %v", got)
				}
				good := test.want == p.id || test.want == own+"/v1"
				if r := p.aws(token, nil); (r.status == http.StatusOK) != good {
					t.Errorf("credential API: status %d, body %s", r.status, r.body)
				}
			})
		}
	}
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != ""
}

func TestExchangeRefusals(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	plain := partyOf(t, p.s, "without-the-grant")
	plain.add(vouchtest.Client{DPoPBound: true})
	v := p.s.Vouch
	bounded := partyOf(t, p.s, "bounded")
	bounded.add(vouchtest.Client{DPoPBound: true, ResourceURIs: []string{brokerResource}, GrantTypes: []string{exchangeType}})
	subject := v.MintAccessToken(vouchtest.TokenOptions{ClientID: "mcp-client", Scope: "openid"})
	revoked := v.MintAccessToken(vouchtest.TokenOptions{Scope: "openid"})
	v.Revoke(revoked)
	boundTo := func(p *party) string {
		return v.MintAccessToken(vouchtest.TokenOptions{Scope: "openid", Confirmation: members{"jkt": thumbprint(t, p.key)}})
	}
	set := func(name, value string) func(*form) { return func(f *form) { f.values.Set(name, value) } }
	tests := []struct {
		name   string
		by     *party
		token  string
		change func(*form)
		status int
		want   string
	}{
		{"good", p, subject, nil, 200, ""},
		{"bound to this key", p, boundTo(p), nil, 200, ""},
		{"JWT as the type", p, subject, set("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"), 200, ""},
		{"audience and resource that agree", p, subject, func(f *form) {
			f.values.Set("audience", brokerResource)
			f.values.Set("resource", brokerResource)
		}, 200, ""},
		{"listed resource", bounded, subject, set("resource", brokerResource), 200, ""},
		{"bound to another key", p, boundTo(plain), nil, 400, "invalid_request"},
		{"bound by a certificate", p, v.MintAccessToken(vouchtest.TokenOptions{Scope: "openid", Confirmation: members{"x5t#S256": "x"}}), nil, 400, "invalid_request"},
		{"no grant", plain, subject, nil, 400, "unauthorized_client"},
		{"no client", p, subject, func(f *form) { f.assertion = "" }, 401, "invalid_client"},
		{"no proof", p, subject, func(f *form) { f.proof = "" }, 400, "invalid_request"},
		{"no subject", p, "", nil, 400, "invalid_request"},
		{"no type", p, subject, set("subject_token_type", ""), 400, "invalid_request"},
		{"SAML", p, subject, set("subject_token_type", "urn:ietf:params:oauth:token-type:saml2"), 400, "invalid_request"},
		{"JWT wanted", p, subject, set("requested_token_type", "urn:ietf:params:oauth:token-type:jwt"), 400, "invalid_request"},
		{"actor", p, subject, set("actor_token", subject), 400, "invalid_request"},
		{"authorization details", p, subject, set("authorization_details", `[{"type":"x"}]`), 400, "invalid_authorization_details"},
		{"expired", p, v.MintAccessToken(vouchtest.TokenOptions{Scope: "openid", Lifetime: -time.Second}), nil, 400, "invalid_request"},
		{"revoked", p, revoked, nil, 400, "invalid_request"},
		{"forged", p, v.MintAccessToken(vouchtest.TokenOptions{Scope: "openid", Flaws: vouchtest.Flaws{ForeignKey: true}}), nil, 400, "invalid_request"},
		{"ID token", p, v.MintAccessToken(vouchtest.TokenOptions{Scope: "openid", Flaws: vouchtest.Flaws{Header: members{"typ": "JWT"}}}), nil, 400, "invalid_request"},
		{"no scope at all", p, v.MintAccessToken(vouchtest.TokenOptions{}), nil, 400, "invalid_request"},
		{"audience and resource that differ", p, subject, func(f *form) {
			f.values.Set("audience", brokerResource)
			f.values.Set("resource", "https://other.example/")
		}, 400, "invalid_target"},
		{"resource outside the list", bounded, subject, set("resource", "https://other.example/"), 400, "invalid_target"},
		{"audience outside the list", bounded, subject, set("audience", "https://other.example/"), 400, "invalid_target"},
		{"client outside the list", bounded, subject, set("audience", "mcp-client"), 400, "invalid_target"},
		{"two audiences", p, subject, func(f *form) { f.values["audience"] = []string{brokerResource, p.s.VouchURL} }, 400, "invalid_request"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := test.by.in(t).exchange(test.token, test.change)
			if r.status != test.status || r.code(t) != test.want {
				t.Errorf("status %d, body %s", r.status, r.body)
			}
		})
	}
	old := startWithClient(t, vouchtest.Options{})
	relay := exchangeForm(old.Vouch.MintAccessToken(vouchtest.TokenOptions{}))
	relay.Set("client_id", testClient)
	if r := postForm(t, old.VouchURL+"/oauth/token", relay); r.code(t) != "unsupported_grant_type" {
		t.Errorf("relay era: status %d, body %s", r.status, r.body)
	}
}

// TestReplayedCodeEndsExchangedTokens: a thief who exchanged the token first
// keeps nothing.
func TestReplayedCodeEndsExchangedTokens(t *testing.T) {
	p := newParty(t, vouchtest.Options{})
	code := p.code()
	redeem := func() reply { return p.post("/oauth/token", p.form("/oauth/token", p.redemption(code))) }
	token := redeem().decode(t)["access_token"].(string)
	exchanged := p.exchange(token, nil).decode(t)["access_token"].(string)
	if r := p.aws(exchanged, nil); r.status != http.StatusOK {
		t.Fatalf("before the replay: status %d, body %s", r.status, r.body)
	}
	redeem()
	if r := p.aws(exchanged, nil); r.code(t) != "invalid_token" {
		t.Errorf("after the replay: status %d, body %s", r.status, r.body)
	}
}
