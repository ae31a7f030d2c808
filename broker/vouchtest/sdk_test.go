package vouchtest_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"mcp-credential-broker/broker/vouchtest"
)

// TestOfficialClientSignsIn lets the official Go SDK discover, register and
// sign in, as it does against an MCP server that names this Vouch.
func TestOfficialClientSignsIn(t *testing.T) {
	s := start(t, vouchtest.Options{})
	const resource = "http://127.0.0.1:1/mcp" // nothing listens: the metadata comes from metadataTransport
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName: "test", RedirectURIs: []string{"http://127.0.0.1/callback"},
				TokenEndpointAuthMethod: "none",
			},
		},
		AuthorizationCodeFetcher: func(_ context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			r := get(t, args.URL)
			u, err := url.Parse(r.header.Get("Location"))
			if err != nil {
				return nil, err
			}
			q := u.Query()
			return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
		},
		Client: &http.Client{Transport: metadataTransport{resource, s.VouchURL}},
	})
	if err != nil {
		t.Fatal(err)
	}
	challenge := &http.Response{
		StatusCode: http.StatusUnauthorized, Body: http.NoBody,
		Header: http.Header{"Www-Authenticate": {`Bearer resource_metadata="http://127.0.0.1:1/.well-known/oauth-protected-resource/mcp"`}},
	}
	if err := handler.Authorize(t.Context(), request(t, http.MethodPost, resource, ""), challenge); err != nil {
		t.Fatal(err)
	}
	source, err := handler.TokenSource(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if aud := payload(t, token.AccessToken, 1)["aud"]; aud != resource {
		t.Errorf("aud %v", aud)
	}
	if r := get(t, s.VouchURL+"/v1/credentials/aws/token", bearer(token.AccessToken)...); r.status != http.StatusOK {
		t.Errorf("status %d, body %s", r.status, r.body)
	}
}

// metadataTransport answers for the resource and sends the rest on.
type metadataTransport struct{ resource, issuer string }

func (m metadataTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(m.resource, r.URL.Scheme+"://"+r.URL.Host+"/") {
		return http.DefaultTransport.RoundTrip(r)
	}
	body := `{"resource":"` + m.resource + `","authorization_servers":["` + m.issuer + `"],"scopes_supported":["openid","email"]}`
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}
