package vouchtest

import (
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	authPrivateKey    = "private_key_jwt"
	assertionType     = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	maxAssertionBytes = 8192
	maxAssertionLife  = 300 * time.Second
	assertionSkew     = 10 * time.Second
)

// authenticateByAssertion finds the client that signed a client assertion (RFC
// 7523 section 3), nil when there is none. The assertion is spent as soon as it
// authenticates, whatever becomes of the request.
func (v *Vouch) authenticateByAssertion(form url.Values) *client {
	text := form.Get("client_assertion")
	if form.Get("client_assertion_type") != assertionType || text == "" || len(text) > maxAssertionBytes {
		return nil
	}
	var c *client
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{clientAlg}), jwt.WithStrictDecoding(), jwt.WithTimeFunc(v.now),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(assertionSkew),
	)
	_, err := parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		issuer, _ := claims["iss"].(string)
		if c = v.client(issuer); c == nil || c.metadata.AuthMethod != authPrivateKey {
			return nil, errClient
		}
		return c.assertionKey(t)
	})
	if err != nil || claims["sub"] != c.id || form.Has("client_id") && form.Get("client_id") != c.id {
		return nil
	}
	issued, err1 := claims.GetIssuedAt()
	expires, err2 := claims.GetExpirationTime()
	if err1 != nil || err2 != nil || issued == nil || expires.Sub(issued.Time) > maxAssertionLife {
		return nil
	}
	// The issuer as a text and nothing else: with more audiences, another of them
	// could use the assertion here (FAPI 2.0 section 5.3.2.1).
	if claims["aud"] != v.options.Issuer {
		return nil
	}
	id, _ := claims["jti"].(string)
	if id == "" || !v.spent.add("assertion "+c.id+" "+id, expires.Add(assertionSkew), v.now()) {
		return nil
	}
	return c
}

// assertionKey picks the key that a token names.
func (c *client) assertionKey(t *jwt.Token) (any, error) {
	id, _ := t.Header["kid"].(string)
	key := keyByID(c.metadata.keys, id)
	if _, critical := t.Header["crit"]; critical || id == "" || key == nil || !key.signs() {
		return nil, errKey
	}
	return key.public, nil
}
