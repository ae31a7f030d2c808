package vouchtest

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// accessClaims are what the credential API reads of an access token.
type accessClaims struct {
	jwt.RegisteredClaims
	ClientID         string          `json:"client_id"`
	HardwareVerified bool            `json:"hardware_verified"`
	Confirmation     json.RawMessage `json:"cnf"`

	source string // of the proof that came with the token
}

func badToken(why string) *apiError {
	return &apiError{http.StatusUnauthorized, "invalid_token", why}
}

// authenticate verifies the token of a request and how it was presented: its
// signature, type, issuer and times, the audience, the session and person, the
// binding.
func (v *Vouch) authenticate(r *http.Request) (*accessClaims, *apiError) {
	none := &apiError{http.StatusUnauthorized, "unauthorized", "an access token is needed"}
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return nil, none
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	bearer := strings.EqualFold(scheme, "Bearer")
	if !bearer && !strings.EqualFold(scheme, "DPoP") || token == "" {
		return nil, none
	}
	claims, refused := v.decode(token)
	if refused != nil {
		return nil, refused
	}
	// The audience matters on the credential API, since a token for somebody
	// else's server is in that server's hands.
	if v.latest() && strings.HasPrefix(r.URL.Path, "/v1/") && !v.covers(claims, r.URL.Path) {
		return nil, badToken("the token is for another audience")
	}
	if refused := v.checkSession(token, claims); refused != nil {
		return nil, refused
	}
	return claims, v.checkBinding(r, claims, bearer, token)
}

// decode verifies what an access token says of itself.
func (v *Vouch) decode(token string) (*accessClaims, *apiError) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(v.options.Issuer),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(v.now),
	)
	claims := &accessClaims{}
	_, err := parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		// Without the type, an ID token would pass for an access token.
		if t.Header["typ"] != accessTokenType || t.Header["kid"] != v.keys.ecID {
			return nil, jwt.ErrTokenUnverifiable
		}
		return &v.keys.ec.PublicKey, nil
	})
	if err != nil {
		return nil, badToken("the access token is invalid or expired")
	}
	return claims, nil
}

// checkSession looks for what the server remembers of a token, and of its
// person.
func (v *Vouch) checkSession(token string, claims *accessClaims) *apiError {
	if !v.known(token) {
		return badToken("the session is over")
	}
	if claims.Subject != v.person().Subject {
		return &apiError{http.StatusUnauthorized, "unauthorized", "user not found"}
	}
	return nil
}

// checkBinding holds the way a token was presented against its cnf. A bound
// token proves nothing without its key, an unbound one nothing under the scheme
// that promises a proof.
func (v *Vouch) checkBinding(r *http.Request, claims *accessClaims, bearer bool, token string) *apiError {
	bound := len(claims.Confirmation) > 0
	badProof := &apiError{http.StatusUnauthorized, codeBadProof, "the proof could not be verified"}
	switch {
	case bound == bearer:
		return badToken("the scheme does not fit the token")
	case !bound:
		return nil
	case !v.latest():
		return badProof
	}
	p, err := v.verifyProof(r, token)
	if err != nil {
		badProof.Code = proofCode(err)
		return badProof
	}
	if p.thumbprint != claims.thumbprint() {
		return badToken("the proof is by another key")
	}
	claims.source = p.source
	return nil
}

// thumbprint returns cnf.jkt, empty when the token is not bound by DPoP.
func (c *accessClaims) thumbprint() string {
	var confirmation struct {
		Thumbprint string `json:"jkt"`
	}
	_ = json.Unmarshal(c.Confirmation, &confirmation) // no cnf is no thumbprint
	return confirmation.Thumbprint
}
