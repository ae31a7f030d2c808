package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// redirectURL is where the client's browser would end up. Nothing listens there:
// the code is read off the redirect.
const redirectURL = "http://127.0.0.1:33418/callback"

// Connect connects the official Go SDK client to an MCP server. Without a token
// it signs in by OAuth as any MCP client does, with approve in the place of the
// person. protocolVersion chooses the era; "" is the newest.
func Connect(ctx context.Context, endpoint, token, protocolVersion string) (*mcp.ClientSession, error) {
	transport := &mcp.StreamableClientTransport{Endpoint: endpoint, MaxRetries: -1, DisableStandaloneSSE: true}
	if token != "" {
		transport.HTTPClient = &http.Client{Transport: bearer{token}}
	} else {
		handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
			RedirectURL:              redirectURL,
			AuthorizationCodeFetcher: approve,
			DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "demo",
				RedirectURIs:            []string{redirectURL},
				TokenEndpointAuthMethod: "none",
			}},
		})
		if err != nil {
			return nil, err
		}
		transport.OAuthHandler = handler
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "demo", Version: "1"}, nil)
	return client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocolVersion})
}

// approve opens the authorization URL as a person's browser would. The local
// Vouch takes this for a sign-in with the hardware key.
func approve(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
	if err != nil {
		return nil, err
	}
	browser := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := browser.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	target, err := url.Parse(resp.Header.Get("Location"))
	if err != nil || resp.StatusCode/100 != 3 {
		return nil, fmt.Errorf("the sign-in ended with status %d and no redirect", resp.StatusCode)
	}
	q := target.Query()
	if e := q.Get("error"); e != "" {
		return nil, errors.New("the sign-in was refused: " + e)
	}
	return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, nil
}

// bearer adds a token to each request.
type bearer struct{ token string }

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}
