package vouchtest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// defaultClientID is the client of tokens that are minted without one.
	defaultClientID = "0192f0c1-9b1e-7c55-8d0a-5e1f7a2b3c4d"

	accessTokenType = "at+jwt" // RFC 9068 section 2.1
	acrHardware     = "urn:nist:authentication:assurance-level:aal3"
	keyModel        = "a25342c0-3cdc-4414-8e46-f4807fca511c" // AAGUID of the person's security key
	maxSessions     = 4096
)

// TokenOptions describe an access token. The zero value is the token of a
// person who signed in with the hardware key.
type TokenOptions struct {
	// ClientID is also the audience unless Audience is set; empty means a client
	// that nobody registered.
	ClientID string
	// Audience narrows the token to a resource (RFC 8707).
	Audience string
	// Scope is space-separated; the e-mail is in the token only with "email".
	Scope string
	// Lifetime is the session's when 0; a negative one has passed.
	Lifetime time.Duration
	// Confirmation is the cnf claim, nil for none.
	Confirmation map[string]any
	// Flaws make the token wrong. The server remembers it all the same, so that
	// the flaw alone can be what refuses it.
	Flaws Flaws
}

// Flaws are what is wrong on purpose with a JWT.
type Flaws struct {
	// Header and Claims replace members; a nil value removes one.
	Header, Claims map[string]any
	// Algorithm is "ES256", "RS256", "none" or "HS256", which is signed with
	// the public key as the secret. Empty means the right one.
	Algorithm string
	// ForeignKey signs ES256 with a key that was never published, under the
	// key id of the one that was.
	ForeignKey bool
}

// MintAccessToken returns an access token in the form of RFC 9068, with Vouch's
// claims. It panics when the options cannot be signed, which is a mistake in
// the test.
func (v *Vouch) MintAccessToken(o TokenOptions) string {
	token, err := v.mintAccess(o, v.now(), "")
	if err != nil {
		panic(err)
	}
	return token
}

// mintAccess mints a token. With a zero authTime it says nothing of the ceremony's
// time.
func (v *Vouch) mintAccess(o TokenOptions, authTime time.Time, codeID string) (string, error) {
	now := v.now()
	if o.ClientID == "" {
		o.ClientID = defaultClientID
	}
	if o.Audience == "" {
		o.Audience = o.ClientID
	}
	if o.Lifetime == 0 {
		o.Lifetime = sessionLife
	}
	expires := now.Add(o.Lifetime)
	issued := now
	if o.Lifetime < 0 {
		issued = expires.Add(-sessionLife)
	}
	person := v.person()
	claims := jwt.MapClaims{
		"iss": v.options.Issuer, "sub": person.Subject, "aud": o.Audience,
		"exp": expires.Unix(), "iat": issued.Unix(), "nbf": issued.Unix(),
		"jti": newUUID(now), "client_id": o.ClientID,
		"hardware_verified": v.hardware(),
	}
	if v.hardware() {
		claims["amr"], claims["acr"] = hardwareMethods(), acrHardware
		if !authTime.IsZero() {
			claims["auth_time"] = authTime.Unix()
		}
	}
	if o.Scope != "" {
		claims["scope"] = o.Scope
	}
	if slices.Contains(strings.Fields(o.Scope), "email") {
		claims["email"] = person.Email
		claims["email_verified"] = true
	}
	if o.Confirmation != nil {
		claims["cnf"] = o.Confirmation
	}
	token, err := v.sign("ES256", accessTokenType, claims, o.Flaws)
	if err != nil {
		return "", fmt.Errorf("access token: %w", err)
	}
	v.remember(token, &session{clientID: o.ClientID, codeID: codeID, expires: expires})
	return token, nil
}

func hardwareMethods() []string { return []string{"hwk", "pin", "user"} }

// sign makes a JWT, with its flaws if it shall have some.
func (v *Vouch) sign(alg, typ string, claims jwt.MapClaims, flaws Flaws) (string, error) {
	if flaws.Algorithm != "" {
		alg = flaws.Algorithm
	}
	method, key, id, err := v.keys.pair(alg)
	if err != nil {
		return "", err
	}
	if flaws.ForeignKey {
		method, key = jwt.SigningMethodES256, v.keys.alien
	}
	token := jwt.NewWithClaims(method, claims)
	token.Header["typ"], token.Header["kid"] = typ, id
	override(token.Header, flaws.Header)
	override(claims, flaws.Claims)
	return token.SignedString(key)
}

func override(members, by map[string]any) {
	maps.Copy(members, by)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
}

// idToken returns the OpenID Connect ID token that goes with an access token.
func (v *Vouch) idToken(c *client, g *code, accessToken string) (string, error) {
	now := v.now()
	half := sha256.Sum256([]byte(accessToken))
	claims := jwt.MapClaims{
		"iss": v.options.Issuer, "sub": v.person().Subject, "aud": c.id,
		"exp": now.Add(sessionLife).Unix(), "iat": now.Unix(),
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
	}
	if !g.authTime.IsZero() {
		claims["auth_time"] = g.authTime.Unix()
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	if slices.Contains(strings.Fields(g.scope), "email") {
		claims["email"] = v.person().Email
		claims["email_verified"] = true
	}
	if v.hardware() {
		claims["amr"], claims["acr"] = hardwareMethods(), acrHardware
	}
	token, err := v.sign(c.metadata.IDTokenAlg, "JWT", claims, Flaws{})
	if err != nil {
		return "", fmt.Errorf("ID token: %w", err)
	}
	return token, nil
}

// mintAWS returns an ID token for STS. It is pinned to a role unless that is empty,
// and has the session tags of an AI's if it names the agent behind the request.
func (v *Vouch) mintAWS(role, source string) (string, error) {
	now := v.now()
	person := v.person()
	claims := jwt.MapClaims{
		"iss": v.options.Issuer, "aud": v.options.Issuer, "sub": person.Email, "email": person.Email,
		"exp": now.Add(sessionLife).Unix(), "iat": now.Unix(), "jti": newUUID(now),
		"email_verified": true, "hardware_verified": true, "hardware_aaguid": keyModel,
		claimSourceIdentity: person.Email,
	}
	tags := map[string][]string{"vouch:Email": {person.Email}}
	if person.Domain != "" {
		claims["hd"] = person.Domain
		tags["vouch:Domain"] = []string{person.Domain}
	}
	if source != "" {
		tags["vouch:AccessType"] = []string{"ai"}
		tags["vouch:Agent"] = []string{source}
	}
	claims[claimTags] = map[string]any{
		"principal_tags":      tags,
		"transitive_tag_keys": slices.Sorted(maps.Keys(tags)),
	}
	if role != "" {
		claims[claimRoles] = []string{role}
	}
	return v.sign("RS256", "JWT", claims, Flaws{})
}
