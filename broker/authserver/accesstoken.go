package authserver

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/memo"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/strictjson"
)

var (
	// ErrAccessToken says that an access token is not one of ours, was altered,
	// or has expired: 401 with the error code invalid_token.
	ErrAccessToken = errors.New("access token is not one of this broker, or no longer")

	errTokenSize   = errors.New("access token is too large")
	errTokenClaims = errors.New("vouch's token is not a JWT with the claims of its grant")
)

// An AccessToken is what an access token of ours holds. Clients see only its
// sealed form.
type AccessToken struct {
	// VouchToken is bound to our key and is of no use without it.
	VouchToken secret.String
	Subject    string // sub of VouchToken
	Email      string // of VouchToken; empty if it has none or disputes it
	// EmailVerified says that VouchToken calls the e-mail verified. It is not
	// enough that it does not say the opposite.
	EmailVerified bool
	Expires       time.Time
	// AuthTime is when the person used the hardware key; zero if VouchToken does
	// not say.
	AuthTime time.Time
	// SignIn is a short id of the sign-in, the same for its own log line and for
	// each call with the token. It tells nothing of the token.
	SignIn string
	// ClientName is how the client calls itself, cleaned, at most 96 bytes.
	ClientName string
	// ClientHost is the host of the client's metadata document; empty for a
	// client that registered itself.
	ClientHost string
	// ClientIDHash is the SHA-256 of the client's id.
	ClientIDHash [sha256.Size]byte
	// Asked are the scopes that the client asked for, and Granted those of them
	// that the person agreed to, at least one.
	Asked, Granted Scopes
}

// MintAccessToken seals t until it expires. What VouchToken says itself is not
// stored twice; t's Subject and Expires must be what it says.
func MintAccessToken(sealer Sealer, t AccessToken) (secret.String, error) {
	claims, err := readClaims(t.VouchToken)
	if err != nil || claims.Subject != t.Subject || !claims.Expires.Equal(t.Expires) {
		return secret.String{}, errTokenClaims
	}
	parts, err := splitToken(t.VouchToken)
	if err != nil {
		return secret.String{}, err
	}
	e := newEncoder()
	for _, part := range parts {
		e.text(string(part))
	}
	e.text(t.ClientName)
	e.text(t.ClientHost)
	e.fixed(t.ClientIDHash[:])
	e.fixed([]byte{byte(t.Asked), byte(t.Granted)})
	text, err := sealer.Seal(purposeAccess, t.Expires, e.data)
	if err == nil && len(text) > maxAccessTokenBytes {
		err = errTokenSize
	}
	if err != nil {
		return secret.String{}, err
	}
	return secret.New(text), nil
}

// splitToken returns what the three parts of a JWT stand for. Sealed as they are,
// in base64, they would be a third longer, and the credential stores of some
// clients take 1,280 characters. A token whose parts joinToken does not give back
// byte for byte is none: Vouch's signature is over the text.
func splitToken(token secret.String) (parts [3][]byte, err error) {
	texts := strings.Split(token.Reveal(), ".")
	if len(texts) != len(parts) {
		return parts, errTokenClaims
	}
	for i, text := range texts {
		if parts[i], err = base64.RawURLEncoding.DecodeString(text); err != nil {
			return parts, errTokenClaims
		}
	}
	if joinToken(parts).Reveal() != token.Reveal() {
		return parts, errTokenClaims
	}
	return parts, nil
}

func joinToken(parts [3][]byte) secret.String {
	encode := base64.RawURLEncoding.EncodeToString
	return secret.New(encode(parts[0]) + "." + encode(parts[1]) + "." + encode(parts[2]))
}

// OpenAccessToken returns what an access token holds at now. Its error is
// ErrAccessToken, or wraps it.
func OpenAccessToken(sealer Sealer, token secret.String, now time.Time) (AccessToken, error) {
	return new(AccessTokens).Open(sealer, token, now)
}

// AccessTokens opens access tokens, and remembers what the payloads said that it
// has read: of the time that opening takes, most is the reading. The seal is opened
// at each use, and so are expiry, purpose, key and resource asked; and Vouch's
// token is not kept. The zero value may be used, also concurrently.
type AccessTokens struct {
	read memo.Memo[AccessToken] // by the payload, which only this broker can have sealed
}

// Open is OpenAccessToken.
func (a *AccessTokens) Open(sealer Sealer, token secret.String, now time.Time) (AccessToken, error) {
	payload, err := sealer.Open(purposeAccess, token.Reveal(), now)
	if err != nil {
		return AccessToken{}, errors.Join(ErrAccessToken, err)
	}
	id := memo.IDOf(payload)
	if known := a.read.Find(id); known != nil {
		t := *known
		t.VouchToken = joinToken(newDecoder(payload).parts())
		return t, nil
	}
	t, err := decodeAccessToken(payload)
	if err != nil {
		return AccessToken{}, errors.Join(ErrAccessToken, err)
	}
	kept := t
	kept.VouchToken = secret.String{}
	a.read.Keep(id, &kept)
	return t, nil
}

func decodeAccessToken(payload []byte) (AccessToken, error) {
	d := newDecoder(payload)
	parts := d.parts()
	name, host, idHash := d.text(), d.text(), d.hash()
	asked, granted := d.scopes(), d.scopes()
	if err := d.end(); err != nil {
		return AccessToken{}, err
	}
	t, err := readParts(parts)
	t.ClientName, t.ClientHost, t.ClientIDHash, t.Asked, t.Granted = name, host, idHash, asked, granted
	return t, err
}

// parts are those of Vouch's token.
func (d *decoder) parts() (parts [3][]byte) {
	for i := range parts {
		parts[i] = []byte(d.text())
	}
	return parts
}

// readClaims reads the claims of a token of Vouch. It verifies nothing: the
// token was verified before it was sealed.
func readClaims(token secret.String) (AccessToken, error) {
	parts, err := splitToken(token)
	if err != nil {
		return AccessToken{}, err
	}
	return readParts(parts)
}

func readParts(parts [3][]byte) (AccessToken, error) {
	claims, err := strictjson.Read(parts[1], maxAccessTokenBytes)
	if err != nil {
		return AccessToken{}, errTokenClaims
	}
	subject, errSubject := claims.Text("sub")
	email, errEmail := claims.Text("email")
	if subject == "" || errSubject != nil || errEmail != nil || claims.Member("exp").Type != gjson.Number {
		return AccessToken{}, errTokenClaims
	}
	verified := claims.Member("email_verified").Type == gjson.True && email != ""
	if claims.Has("email_verified") && !verified {
		email = ""
	}
	t := AccessToken{
		VouchToken: joinToken(parts), Subject: subject, Email: email, EmailVerified: verified,
		Expires: time.Unix(claims.Member("exp").Int(), 0), SignIn: signInID(parts[2]),
	}
	if claims.Member("auth_time").Type == gjson.Number {
		t.AuthTime = time.Unix(claims.Member("auth_time").Int(), 0)
	}
	return t, nil
}

// signInID names a sign-in by the signature of the token that came of it, which
// no two tokens share.
func signInID(signature []byte) string {
	sum := sha256.Sum256(signature)
	return hex.EncodeToString(sum[:6])
}
