package broker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"mcp-credential-broker/broker/github"
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

// getGitHubToken has Vouch mint a token of its GitHub App's installation.
func (b *Broker) getGitHubToken(ctx context.Context, c *call) (any, error) {
	owner, err := c.text("owner")
	if err != nil {
		return nil, err
	}
	repositories, err := c.texts("repositories")
	if err != nil {
		return nil, err
	}
	owner, repositories, err = github.ParseRepositories(owner, repositories)
	if err != nil {
		return nil, inputOf(err)
	}
	c.record.Target.Owner, c.record.Target.Repositories = owner, repositories
	var got *vouch.InstallationToken
	err = c.hop(ctx, hopVouch, true, func(ctx context.Context) (err error) {
		got, err = b.vouch.GitHubToken(ctx, c.visit.auth, vouch.GitHubRequest{Owner: owner, Repositories: repositories})
		return err
	})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(got.Token.Reveal()))
	c.record.Issued = &issued{TokenSHA256: hex.EncodeToString(sum[:])}
	return githubToken{got.Token.Reveal(), got.ExpiresAt, got.ExpiresIn, got.Permissions, got.Repositories}, nil
}
