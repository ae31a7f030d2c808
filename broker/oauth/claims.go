package oauth

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/strictjson"
)

// lastDate ends the year 9999: times beyond it overflow somewhere down the line.
const lastDate = 253402300799

// parseHeader returns the kid of a JWT whose JOSE header is that of an access
// token (RFC 9068 section 2.1). The algorithm is left to the parser.
func parseHeader(token string) (kid string, err error) {
	segment, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.Strict().DecodeString(segment)
	if err != nil {
		return "", reason("header is malformed")
	}
	header, err := strictjson.Read(data, maxTokenBytes)
	if err != nil {
		return "", reason("header is malformed")
	}
	var typ string
	err = header.Each(func(name string, value gjson.Result) error {
		switch name {
		case "typ":
			return take(&typ, name, value)
		case "kid":
			return take(&kid, name, value)
		case "crit":
			// It names extensions that must be understood; none is (RFC 7515 section 4.1.11).
			return reason("header has crit")
		}
		return nil // a key or its address in the header is never looked at
	})
	// The type tells an access token from an ID token, which has the same
	// signer, issuer and, for a careless client, audience.
	if typ = strings.ToLower(typ); err == nil && typ != "at+jwt" && typ != "application/at+jwt" {
		err = reason("type is not at+jwt")
	}
	if err == nil && kid == "" {
		err = reason("kid is missing")
	}
	return kid, refusal(err)
}

// accessClaims are the claims of a Vouch access token (RFC 9068 section 2.2).
// They implement jwt.Claims.
type accessClaims struct {
	jwt.RegisteredClaims
	clientID      string
	email         string
	scopes        []string
	emailDisputed bool // email_verified is there and not true
	emailVerified bool
	authTime      *jwt.NumericDate

	hardwareVerified bool
	bound            bool   // there is a cnf, of whatever kind
	thumbprint       string // its jkt, or ""
}

// UnmarshalJSON reads claims strictly: each has its one type, times are whole
// numbers of seconds, and what identifies the caller must be there.
func (c *accessClaims) UnmarshalJSON(data []byte) error {
	var scope string
	claims, err := strictjson.Read(data, maxTokenBytes)
	if err != nil {
		return err
	}
	err = claims.Each(func(name string, value gjson.Result) error {
		switch name {
		case "iss":
			return take(&c.Issuer, name, value)
		case "sub":
			return take(&c.Subject, name, value)
		case "client_id":
			return take(&c.clientID, name, value)
		case "email":
			return take(&c.email, name, value)
		case "scope":
			return take(&scope, name, value)
		case "aud":
			return c.takeAudience(value)
		case "exp":
			return takeDate(&c.ExpiresAt, name, value)
		case "nbf":
			return takeDate(&c.NotBefore, name, value)
		case "iat":
			return takeDate(&c.IssuedAt, name, value)
		case "auth_time":
			return takeDate(&c.authTime, name, value)
		case "email_verified":
			c.emailVerified = value.Type == gjson.True
			c.emailDisputed = !c.emailVerified
		case "hardware_verified":
			c.hardwareVerified = value.Type == gjson.True
		case "cnf":
			c.bound = true
			return c.takeConfirmation(value)
		}
		return nil
	})
	c.scopes = strings.Fields(scope)
	return err
}

// takeConfirmation reads cnf (RFC 7800 section 3). Of the ways to be bound only the
// one to a DPoP key is understood (RFC 9449 section 6.1), and only by itself.
func (c *accessClaims) takeConfirmation(value gjson.Result) error {
	if !value.IsObject() {
		return reason("cnf is not an object")
	}
	members := 0
	err := strictjson.Of(value).Each(func(name string, member gjson.Result) error {
		members++
		if name == "jkt" {
			return take(&c.thumbprint, "jkt", member)
		}
		return nil
	})
	if members != 1 {
		c.thumbprint = ""
	}
	return err
}

// takeAudience reads aud: one string or an array of them (RFC 7519 section 4.1.3).
func (c *accessClaims) takeAudience(value gjson.Result) error {
	entries := []gjson.Result{value}
	if value.IsArray() {
		entries = value.Array()
	}
	for _, entry := range entries {
		var audience string
		if err := take(&audience, "aud", entry); err != nil {
			return err
		}
		c.Audience = append(c.Audience, audience)
	}
	return nil
}

// take stores a string.
func take(to *string, name string, value gjson.Result) error {
	if value.Type != gjson.String {
		return reason(name + " is not a string")
	}
	*to = value.Str
	return nil
}

// takeDate stores a NumericDate (RFC 7519 section 2). Fractions, exponents and
// signs are refused: Vouch writes none, and floats overflow into odd dates.
func takeDate(to **jwt.NumericDate, name string, value gjson.Result) error {
	seconds, err := strconv.ParseUint(value.Raw, 10, 64)
	if err != nil || seconds > lastDate {
		return reason(name + " is not a whole number of seconds")
	}
	*to = jwt.NewNumericDate(time.Unix(int64(seconds), 0))
	return nil
}
