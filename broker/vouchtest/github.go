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

// installedOn is the one account that installed Vouch's GitHub App.
const installedOn = "acme"

// installedRepositories are the bare names of its repositories.
func installedRepositories() []string { return []string{"api", "web", "infra.tools"} }

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
	if !isInstalled(owner, repositories) {
		v.refuse(w, apiError{http.StatusNotFound, "github_not_connected", "the GitHub account is not connected"})
		return
	}
	names, ok := findRepositories(repositories)
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

// isInstalled looks for the installation the way Vouch does: by owner, else by what
// stands before the slash of the first repository, else it takes the only one there
// is. A bare name without an owner is so mistaken for an owner.
func isInstalled(owner *string, repositories []string) bool {
	login := installedOn
	switch {
	case owner != nil:
		login = *owner
	case len(repositories) > 0:
		login, _, _ = strings.Cut(repositories[0], "/")
	}
	return strings.EqualFold(login, installedOn)
}

// findRepositories returns the full names of repositories, in GitHub's spelling.
// GitHub knows bare names only, so that "owner/name" is not found.
func findRepositories(asked []string) ([]string, bool) {
	if len(asked) > maxTokenRepositories {
		return nil, false
	}
	var names []string
	for _, name := range asked {
		at := slices.IndexFunc(installedRepositories(), func(have string) bool { return strings.EqualFold(have, name) })
		if at < 0 {
			return nil, false
		}
		names = append(names, installedOn+"/"+installedRepositories()[at])
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
