// Package mcptest plays an MCP client and the person in front of it: the official Go
// SDK, and a browser that agrees to what the person would. Tests and the local
// stack sign in with it.
package mcptest

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// redirectURL is where the client's browser would end up. Nothing listens there:
// the code is read off the redirect.
const redirectURL = "http://127.0.0.1:33418/callback"

// Connect connects the official Go SDK client to an MCP server. Without a token
// it signs in by OAuth as any MCP client does, with agree in the place of the
// person. protocolVersion chooses the era; "" is the newest.
func Connect(ctx context.Context, endpoint, token, protocolVersion string) (*mcp.ClientSession, error) {
	transport := &mcp.StreamableClientTransport{Endpoint: endpoint, MaxRetries: -1, DisableStandaloneSSE: true}
	if token != "" {
		transport.HTTPClient = &http.Client{Transport: bearer{token}}
	} else {
		handler, err := newSignIn(nil)
		if err != nil {
			return nil, err
		}
		transport.OAuthHandler = handler
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "demo", Version: "1"}, nil)
	return client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: protocolVersion})
}

func newSignIn(tick []string) (*auth.AuthorizationCodeHandler, error) {
	return auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		RedirectURL:              redirectURL,
		AuthorizationCodeFetcher: agree(tick),
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName:              "demo",
			RedirectURIs:            []string{redirectURL},
			TokenEndpointAuthMethod: "none",
		}},
	})
}

// SignIn signs in at an MCP server as Connect does, and returns the access token. The
// person ticks these scopes; none stands for those that are ticked by themselves.
func SignIn(ctx context.Context, endpoint string, tick ...string) (string, error) {
	handler, err := newSignIn(tick)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if err := handler.Authorize(ctx, req, resp); err != nil { // the answer is the challenge
		return "", err
	}
	source, err := handler.TokenSource(ctx)
	if err != nil {
		return "", err
	}
	token, err := source.Token()
	if err != nil {
		return "", err
	}
	return token.AccessToken, nil
}

// agree opens the authorization URL as a person's browser would: it agrees on
// the broker's consent page, if there is one, and the local Vouch takes its visit
// for a sign-in with the hardware key.
func agree(tick []string) auth.AuthorizationCodeFetcher {
	if tick == nil {
		tick = []string{"aws", "github", "ssh"}
	}
	return func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
		back, err := Browse(ctx, args.URL, redirectURL, url.Values{"decision": {"allow"}, "scope": tick})
		if err != nil {
			return nil, err
		}
		if e := back.Get("error"); e != "" {
			return nil, errors.New("the sign-in was refused: " + e)
		}
		return &auth.AuthorizationResult{Code: back.Get("code"), State: back.Get("state"), Iss: back.Get("iss")}, nil
	}
}

// maxPages bounds a sign-in: consent, Vouch, callback and what may come between.
const maxPages = 10

var hiddenField = regexp.MustCompile(`<input type="hidden" name="request" value="([^"]+)">`)

// Browse is BrowseIn for a browser that was never here.
func Browse(ctx context.Context, address, end string, answer url.Values) (url.Values, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	return BrowseIn(ctx, jar, address, end, answer)
}

// BrowseIn plays a browser with cookies: from address on it follows redirects, and
// sends the form of the consent page with answer, until it is sent to end. It
// returns the query that it was sent there with.
func BrowseIn(ctx context.Context, jar http.CookieJar, address, end string, answer url.Values) (query url.Values, err error) {
	err = walk(ctx, jar, address, answer, func(next *url.URL, _ []byte) bool {
		arrived := next != nil && strings.HasPrefix(next.String(), end+"?")
		if arrived {
			query = next.Query()
		}
		return arrived
	})
	return query, err
}

var approvalCode = regexp.MustCompile(`<pre class="code">([A-Z2-7-]+)</pre>`)

// Touch is TouchIn for a browser that was never here.
func Touch(ctx context.Context, link string) (code string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	return TouchIn(ctx, jar, link)
}

// TouchIn plays the person at the link of an approval, in a browser with cookies, up to
// the code.
func TouchIn(ctx context.Context, jar http.CookieJar, link string) (code string, err error) {
	err = walk(ctx, jar, link, url.Values{"decision": {"allow"}}, func(_ *url.URL, page []byte) bool {
		found := approvalCode.FindSubmatch(page)
		if found != nil {
			code = string(found[1])
		}
		return found != nil
	})
	return code, err
}

// walk goes from page to page until it has arrived: where a redirect leads to, or on
// a page.
func walk(ctx context.Context, jar http.CookieJar, address string, answer url.Values, arrived func(next *url.URL, page []byte) bool) error {
	browser := http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	for range maxPages {
		resp, err := browser.Do(req)
		if err != nil {
			return err
		}
		page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		resp.Body.Close()
		if err != nil {
			return err
		}
		next, err := resp.Location()
		if err != nil {
			next = nil
		}
		if arrived(next, page) {
			return nil
		}
		if next != nil {
			if req, err = http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil); err != nil {
				return err
			}
			continue
		}
		field := hiddenField.FindSubmatch(page)
		if resp.StatusCode != http.StatusOK || field == nil {
			return fmt.Errorf("the way ended with status %d at %s", resp.StatusCode, req.URL.Path)
		}
		form := url.Values{"request": {html.UnescapeString(string(field[1]))}}
		maps.Copy(form, answer)
		here := *req.URL
		if req, err = http.NewRequestWithContext(ctx, http.MethodPost, here.Scheme+"://"+here.Host+here.Path, strings.NewReader(form.Encode())); err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", here.Scheme+"://"+here.Host)
	}
	return errors.New("the way went round in circles")
}

// bearer adds a token to each request.
type bearer struct{ token string }

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}
