package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

const (
	registerTimeout  = 30 * time.Second
	maxRegisterBytes = 64 << 10
	maxClientIDBytes = 256 // Vouch's own limit
	maxTokenBytes    = 4 << 10

	privateKeyJWT = "private_key_jwt"
)

// errToken says that the registration token is dead: each one lives until the
// next change.
var errToken = errors.New("Vouch does not take the registration token any more")

// metadata is what the broker registers (RFC 7591 section 2). A PUT replaces all
// of it, so each request carries the whole.
type metadata struct {
	// ClientID names the client in a PUT (RFC 7592 section 2.2).
	ClientID      string   `json:"client_id,omitempty"`
	ClientName    string   `json:"client_name"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	DPoPBound     bool     `json:"dpop_bound_access_tokens"`
	JWKS          struct {
		Keys []p256.JWK `json:"keys"`
	} `json:"jwks"`
}

func metadataOf(r Registration) (metadata, error) {
	keys, err := r.Keys()
	if err != nil {
		return metadata{}, err
	}
	origin := strings.TrimSuffix(r.Audience, "/mcp")
	m := metadata{
		ClientID:      r.ClientID,
		ClientName:    "MCP credential broker",
		RedirectURIs:  []string{origin + authserver.CallbackPath},
		GrantTypes:    []string{"authorization_code"},
		ResponseTypes: []string{"code"},
		AuthMethod:    privateKeyJWT,
		DPoPBound:     true,
	}
	for _, key := range keys {
		m.JWKS.Keys = append(m.JWKS.Keys, key.PublishedJWK())
	}
	return m, nil
}

// registered is the part of Vouch's answer that counts (RFC 7591 section 3.2.1).
type registered struct {
	ClientID   string `json:"client_id"`
	Token      kept   `json:"registration_access_token"`
	AuthMethod string `json:"token_endpoint_auth_method"`
	DPoPBound  bool   `json:"dpop_bound_access_tokens"`
}

// sendRegistration registers r at its Vouch, or replaces the registration when r
// has a client id already. The request, once it has left, is not given up when
// ctx ends: the answer to a PUT holds the only token for the next one.
//
// Errors are sentences for the person at the terminal. None of them quotes what
// Vouch wrote, an error code aside.
func sendRegistration(ctx context.Context, vouch upstream.Client, r Registration) (registered, error) {
	m, err := metadataOf(r)
	if err != nil {
		return registered{}, err
	}
	body, err := json.Marshal(m)
	if err != nil {
		return registered{}, err
	}
	request := upstream.Request{
		Method: http.MethodPost, URL: r.Issuer + "/oauth/register", Body: body,
		Header:  http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}},
		Timeout: registerTimeout, MaxBytes: maxRegisterBytes,
	}
	want := http.StatusCreated
	if r.ClientID != "" {
		// The address is made here and not taken from an answer, so that no answer
		// can send the token elsewhere.
		request.Method, want = http.MethodPut, http.StatusOK
		request.URL += "/" + url.PathEscape(r.ClientID)
		request.Header.Set("Authorization", "Bearer "+r.Token.Reveal())
	}
	if err := ctx.Err(); err != nil {
		return registered{}, err
	}
	response, err := vouch.Do(context.WithoutCancel(ctx), request)
	if err != nil {
		return registered{}, noAnswer(err)
	}
	if response.Status != want {
		if response.Status == http.StatusUnauthorized && r.ClientID != "" {
			return registered{}, errToken
		}
		return registered{}, refusal(response)
	}
	return readRegistered(response.Body, r)
}

// readRegistered reads Vouch's answer to the registration of r.
func readRegistered(body []byte, r Registration) (registered, error) {
	var answer registered
	if json.Unmarshal(body, &answer) != nil || !validClientID(answer.ClientID) ||
		r.ClientID != "" && answer.ClientID != r.ClientID {
		return registered{}, errors.New("Vouch's answer is not a registration: check VOUCH_ISSUER, then run this again")
	}
	if answer.Token.IsEmpty() {
		answer.Token = r.Token // a server need not issue a new one (RFC 7592 section 3)
	}
	if !validToken(answer.Token.String) {
		return registered{}, errors.New("Vouch's answer has no registration token: check VOUCH_ISSUER, then run this again")
	}
	return answer, nil
}

// checkRegistered tells when Vouch did not take the metadata as sent. A server
// may replace what it does not support (RFC 7591 section 2).
func checkRegistered(answer registered) error {
	if answer.AuthMethod == privateKeyJWT && answer.DPoPBound {
		return nil
	}
	return errors.New("this Vouch did not register a client with private_key_jwt and DPoP-bound tokens, which sign-in mode needs: " +
		"update Vouch to v2026.10.1 or newer, then run this again")
}

func noAnswer(err error) error {
	switch {
	case errors.Is(err, upstream.ErrRedirect):
		return errors.New("Vouch answered with a redirect, which is not followed: set VOUCH_ISSUER to the address where Vouch really is")
	case errors.Is(err, upstream.ErrTooLarge):
		return errors.New("Vouch's answer is too large to be a registration: check VOUCH_ISSUER, then run this again")
	case errors.Is(err, upstream.ErrTimeout):
		return errors.New("Vouch did not answer in time: run this again")
	}
	return fmt.Errorf("Vouch cannot be reached: check VOUCH_ISSUER and the network, then run this again (%w)", err)
}

func refusal(response *upstream.Response) error {
	switch status := response.Status; {
	case status == http.StatusTooManyRequests:
		seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
		if err != nil {
			return errors.New("Vouch limits registrations: run this again in a minute")
		}
		return fmt.Errorf("Vouch limits registrations: run this again in %d seconds", seconds)
	case status >= 500:
		return fmt.Errorf("Vouch has a fault of its own (status %d): run this again later", status)
	case status == http.StatusBadRequest:
		return fmt.Errorf("Vouch refused the registration%s: check VOUCH_AUDIENCE, and that Vouch is v2026.10.1 or newer", errorCode(response.Body))
	default:
		return fmt.Errorf("Vouch refused the registration with status %d: check VOUCH_ISSUER", status)
	}
}

// errorCode returns the error code of an OAuth error in brackets, or nothing. A
// code is lower-case letters and underscores here; anything else in an answer
// could steer the terminal.
func errorCode(body []byte) string {
	var answer struct {
		Error string `json:"error"`
	}
	strange := func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') }
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" || len(answer.Error) > 64 || strings.ContainsFunc(answer.Error, strange) {
		return ""
	}
	return " (" + answer.Error + ")"
}

// validClientID reports whether an id can be printed, pasted into wrangler.toml
// and put into a path without quoting.
func validClientID(id string) bool {
	strange := func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_')
	}
	return id != "" && len(id) <= maxClientIDBytes && !strings.ContainsFunc(id, strange)
}

// validToken reports whether a token can be sent as a bearer token: visible
// ASCII, so that it cannot add a header of its own.
func validToken(token secret.String) bool {
	strange := func(c rune) bool { return c <= ' ' || c > '~' }
	return !token.IsEmpty() && len(token.Reveal()) <= maxTokenBytes && !strings.ContainsFunc(token.Reveal(), strange)
}
