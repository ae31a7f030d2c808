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
	if r.Header.Get("Authorization") != "" {
		if _, refused := v.authenticate(r); refused != nil {
			v.challenge(w, *refused)
			writeJSON(w, http.StatusUnauthorized, oauthError{Code: "invalid_token", Description: refused.Message})
			return
		}
	}
	m, refused := v.readRegistration(r)
	if refused != nil {
		v.refuseOAuth(w, refused)
		return
	}
	now := v.now()
	c := &client{issued: now}
	c.id = newUUID(now)
	v.adopt(c, m)
	v.mu.Lock()
	v.clients[c.id] = c
	v.mu.Unlock()
	writeJSON(w, http.StatusCreated, v.describe(c))
}

// serveRegistration reads or replaces a registration (RFC 7592).
func (v *Vouch) serveRegistration(w http.ResponseWriter, r *http.Request) {
	presented := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	c := v.client(r.PathValue("id"))
	if c == nil || c.registrationToken == "" || c.registrationToken != presented {
		v.voidRegistrationToken(presented)
		v.refuseRegistrationToken(w)
		return
	}
	switch r.Method {
	case http.MethodGet:
		writeJSON(w, http.StatusOK, v.describe(c))
	case http.MethodPut:
		m, refused := v.readReplacement(r, c)
		if refused != nil {
			v.refuseOAuth(w, refused)
			return
		}
		next := *c
		v.adopt(&next, m)
		if !v.replaceClient(c, &next) {
			v.refuseRegistrationToken(w)
			return
		}
		writeJSON(w, http.StatusOK, v.describe(&next))
	}
}

func (v *Vouch) refuseRegistrationToken(w http.ResponseWriter) {
	const why = "the registration access token is not valid"
	v.challenge(w, apiError{Code: "invalid_token", Message: why})
	writeJSON(w, http.StatusUnauthorized, oauthError{Code: "invalid_token", Description: why})
}

// replaceClient puts next in the place of c. It fails when another request was
// faster: the token of that c is dead.
func (v *Vouch) replaceClient(c, next *client) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.clients[c.id] != c {
		return false
	}
	v.clients[c.id] = next
	return true
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
	c.registrationToken = newSecret()
	switch {
	case m.AuthMethod == authNone, m.AuthMethod == authPrivateKey:
		c.secret = ""
	case c.secret == "":
		c.secret = secretPrefix + newSecret()
	}
}

func (v *Vouch) describe(c *client) registered {
	answer := registered{
		ClientID: c.id, IssuedAt: c.issued.Unix(), RegistrationToken: c.registrationToken,
		RegistrationURI: v.options.Issuer + "/oauth/register/" + c.id, registration: c.metadata,
	}
	if c.secret != "" {
		answer.Secret, answer.SecretExpiresAt = c.secret, new(int64) // 0: never
	}
	return answer
}

func (v *Vouch) readRegistration(r *http.Request) (registration, *oauthError) {
	var m registration
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != contentTypeJSON {
		return m, &oauthError{http.StatusUnsupportedMediaType, "invalid_client_metadata", "the body must be JSON"}
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || json.Unmarshal(body, &m) != nil {
		return m, badRequest("invalid_client_metadata", "the body is not client metadata")
	}
	if bytes.Contains(body, []byte(`\u0000`)) || bytes.IndexByte(body, 0) >= 0 {
		return m, badRequest("invalid_client_metadata", "NUL is not allowed")
	}
	fillRegistration(&m)
	return m, v.checkRegistration(&m)
}

// readReplacement reads metadata that shall take the place of a client's. A
// replacement names the client, and leaves out what the server alone decides
// (RFC 7592 section 2.2).
func (v *Vouch) readReplacement(r *http.Request, c *client) (registration, *oauthError) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return registration{}, badRequest("invalid_client_metadata", "the body could not be read")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	m, refused := v.readRegistration(r)
	if refused != nil || !v.latest() {
		return m, refused
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal(body, &members) // it was an object a moment ago
	for _, name := range []string{
		"registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at",
	} {
		if members[name] != nil {
			return m, badRequest("invalid_client_metadata", name+" is not for the client to set")
		}
	}
	var id string
	if !member(members, "client_id", &id) || id != c.id {
		return m, badRequest("invalid_client_metadata", "client_id is missing or another client's")
	}
	return m, nil
}
