package vouchtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	minVerifierBytes = 43
	maxVerifierBytes = 128
)

// granted is a successful answer of the token endpoint (RFC 6749 section 5.1).
type granted struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope,omitempty"`
	IDToken     string `json:"id_token,omitempty"`
}

func (v *Vouch) serveToken(w http.ResponseWriter, r *http.Request) {
	answer, refused := v.exchange(r)
	if refused != nil {
		writeOAuthError(w, refused)
		return
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, answer)
}

func (v *Vouch) exchange(r *http.Request) (*granted, *oauthError) {
	form, refused := readForm(r)
	if refused != nil {
		return nil, refused
	}
	c, refused := v.authenticateClient(r, form)
	if refused != nil {
		return nil, refused
	}
	switch form.Get("grant_type") {
	case "":
		return nil, badRequest("invalid_request", "grant_type is missing")
	case grantCode:
	default:
		return nil, badRequest("unsupported_grant_type", "only authorization_code is supported")
	}
	if !slices.Contains(c.metadata.GrantTypes, grantCode) {
		return nil, badRequest("unauthorized_client", "the grant is not registered")
	}
	g, refused := v.redeem(c, form)
	if refused != nil {
		return nil, refused
	}
	return v.issue(c, g)
}

// redeem spends an authorization code (RFC 6749 section 4.1.3).
func (v *Vouch) redeem(c *client, form url.Values) (*code, *oauthError) {
	invalid := badRequest("invalid_grant", "the code is not valid")
	verifier := form.Get("code_verifier")
	switch {
	case form.Get("code") == "" || form.Get("redirect_uri") == "" || verifier == "":
		return nil, badRequest("invalid_request", "code, redirect_uri or code_verifier is missing")
	case len(verifier) < minVerifierBytes || len(verifier) > maxVerifierBytes || !isUnreserved(verifier):
		return nil, badRequest("invalid_request", "the code verifier is malformed")
	}
	g, replayed := v.spend(form.Get("code"), c.ID)
	if replayed {
		// Two holders of one code: one of them stole it, so neither may go on.
		v.endSessionsOf(g.id)
		return nil, invalid
	}
	if g == nil || !v.options.Now().Before(g.expires) || g.redirectURI != form.Get("redirect_uri") {
		return nil, invalid
	}
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(challenge), []byte(g.challenge)) != 1 {
		return nil, invalid
	}
	if resource := form.Get("resource"); resource != "" {
		if audience, ok := normalizeResource(resource); !ok || audience != g.audience {
			return nil, badRequest("invalid_target", "the resource is not the one of the authorization request")
		}
	}
	return g, nil
}

// spend marks a code as used by its client; even a failed attempt uses it up.
// Another client's code looks unknown and stays good.
func (v *Vouch) spend(text, clientID string) (g *code, replayed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	g = v.codes[digestOf(text)]
	if g == nil || g.clientID != clientID {
		return nil, false
	}
	replayed = g.spent
	g.spent = true
	return g, replayed
}

func (v *Vouch) issue(c *client, g *code) (*granted, *oauthError) {
	failed := &oauthError{http.StatusInternalServerError, "server_error", "the token could not be made"}
	token, err := v.mintAccess(TokenOptions{ClientID: c.ID, Audience: g.audience, Scope: g.scope}, g.authTime, g.id)
	if err != nil {
		return nil, failed
	}
	answer := &granted{
		AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(v.lifetime.Seconds()), Scope: g.scope,
	}
	if slices.Contains(strings.Fields(g.scope), "openid") {
		if answer.IDToken, err = v.idToken(c, g, token); err != nil {
			return nil, failed
		}
	}
	return answer, nil
}

// serveRevoke ends a token of the asking client (RFC 7009). A token that is not
// its own looks unknown, and unknown tokens are fine.
func (v *Vouch) serveRevoke(w http.ResponseWriter, r *http.Request) {
	form, refused := readForm(r)
	var c *client
	if refused == nil {
		c, refused = v.authenticateClient(r, form)
	}
	if refused == nil && form.Get("token") == "" {
		refused = badRequest("invalid_request", "token is missing")
	}
	if refused != nil {
		writeOAuthError(w, refused)
		return
	}
	v.endSession(form.Get("token"), c.ID)
	w.WriteHeader(http.StatusOK)
}

// serveUserInfo is the UserInfo endpoint of OpenID Connect Core section 5.3.
func (v *Vouch) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	claims, refused := v.authenticate(r)
	if refused != nil {
		v.challenge(w, *refused)
		writeJSON(w, refused.Status, oauthError{Code: refused.Code, Description: refused.Message})
		return
	}
	info := map[string]any{"sub": claims.Subject}
	if slices.Contains(strings.Fields(claims.Scope), "email") {
		info["email"], info["email_verified"] = v.options.Person.Email, true
	}
	writeJSON(w, http.StatusOK, info)
}

// readForm reads a form body. Empty values count as left out; a repeated
// parameter is refused, since two readers might see two values.
func readForm(r *http.Request) (url.Values, *oauthError) {
	if media, _, err := mime.ParseMediaType(r.Header.Get(contentTypeField)); err != nil || media != contentTypeForm {
		return nil, &oauthError{http.StatusUnsupportedMediaType, "invalid_request", "the body must be a form"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, badRequest("invalid_request", "the body could not be read")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("invalid_request", "the body is not a form")
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, badRequest("invalid_request", "a parameter is repeated")
		}
	}
	for name, limit := range map[string]int{"client_id": 256, "scope": maxScopeBytes, "redirect_uri": maxURIBytes, "resource": maxURIBytes} {
		if len(form.Get(name)) > limit {
			return nil, badRequest("invalid_request", name+" is too long")
		}
	}
	return form, nil
}
