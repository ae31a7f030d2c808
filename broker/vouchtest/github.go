package vouchtest

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	installationTokenLifetime = time.Hour
	maxTokenRepositories      = 500
)

// GitHub is the state of Vouch's GitHub App. Its zero value is an app that no
// organisation has installed.
type GitHub struct {
	// NotConfigured is a Vouch without a GitHub App.
	NotConfigured bool
	// NoOrganization is a person who belongs to no organisation.
	NoOrganization bool
	Installations  []Installation
}

// An Installation is a GitHub account that installed the app.
type Installation struct {
	Login string
	// AccountType is "Organization" (also when empty) or "User".
	AccountType string
	Suspended   bool
	// Repositories are bare names.
	Repositories []string
}

// DefaultGitHub returns the app with one installation, in acme.
func DefaultGitHub() GitHub {
	return GitHub{Installations: []Installation{{
		Login: "acme", Repositories: []string{"api", "web", "infra.tools"},
	}}}
}

// githubToken serves POST /v1/credentials/github/token.
func (v *Vouch) githubToken(w http.ResponseWriter, r *http.Request, c call) {
	members, ok := readJSON(w, r, c.body)
	if !ok {
		return
	}
	var owner *string
	var repositories []string
	if !member(members, "owner", &owner) || !member(members, "repositories", &repositories) {
		refuseShape(w)
		return
	}
	installation, refused := v.github.choose(owner, repositories)
	if refused != nil {
		v.refuse(w, *refused)
		return
	}
	names, ok := installation.find(repositories)
	if !ok {
		v.refuse(w, apiError{http.StatusBadGateway, "github_error", "GitHub refused the request"})
		return
	}
	answer := map[string]any{
		"token":       newInstallationToken(),
		"expires_at":  v.now().Add(installationTokenLifetime).UTC().Format(time.RFC3339),
		"expires_in":  int64(installationTokenLifetime.Seconds()),
		"permissions": map[string]string{"contents": "write", "metadata": "read"},
	}
	if len(names) > 0 {
		answer["repositories"] = names
	}
	writeJSON(w, http.StatusOK, answer)
}

// choose finds the installation the way Vouch does: by owner, else by what
// stands before the slash of the first repository, else the only one there is.
// A bare name without an owner is so mistaken for an owner.
func (g *GitHub) choose(owner *string, repositories []string) (*Installation, *apiError) {
	switch {
	case g.NotConfigured:
		return nil, &apiError{http.StatusServiceUnavailable, "github_not_configured", "the GitHub App is not configured"}
	case g.NoOrganization:
		return nil, &apiError{http.StatusForbidden, "org_required", "only members of an organisation can get GitHub tokens"}
	}
	login := ""
	switch {
	case owner != nil:
		login = *owner
	case len(repositories) > 0:
		login, _, _ = strings.Cut(repositories[0], "/")
	case len(g.Installations) == 1:
		login = g.Installations[0].Login
	case len(g.Installations) > 1:
		return nil, &apiError{http.StatusBadRequest, "owner_required", "owner must be one of: " + strings.Join(g.logins(), ", ")}
	}
	at := slices.IndexFunc(g.Installations, func(i Installation) bool { return strings.EqualFold(i.Login, login) })
	switch {
	case at < 0:
		return nil, &apiError{http.StatusNotFound, "github_not_connected", "the GitHub account is not connected"}
	case g.Installations[at].Suspended:
		return nil, &apiError{http.StatusForbidden, "installation_suspended", "the GitHub App installation is suspended"}
	}
	return &g.Installations[at], nil
}

func (g *GitHub) logins() []string {
	var logins []string
	for _, i := range g.Installations {
		logins = append(logins, i.Login)
	}
	return logins
}

// find returns the full names of repositories, in GitHub's spelling. GitHub
// knows bare names only, so that "owner/name" is not found.
func (i *Installation) find(asked []string) ([]string, bool) {
	if len(asked) > maxTokenRepositories {
		return nil, false
	}
	var names []string
	for _, name := range asked {
		at := slices.IndexFunc(i.Repositories, func(have string) bool { return strings.EqualFold(have, name) })
		if at < 0 {
			return nil, false
		}
		names = append(names, i.Login+"/"+i.Repositories[at])
	}
	return names, true
}

// newInstallationToken returns a token of the long form that GitHub issues
// since 2026, which is no longer 40 characters of letters and digits.
func newInstallationToken() string {
	part := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString(rand.Text())
		}
		return b.String()
	}
	return "ghs_1234567_" + part(2) + "." + part(14) + "." + part(3)
}

// serveGitHubStatus serves GET /v1/credentials/github/status, which wants a
// token but neither signature nor hardware.
func (v *Vouch) serveGitHubStatus(w http.ResponseWriter, r *http.Request) {
	if _, refused := v.authenticate(r); refused != nil {
		v.refuse(w, *refused)
		return
	}
	accounts := []map[string]any{}
	if !v.github.NotConfigured && !v.github.NoOrganization {
		for _, i := range v.github.Installations {
			kind := i.AccountType
			if kind == "" {
				kind = "Organization"
			}
			accounts = append(accounts, map[string]any{
				"login": i.Login, "account_type": kind, "suspended": i.Suspended,
				"repository_selection": "selected", "repositories": i.Repositories,
			})
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"configured": !v.github.NotConfigured, "connected": len(accounts) > 0, "github_accounts": accounts,
	})
}
