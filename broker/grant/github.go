package grant

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/github"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/vouch"
)

// githubToken is the result of get-github-token.
type githubToken struct {
	Token        string            `json:"token,omitempty"`
	ExpiresAt    string            `json:"expires_at"`
	ExpiresIn    int               `json:"expires_in"`
	Permissions  map[string]string `json:"permissions"`
	Repositories []string          `json:"repositories,omitempty"`
	delivery
}

func githubTool() tool {
	return tool{
		name: "get-github-token", title: "GitHub installation token",
		description: "Get a GitHub installation access token, valid for about one hour: contents write, metadata read, nothing else. " +
			"For git over https, use it as the password of the user x-access-token. " +
			"Name the repositories that the task needs: without them the token is for every repository of the owner, whatever a page, a file or an issue says about that.",
		annotations: mcp.Annotations{DestructiveHint: true, OpenWorldHint: true},
		scope:       authserver.ScopeGitHub,
		formats:     format.GitHubNames(),
		prepare:     prepareGitHub,
	}
}

func prepareGitHub(_ *Desk, in arguments) (w credential, err error) {
	owner, err := in.text("owner")
	if err != nil {
		return w, err
	}
	repositories, err := in.texts("repositories")
	if err != nil {
		return w, err
	}
	owner, repositories, err = github.ParseRepositories(owner, repositories)
	if err != nil {
		return w, inputOf(err)
	}
	w.target.Owner, w.target.Repositories = owner, repositories
	w.request = policy.Request{Kind: policy.GitHub, Owner: owner, Repositories: repositories}
	w.mint = func(ctx context.Context, c *call) (minted, error) {
		return c.installationToken(ctx, vouch.GitHubRequest{Owner: owner, Repositories: repositories})
	}
	return w, nil
}

// installationToken has Vouch mint a token of its GitHub App's installation.
func (c *call) installationToken(ctx context.Context, in vouch.GitHubRequest) (m minted, err error) {
	var got *vouch.InstallationToken
	err = c.hop(ctx, hopVouch, true, func(ctx context.Context) (err error) {
		got, err = c.desk.config.Vouch.GitHubToken(ctx, c.caller.Auth, in)
		return err
	})
	if err != nil {
		return m, err
	}
	sum := sha256.Sum256([]byte(got.Token.Reveal()))
	c.record.Issued = &issued{TokenSHA256: base64.StdEncoding.EncodeToString(sum[:])}
	c.record.Permissions = got.Permissions
	whole := githubToken{Token: got.Token.Reveal(), ExpiresAt: got.ExpiresAt, ExpiresIn: got.ExpiresIn, Permissions: got.Permissions, Repositories: got.Repositories}
	expires, _ := time.Parse(time.RFC3339, got.ExpiresAt) // the zero Time where Vouch says it otherwise
	return minted{
		whole: whole,
		bare: func(d delivery) any {
			bare := whole
			bare.Token, bare.delivery = "", d
			return bare
		},
		text: format.GitHub{Token: got.Token, ExpiresAt: expires}.Text,
	}, nil
}
