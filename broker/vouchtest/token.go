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

// clientRequest is a request to the token or PAR endpoint whose client has
// proven itself.
type clientRequest struct {
	client *client
	form   url.Values
	// thumbprint of the DPoP key, empty without a proof.
	thumbprint string
}

// readClientRequest reads a request. The proof comes before the client: the
// round that only fetches a nonce must not spend the client assertion.
func (v *Vouch) readClientRequest(r *http.Request) (*clientRequest, *oauthError) {
	form, refused := readForm(r)
	if refused != nil {
		return nil, refused
	}
	request := &clientRequest{form: form}
	if v.latest() && len(r.Header.Values("DPoP")) > 0 {
		p, err := v.verifyProof(r, "")
		if err != nil {
			return nil, badRequest(proofCode(err), "the DPoP proof could not be verified")
		}
		request.thumbprint = p.thumbprint
	}
	if request.client, refused = v.authenticateClient(r, form); refused != nil {
		return nil, refused
	}
	if request.client.fapi() && request.thumbprint == "" {
		return nil, badRequest("invalid_request", "this client needs a DPoP proof")
	}
	return request, nil
}

func (v *Vouch) serveToken(w http.ResponseWriter, r *http.Request) {
	request, refused := v.readClientRequest(r)
	var answer *granted
	if refused == nil {
		answer, refused = v.token(request)
	}
	if refused != nil {
		v.refuseOAuth(w, refused)
		return
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, answer)
}

func (v *Vouch) token(request *clientRequest) (*granted, *oauthError) {
	grant := request.form.Get("grant_type")
	switch {
	case grant == "":
		return nil, badRequest("invalid_request", "grant_type is missing")
	case grant != grantCode:
		return nil, badRequest("unsupported_grant_type", "the grant is not supported")
	case !slices.Contains(request.client.metadata.GrantTypes, grant):
		return nil, badRequest("unauthorized_client", "the grant is not registered")
	}
	g, refused := v.redeem(request)
	if refused != nil {
		return nil, refused
	}
	return v.issue(request, g)
}

// redeem spends an authorization code (RFC 6749 section 4.1.3).
func (v *Vouch) redeem(request *clientRequest) (*code, *oauthError) {
	form := request.form
	invalid := badRequest("invalid_grant", "the code is not valid")
	verifier := form.Get("code_verifier")
	switch {
	case form.Get("code") == "" || form.Get("redirect_uri") == "" || verifier == "":
		return nil, badRequest("invalid_request", "code, redirect_uri or code_verifier is missing")
	case len(verifier) < minVerifierBytes || len(verifier) > maxVerifierBytes || !isUnreserved(verifier):
		return nil, badRequest("invalid_request", "the code verifier is malformed")
	}
	g, replayed := v.spend(form.Get("code"), request.client.id)
	if replayed {
		// Two holders of one code: one of them stole it, so neither may go on.
		v.endSessionsOf(g.id)
		return nil, invalid
	}
	if g == nil || !v.now().Before(g.expires) || g.redirectURI != form.Get("redirect_uri") {
		return nil, invalid
	}
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(challenge), []byte(g.challenge)) != 1 {
		return nil, invalid
	}
	if g.thumbprint != "" && g.thumbprint != request.thumbprint {
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

func (v *Vouch) issue(request *clientRequest, g *code) (*granted, *oauthError) {
	failed := &oauthError{http.StatusInternalServerError, "server_error", "the token could not be made"}
	o := TokenOptions{
		ClientID: request.client.id, Audience: g.audience, Scope: g.scope, Confirmation: confirmation(request.thumbprint),
	}
	token, err := v.mintAccess(o, g.authTime, g.id)
	if err != nil {
		return nil, failed
	}
	answer := &granted{
		AccessToken: token, TokenType: tokenType(request.thumbprint), ExpiresIn: int64(sessionLife.Seconds()), Scope: g.scope,
	}
	if slices.Contains(strings.Fields(g.scope), "openid") {
		if answer.IDToken, err = v.idToken(request.client, g, token); err != nil {
			return nil, failed
		}
	}
	return answer, nil
}

// confirmation returns the cnf claim of a token (RFC 9449 section 6.1), nil for
// a token that is bound to no key.
func confirmation(thumbprint string) map[string]any {
	if thumbprint == "" {
		return nil
	}
	return map[string]any{"jkt": thumbprint}
}

func tokenType(thumbprint string) string {
	if thumbprint == "" {
		return "Bearer"
	}
	return "DPoP"
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
		v.refuseOAuth(w, refused)
		return
	}
	v.endSession(form.Get("token"), c.id)
	w.WriteHeader(http.StatusOK)
}

// readForm reads a form body. Empty values count as left out; a repeated
// parameter is refused, since two readers might see two values.
func readForm(r *http.Request) (url.Values, *oauthError) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != contentTypeForm {
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
	for name, values := range form {
		if len(values) > 1 {
			return nil, badRequest("invalid_request", "a parameter is repeated")
		}
		if values[0] == "" {
			delete(form, name)
		}
	}
	for name, limit := range map[string]int{"client_id": 256, "scope": maxScopeBytes, "redirect_uri": maxURIBytes, "resource": maxURIBytes} {
		if len(form.Get(name)) > limit {
			return nil, badRequest("invalid_request", name+" is too long")
		}
	}
	return form, nil
}
