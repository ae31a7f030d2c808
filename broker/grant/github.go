package grant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/github"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/vouch"
)

// githubToken is the result of get-github-token.
type githubToken struct {
	Token        string            `json:"token"`
	ExpiresAt    string            `json:"expires_at"`
	ExpiresIn    int               `json:"expires_in"`
	Permissions  map[string]string `json:"permissions"`
	Repositories []string          `json:"repositories,omitempty"`
}

func githubTool() tool {
	return tool{
		name: "get-github-token", title: "GitHub installation token",
		description: "Get a GitHub installation access token, valid for about one hour. " +
			"For git over https, use it as the password of the user x-access-token.",
		annotations: mcp.Annotations{OpenWorldHint: true},
		scope:       authserver.ScopeGitHub,
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
	w.mint = func(ctx context.Context, c *call) (any, error) {
		return c.installationToken(ctx, vouch.GitHubRequest{Owner: owner, Repositories: repositories})
	}
	return w, nil
}

// installationToken has Vouch mint a token of its GitHub App's installation.
func (c *call) installationToken(ctx context.Context, in vouch.GitHubRequest) (any, error) {
	var got *vouch.InstallationToken
	err := c.hop(ctx, hopVouch, true, func(ctx context.Context) (err error) {
		got, err = c.desk.config.Vouch.GitHubToken(ctx, c.caller.Auth, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(got.Token.Reveal()))
	c.record.Issued = &issued{TokenSHA256: hex.EncodeToString(sum[:])}
	return githubToken{got.Token.Reveal(), got.ExpiresAt, got.ExpiresIn, got.Permissions, got.Repositories}, nil
}
