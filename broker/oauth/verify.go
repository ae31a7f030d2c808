// Package oauth is the resource server's part of OAuth: who is calling. It reads
// bearer tokens from requests (RFC 6750), verifies Vouch's JWT access tokens (RFC
// 9068) against the issuer's keys, and renders challenges and the protected
// resource metadata (RFC 9728).
//
// It promises that a Caller comes only from a token that is signed by the
// issuer, alive, and meant for this server, and that no stream of forged tokens
// becomes a stream of fetches. It does not ask the issuer whether a token was
// revoked. A token that is bound to a key it takes from nobody but the issuer.
package oauth

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/memo"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

var errNoJWT = reason("token is too long or not a JWT")

// A Caller is who sent a request, according to a verified token.
type Caller struct {
	// Subject is the issuer's id of the person (sub), not an e-mail address.
	Subject string
	// Email is for display and audit. It is empty when the token has none, or
	// one that the issuer has not verified.
	Email string
	// EmailVerified says that the issuer calls Email verified. It is not enough
	// that it does not say the opposite.
	EmailVerified bool
	// ClientID is the OAuth client that the token was issued to.
	ClientID string
	// Scopes are the token's, in its order; often none.
	Scopes []string
	// Expires is the token's exp, without any allowance for skew.
	Expires time.Time
	// AuthTime is when the person proved who they are (auth_time); zero if the
	// token does not say.
	AuthTime time.Time
	// Token is the token itself.
	Token secret.String
}

// VerifierConfig is what a Verifier works with.
type VerifierConfig struct {
	// Issuer is the authorization server, without a trailing slash. It is
	// compared with iss byte for byte; the keys are at Issuer + "/oauth/jwks".
	Issuer string
	// AllowedClientIDs are clients whose tokens are accepted although they name
	// no resource (aud is the client id).
	AllowedClientIDs []string
	Upstream         upstream.Client
	Now              func() time.Time
	// ES256 checks the signatures. Nil is p256.Native.
	ES256 p256.ES256
}

// A Verifier verifies access tokens. It owns the cache of the issuer's keys, so
// there is one for each broker. It may be used concurrently.
type Verifier struct {
	issuer         string
	allowedClients []string
	parser         *jwt.Parser
	validator      *jwt.Validator
	es256          p256.ES256
	keys           keyCache
	// memo remembers what tokens said whose signature was verified. That spares a
	// client that calls again the parsing and the signature, and nothing else:
	// times, issuer, audience, binding and key are asked again at each use.
	memo memo.Memo[statement]
}

// A statement is what a token says, and after its signature was checked the key
// that signed it. It does not change once it is remembered, and does not hold the
// token.
type statement struct {
	kid    string
	claims accessClaims
	key    *p256.PublicKey // nil: nothing vouches for the claims yet
	// resource is one that the token was found to be for; empty for none. The
	// answer depends on nothing else that could change.
	resource string
}

// NewVerifier makes a Verifier. It fetches nothing yet.
func NewVerifier(c VerifierConfig) *Verifier {
	options := []jwt.ParserOption{
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(c.Now),
		jwt.WithLeeway(maxSkew),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
	}
	return &Verifier{
		issuer:         c.Issuer,
		allowedClients: c.AllowedClientIDs,
		parser:         jwt.NewParser(options...),
		validator:      jwt.NewValidator(options...),
		es256:          p256.OrNative(c.ES256),
		keys:           keyCache{url: c.Issuer + "/oauth/jwks", upstream: c.Upstream, now: c.Now},
	}
}

// Verify returns the caller that token stands for, if it is an access token of
// the issuer for resource (RFC 9068 section 4): the URL of this server, in any
// spelling that NormalizeResource accepts. It may fetch the issuer's keys, and
// does so only for a token whose every other property is in order.
//
// Errors: ErrInvalidToken, ErrWrongAudience, *UnavailableError. None has any
// part of the token in its text.
func (v *Verifier) Verify(ctx context.Context, token secret.String, resource string) (Caller, error) {
	if len(token.Reveal()) > maxTokenBytes {
		return Caller{}, errNoJWT
	}
	id := memo.IDOf([]byte(token.Reveal()))
	known := v.memo.Find(id)
	said, err := v.verify(ctx, token, known, func(s *statement) error {
		switch {
		case s.claims.bound:
			// Taken as a bearer token it would work for whoever stole it, which the
			// binding is there to stop (RFC 9449 section 7.2).
			return reason("token is bound to a key (cnf)")
		case s.resource != "" && s.resource == resource: // found before; without a resource nothing is for us
		case !v.isForUs(&s.claims, resource):
			return ErrWrongAudience
		}
		return nil
	})
	if err != nil {
		return Caller{}, err
	}
	if said != known {
		said.resource = resource
		v.memo.Keep(id, said)
	}
	return said.caller(token), nil
}

// VerifyOwn returns the person that token stands for, if the issuer issued it to
// the OAuth client clientID itself and to no resource, bound to the key with the
// RFC 7638 thumbprint, after a sign-in with a hardware key. It is for a token that
// came from the issuer's token endpoint: a token that is anybody else's, or that
// somebody else's proof can use, must not become the basis of one of ours.
//
// Errors: as Verify.
func (v *Verifier) VerifyOwn(ctx context.Context, token secret.String, clientID, thumbprint string) (Caller, error) {
	said, err := v.verify(ctx, token, nil, func(s *statement) error {
		switch claims := &s.claims; {
		case len(claims.Audience) != 1 || claims.Audience[0] != clientID || claims.clientID != clientID:
			return ErrWrongAudience
		case thumbprint == "" || claims.thumbprint != thumbprint:
			return reason("token is not bound to our key")
		case !claims.hardwareVerified:
			return reason("person did not sign in with a hardware key")
		}
		return nil
	})
	if err != nil {
		return Caller{}, err
	}
	return said.caller(token), nil
}

// verify returns what token says: known, when the key that vouched for that is
// still the one that the issuer publishes, and else a statement made anew.
func (v *Verifier) verify(ctx context.Context, token secret.String, known *statement, accept func(*statement) error) (*statement, error) {
	said := known
	if said == nil {
		var err error
		if said, err = v.read(token.Reveal()); err != nil {
			return nil, refusal(err)
		}
	}
	key, err := v.admit(ctx, said, accept)
	if err != nil {
		return nil, refusal(err)
	}
	// A set that was fetched again brings new keys, even where they are equal: what
	// the issuer has replaced or withdrawn vouches for nothing any more.
	if key != said.key {
		if said == known {
			said = &statement{kid: known.kid, claims: known.claims}
		}
		if err := v.checkSignature(token.Reveal(), key); err != nil {
			return nil, refusal(err)
		}
		said.key = key
	}
	// Fetching the keys took its time.
	if err := v.validator.Validate(&said.claims); err != nil {
		return nil, refusal(err)
	}
	return said, nil
}

// read takes a token apart that nothing vouches for yet.
func (v *Verifier) read(raw string) (*statement, error) {
	// base64 decoders skip line breaks: one token must not have two spellings.
	if len(raw) > maxTokenBytes || !ascii.Only(raw, ascii.Alphanumeric+"-_.") {
		return nil, errNoJWT
	}
	kid, err := parseHeader(raw)
	if err != nil {
		return nil, err
	}
	said := &statement{kid: kid}
	unverified, parts, err := v.parser.ParseUnverified(raw, &said.claims)
	if err != nil {
		return nil, err
	}
	if _, err := v.parser.DecodeSegment(parts[2]); err != nil { // before its key is fetched
		return nil, jwt.ErrTokenMalformed
	}
	// The one algorithm: neither none, nor HMAC with a public key as its secret.
	if unverified.Method.Alg() != jwt.SigningMethodES256.Alg() {
		return nil, reason("algorithm is not ES256")
	}
	return said, nil
}

func (v *Verifier) checkSignature(raw string, key *p256.PublicKey) error {
	end := strings.LastIndexByte(raw, '.')
	signature, err := v.parser.DecodeSegment(raw[end+1:])
	if err != nil {
		return jwt.ErrTokenMalformed
	}
	if err := v.es256.VerifyES256(raw[:end], signature, key); err != nil {
		return errSignature{err}
	}
	return nil
}

// caller is who said it, with token.
func (s *statement) caller(token secret.String) Caller {
	claims := &s.claims
	caller := Caller{
		Subject:  claims.Subject,
		ClientID: claims.clientID,
		Scopes:   slices.Clone(claims.scopes),
		Expires:  claims.ExpiresAt.Time,
		Token:    token,
	}
	if !claims.emailDisputed { // else it could put a stranger's name into the audit
		caller.Email = claims.email
		caller.EmailVerified = claims.emailVerified && claims.email != ""
	}
	if claims.authTime != nil {
		caller.AuthTime = claims.authTime.Time
	}
	return caller
}

// admit returns the key for a token that may be worth its signature check. The
// claims are not to be trusted yet: all this decides is whether to go on.
func (v *Verifier) admit(ctx context.Context, said *statement, accept func(*statement) error) (*p256.PublicKey, error) {
	claims := &said.claims
	if err := v.validator.Validate(claims); err != nil {
		return nil, err
	}
	switch {
	case claims.Issuer == "" || claims.Issuer != v.issuer: // jwt.WithIssuer("") would accept any
		return nil, reason("issuer is not ours")
	case claims.Subject == "" || claims.clientID == "":
		return nil, reason("sub or client_id is missing")
	case claims.IssuedAt == nil: // jwt.WithIssuedAt accepts that
		return nil, reason("iat is missing")
	}
	if err := accept(said); err != nil {
		return nil, err
	}
	return v.keys.key(ctx, said.kid, claims.IssuedAt.Time)
}

// isForUs reports whether the token was issued for resource, or for no resource
// to an allowed client. aud must then be that client's own id and nothing else:
// a token of another client that merely names an allowed one is not such a token.
func (v *Verifier) isForUs(claims *accessClaims, resource string) bool {
	if len(claims.Audience) == 1 && claims.Audience[0] == claims.clientID && slices.Contains(v.allowedClients, claims.clientID) {
		return true
	}
	ours, err := NormalizeResource(resource)
	return err == nil && slices.ContainsFunc(claims.Audience, func(audience string) bool {
		normal, err := NormalizeResource(audience)
		return err == nil && normal == ours
	})
}

// refusal turns whatever stopped a token into the errors that Verify promises.
// Texts of decoders are dropped on the way, since they quote their input.
func refusal(err error) error {
	var known reason
	var unavailable *UnavailableError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unavailable):
		return unavailable
	case errors.As(err, &known):
		return known
	case errors.Is(err, jwt.ErrTokenSignatureInvalid) && errors.Is(err, jwt.ErrTokenUnverifiable):
		// The host's own ES256 broke down, which says nothing about the token.
		return &UnavailableError{RetryAfter: shortWait, Err: errors.New("signature check failed to run")}
	}
	for _, sentinel := range []error{
		jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenExpired, jwt.ErrTokenNotValidYet,
		jwt.ErrTokenUsedBeforeIssued, jwt.ErrTokenRequiredClaimMissing,
	} {
		if errors.Is(err, sentinel) {
			return reason(sentinel.Error())
		}
	}
	return reason("token cannot be verified")
}
