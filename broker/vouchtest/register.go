package vouchtest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
)

const secretPrefix = "vouch_"

// registered is the answer to a registration (RFC 7591 section 3.2.1).
type registered struct {
	ClientID          string `json:"client_id"`
	IssuedAt          int64  `json:"client_id_issued_at"`
	RegistrationToken string `json:"registration_access_token"`
	RegistrationURI   string `json:"registration_client_uri"`
	Secret            string `json:"client_secret,omitempty"`
	SecretExpiresAt   *int64 `json:"client_secret_expires_at,omitempty"`
	registration
}

func (v *Vouch) serveRegister(w http.ResponseWriter, r *http.Request) {
	// Registration is open, but a token that is sent must be good: a client
	// must not end up ownerless because its owner's session ran out.
	if auth := r.Header.Get("Authorization"); auth != "" {
		if _, refused := v.check(strings.TrimPrefix(auth, "Bearer ")); refused != nil {
			v.challenge(w, *refused)
			writeJSON(w, http.StatusUnauthorized, oauthError{Code: "invalid_token", Description: refused.Message})
			return
		}
	}
	m, refused := v.readRegistration(r)
	if refused != nil {
		writeOAuthError(w, refused)
		return
	}
	now := v.options.Now()
	c := &client{issued: now}
	c.ID = newUUID(now)
	v.adopt(c, m)
	v.mu.Lock()
	v.clients[c.ID] = c
	v.mu.Unlock()
	writeJSON(w, http.StatusCreated, v.describe(c))
}

// serveRegistration reads, replaces or deletes a registration (RFC 7592).
func (v *Vouch) serveRegistration(w http.ResponseWriter, r *http.Request) {
	presented := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	c := v.client(r.PathValue("id"))
	if c == nil || c.registrationToken == "" || c.registrationToken != presented {
		v.voidRegistrationToken(presented)
		v.challenge(w, apiError{Code: "invalid_token", Message: "the registration access token is not valid"})
		writeJSON(w, http.StatusUnauthorized, oauthError{Code: "invalid_token", Description: "the registration access token is not valid"})
		return
	}
	switch r.Method {
	case http.MethodGet:
		writeJSON(w, http.StatusOK, v.describe(c))
	case http.MethodDelete:
		v.mu.Lock()
		delete(v.clients, c.ID)
		v.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case http.MethodPut:
		m, refused := v.readRegistration(r)
		if refused != nil {
			writeOAuthError(w, refused)
			return
		}
		// Clients are replaced, never changed: others may be reading this one.
		next := *c
		v.adopt(&next, m)
		v.mu.Lock()
		v.clients[c.ID] = &next
		v.mu.Unlock()
		writeJSON(w, http.StatusOK, v.describe(&next))
	}
}

// voidRegistrationToken ends a registration token that was used for another
// client: it has leaked, or its holder is guessing.
func (v *Vouch) voidRegistrationToken(token string) {
	if token == "" {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for id, c := range v.clients {
		if c.registrationToken == token {
			next := *c
			next.registrationToken = newSecret()
			v.clients[id] = &next
		}
	}
}

// adopt gives a client its metadata, a fresh registration token and, when it
// authenticates with one, a secret.
func (v *Vouch) adopt(c *client, m registration) {
	c.metadata = m
	c.idTokenAlg = m.IDTokenAlg
	c.RedirectURIs = m.RedirectURIs
	c.registrationToken = newSecret()
	switch {
	case m.AuthMethod == authNone:
		c.Secret = ""
	case c.Secret == "":
		c.Secret = secretPrefix + newSecret()
	}
}

func (v *Vouch) describe(c *client) registered {
	answer := registered{
		ClientID: c.ID, IssuedAt: c.issued.Unix(), RegistrationToken: c.registrationToken,
		RegistrationURI: v.options.Issuer + "/oauth/register/" + c.ID, registration: c.metadata,
	}
	if c.Secret != "" {
		answer.Secret, answer.SecretExpiresAt = c.Secret, new(int64) // 0: never
	}
	return answer
}

func (v *Vouch) readRegistration(r *http.Request) (registration, *oauthError) {
	var m registration
	if media, _, err := mime.ParseMediaType(r.Header.Get(contentTypeField)); err != nil || media != contentTypeJSON {
		return m, &oauthError{http.StatusUnsupportedMediaType, "invalid_client_metadata", "the body must be JSON"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &m) != nil {
		return m, badRequest("invalid_client_metadata", "the body is not client metadata")
	}
	if bytes.Contains(body, []byte(`\u0000`)) || bytes.IndexByte(body, 0) >= 0 {
		return m, badRequest("invalid_client_metadata", "NUL is not allowed")
	}
	v.fillRegistration(&m)
	return m, v.checkRegistration(&m)
}
