package authserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"time"

	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/secret"
)

var (
	errOtherClient   = errors.New("code was issued to another client")
	errOtherRedirect = errors.New("code was issued for another redirect URI")
	errOtherVerifier = errors.New("verifier does not fit the challenge")
	errGrantExpired  = errors.New("vouch's token has expired already")
	errNotFresh      = errors.New("auth_time is missing or before the sign-in began")
	errPerson        = errors.New("verified e-mail address is not in ALLOWED_EMAILS")
)

// tokenAnswer is the answer of RFC 6749 section 5.1.
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	Type        string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

// token redeems a code of ours, and Vouch's inside it, for an access token.
func (s *Server) token(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	form, err := s.readClientForm(r)
	if err != nil {
		return nil, err
	}
	c, err := s.openCode(form)
	if err != nil {
		return nil, err
	}
	e.client(c.clientIDHash, c.clientName, c.clientHost)
	e.RedirectHost = c.redirectHost
	grant, err := s.Vouch.Redeem(ctx, c.vouchCode, verifierText(c.verifier), s.Config.Issuer+CallbackPath)
	if err != nil {
		err = vouchRefusal(err)
	} else {
		e.Subject, e.Email = grant.Subject, grant.Email
		err = s.Config.accept(grant, c)
	}
	var text secret.String
	if err == nil {
		text, err = MintAccessToken(s.Sealer, AccessToken{
			VouchToken: grant.Token, Subject: grant.Subject, Expires: grant.Expires,
			ClientName: c.clientName, ClientHost: c.clientHost, ClientIDHash: c.clientIDHash, Asked: c.asked, Granted: c.granted,
		})
	}
	if err != nil {
		return nil, s.discard(ctx, grant.Token, err)
	}
	held, _ := readClaims(grant.Token) // was read while minting
	e.Granted, e.SignIn = c.granted, held.SignIn
	// Rounded down: nobody may believe that the token outlives Vouch's.
	seconds := int64(grant.Expires.Sub(s.Config.Now()) / time.Second)
	return &answer{status: http.StatusOK, json: tokenAnswer{text.Reveal(), "Bearer", seconds, c.granted.String()}}, nil
}

// accept checks what a grant says of the person and of the sign-in.
func (c Config) accept(grant Grant, code *code) error {
	switch {
	case grant.Expires.Sub(c.Now()) < time.Second:
		return vouchRefusal(errGrantExpired)
	case !Fresh(grant.AuthTime, code.pushed):
		// Not invalid_grant: some clients then start over by themselves, and a Vouch
		// that does not ask for the key would send them in circles.
		return invalid("access_denied", "Vouch let the browser pass without the hardware key, so that nothing was given. Sign out at Vouch and sign in again; if it recurs, the operator should look at the log.").because(errNotFresh)
	case !Admits(c.AllowedEmails, grant.Email, grant.EmailVerified):
		return invalid("access_denied", "This broker is not for you: its operator lists who may use it (ALLOWED_EMAILS), and your verified e-mail address is not among them.").because(errPerson)
	}
	return nil
}

// Admits reports whether a person may use the broker at all: everyone where there
// is no list, else whoever has a verified e-mail address that is on it.
func Admits(allowed glob.List, email string, verified bool) bool {
	return allowed == nil || verified && email != "" && allowed.Match(email)
}

// discard returns why a fresh token of Vouch comes to nothing. Nobody will hold
// it, so it should not stay alive, even if the client has gone.
func (s *Server) discard(ctx context.Context, token secret.String, why error) error {
	if token.IsEmpty() {
		return why
	}
	fault := *asRefusal(why)
	if err := s.Vouch.Revoke(context.WithoutCancel(ctx), token); err != nil {
		fault.cause = errors.Join(notRevoked(err), fault.cause) // first: the log keeps the beginning
	}
	return &fault
}

// notRevoked is what an operator looks for in the log: a token is left at Vouch until
// it expires. It is bound to the broker's key, and nobody holds it.
func notRevoked(err error) error { return fmt.Errorf("the extra token could not be revoked: %w", err) }

// readClientForm reads a form of a client, none of which authenticates itself.
func (s *Server) readClientForm(r *http.Request) (params, error) {
	form, err := readForm(r)
	if err != nil {
		return nil, bodyRefusal("invalid_request", "The body must be application/x-www-form-urlencoded of at most 16 KiB.", err)
	}
	if form.repeated("resource") {
		return nil, invalid("invalid_request", "A parameter is there twice.")
	}
	// An authentication that nobody checks must not look as if it had been.
	basic := r.Header.Get("Authorization") != ""
	if basic || form.get("client_secret") != "" || form.get("client_assertion") != "" {
		fault := invalid("invalid_client", "This server takes public clients only; send client_id and no client authentication.")
		fault.challenge = basic
		return nil, fault
	}
	return form, nil
}

// openCode checks all that a token request must prove (RFC 6749 section 4.1.3,
// RFC 7636 section 4.6) before Vouch's code, which works once, is spent.
func (s *Server) openCode(form params) (*code, error) {
	id, verifier, redirectURI := form.get("client_id"), form.get("code_verifier"), form.get("redirect_uri")
	switch grant := form.get("grant_type"); {
	case grant != "" && grant != "authorization_code": // whatever else it would need
		return nil, invalid("unsupported_grant_type", "Only the grant type authorization_code is served.")
	case grant == "" || form.get("code") == "" || id == "" || verifier == "":
		return nil, invalid("invalid_request", "The parameters grant_type, code, client_id and code_verifier are required.")
	case !s.Config.isOurs(form["resource"]):
		return nil, invalid("invalid_target", "Tokens are issued for "+s.Config.Resource+" only.")
	}
	if err := s.Config.checkClientID(id); err != nil {
		return nil, invalid("invalid_client", "The client_id is not known here; register again.").because(err)
	}
	bad := invalid("invalid_grant", "The code is not valid: it has expired, or was issued to another client or for another redirect URI, or the verifier does not fit. Sign in again.")
	payload, err := s.Sealer.Open(purposeCode, form.get("code"), s.Config.Now())
	if err != nil {
		return nil, bad.because(err)
	}
	c := &code{}
	if err := c.decode(payload); err != nil {
		return nil, bad.because(err)
	}
	switch {
	case !equal(sha256.Sum256([]byte(id)), c.clientIDHash):
		return nil, bad.because(errOtherClient)
	case redirectURI != "" && !equal(sha256.Sum256([]byte(redirectURI)), c.redirectURIHash):
		return nil, bad.because(errOtherRedirect)
	case !fits(verifier, c.challenge):
		return nil, bad.because(errOtherVerifier)
	}
	return c, nil
}

// checkClientID checks the form of a client id without fetching anything: at the
// token endpoint it need only be the one that the code was issued to.
func (c Config) checkClientID(id string) error {
	if isDocumentURL(id) {
		_, err := c.checkDocumentURL(id)
		return err
	}
	_, err := registeredClient(id)
	return err
}

// revoke revokes an access token at Vouch (RFC 7009). One that is not valid is
// gone already.
func (s *Server) revoke(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	form, err := s.readClientForm(r)
	if err != nil {
		return nil, err
	}
	if form.get("token") == "" {
		return nil, invalid("invalid_request", "The parameter token is required.")
	}
	done := &answer{status: http.StatusOK}
	t, err := OpenAccessToken(s.Sealer, secret.New(form.get("token")), s.Config.Now())
	if err != nil {
		return done, nil
	}
	e.client(t.ClientIDHash, t.ClientName, t.ClientHost)
	if id := form.get("client_id"); id != "" && !equal(sha256.Sum256([]byte(id)), t.ClientIDHash) {
		return nil, invalid("invalid_grant", "The token was issued to another client.").because(errOtherClient)
	}
	if err := s.Vouch.Revoke(ctx, t.VouchToken); err != nil {
		return nil, vouchRefusal(err)
	}
	e.Subject, e.Email, e.SignIn = t.Subject, t.Email, t.SignIn
	return done, nil
}
