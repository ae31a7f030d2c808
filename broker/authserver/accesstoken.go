package authserver

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/secret"
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
	Expires    time.Time
	// ClientName is how the client calls itself, cleaned, at most 96 bytes.
	ClientName string
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
	e := newEncoder()
	e.text(t.VouchToken.Reveal())
	e.text(t.ClientName)
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

// OpenAccessToken returns what an access token holds at now. Its error is
// ErrAccessToken, or wraps it.
func OpenAccessToken(sealer Sealer, token secret.String, now time.Time) (AccessToken, error) {
	payload, err := sealer.Open(purposeAccess, token.Reveal(), now)
	if err != nil {
		return AccessToken{}, errors.Join(ErrAccessToken, err)
	}
	t, err := decodeAccessToken(payload)
	if err != nil {
		return AccessToken{}, errors.Join(ErrAccessToken, err)
	}
	return t, nil
}

func decodeAccessToken(payload []byte) (AccessToken, error) {
	d := newDecoder(payload)
	token := secret.New(d.text())
	name, idHash := d.text(), d.hash()
	asked, granted := d.scopes(), d.scopes()
	if err := d.end(); err != nil {
		return AccessToken{}, err
	}
	t, err := readClaims(token)
	t.ClientName, t.ClientIDHash, t.Asked, t.Granted = name, idHash, asked, granted
	return t, err
}

// readClaims reads the claims of a token of Vouch. It verifies nothing: the
// token was verified before it was sealed.
func readClaims(token secret.String) (AccessToken, error) {
	parts := strings.Split(token.Reveal(), ".")
	if len(parts) != 3 {
		return AccessToken{}, errTokenClaims
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return AccessToken{}, errTokenClaims
	}
	claims, err := readObject(data)
	if err != nil {
		return AccessToken{}, errTokenClaims
	}
	subject, errSubject := claims.text("sub")
	email, errEmail := claims.text("email")
	if subject == "" || errSubject != nil || errEmail != nil || claims["exp"].Type != gjson.Number {
		return AccessToken{}, errTokenClaims
	}
	if claims.has("email_verified") && !claims["email_verified"].Bool() {
		email = ""
	}
	return AccessToken{VouchToken: token, Subject: subject, Email: email, Expires: time.Unix(claims["exp"].Int(), 0)}, nil
}
