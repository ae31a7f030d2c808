package vouchtest

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const (
	grantCode = "authorization_code"

	authNone  = "none"
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
)

var errClient = errors.New("client is not usable")

// A Client is an OAuth client that the server knows from the start, as one made
// by an administrator.
type Client struct {
	ID           string
	RedirectURIs []string
	// JWKS is the JWK set of public keys of a FAPI 2.0 client: private_key_jwt,
	// pushed requests, tokens bound to its key. Nil makes it a public client.
	JWKS json.RawMessage
}

// client is a registered client. It is replaced, never changed.
type client struct {
	id, secret        string
	metadata          registration
	registrationToken string // empty for one that an administrator made
	issued            time.Time
}

// fapi reports whether this is a FAPI 2.0 client.
func (c *client) fapi() bool { return c.metadata.DPoPBound }

// AddClient registers a client.
func (v *Vouch) AddClient(c Client) error {
	m := registration{RedirectURIs: c.RedirectURIs, JWKS: c.JWKS, AuthMethod: authNone}
	if c.JWKS != nil {
		m.AuthMethod, m.DPoPBound = authPrivateKey, true
	}
	fillRegistration(&m)
	if refused := v.checkRegistration(&m); refused != nil {
		return fmt.Errorf("%w: %s", errClient, refused.Description)
	}
	if c.ID == "" {
		return fmt.Errorf("%w: no id", errClient)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.clients[c.ID] != nil {
		return fmt.Errorf("%w: the id is taken", errClient)
	}
	v.clients[c.ID] = &client{id: c.ID, metadata: m, issued: v.now()}
	return nil
}

func (v *Vouch) client(id string) *client {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.clients[id]
}

// authenticateClient finds the client of a request, by the method that it
// registered and by no other (RFC 6749 section 2.3).
func (v *Vouch) authenticateClient(r *http.Request, form url.Values) (*client, *oauthError) {
	invalid := &oauthError{http.StatusUnauthorized, "invalid_client", "client authentication failed"}
	if v.latest() && (form.Has("client_assertion") || form.Has("client_assertion_type")) {
		// Two ways at once may prove two clients (RFC 6749 section 2.3).
		if form.Has("client_secret") || r.Header.Get("Authorization") != "" {
			return nil, invalid
		}
		if c := v.authenticateByAssertion(form); c != nil {
			return c, nil
		}
		return nil, invalid
	}
	id, secret := form.Get("client_id"), form.Get("client_secret")
	method := authNone
	if secret != "" {
		method = authPost
	}
	if r.Header.Get("Authorization") != "" {
		user, password, ok := r.BasicAuth()
		basicID, err1 := url.QueryUnescape(user)
		basicSecret, err2 := url.QueryUnescape(password)
		if !ok || err1 != nil || err2 != nil || secret != "" || id != "" && id != basicID {
			return nil, invalid
		}
		id, secret, method = basicID, basicSecret, authBasic
	}
	c := v.client(id)
	if c == nil || method != c.metadata.AuthMethod ||
		subtle.ConstantTimeCompare([]byte(secret), []byte(c.secret)) != 1 {
		return nil, invalid
	}
	return c, nil
}
