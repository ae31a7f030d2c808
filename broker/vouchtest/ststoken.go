package vouchtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

const (
	maxEmailBytes     = 256 // of a source identity, as Vouch bounds it
	maxSourceIdentity = 64  // as STS's model bounds it
	minSubjectChars   = 6
	maxSubjectChars   = 255
	maxTags           = 50
	maxTagKey         = 128
	maxTagValue       = 256
	stsClockSkew      = 5 * time.Minute
)

// identity is what STS reads of a web identity token. The times are integers:
// STS refuses fractions.
type identity struct {
	Issuer         string    `json:"iss"`
	Audience       string    `json:"aud"`
	Subject        string    `json:"sub"`
	Expires        int64     `json:"exp"`
	IssuedAt       int64     `json:"iat"`
	SourceIdentity *string   `json:"https://aws.amazon.com/source_identity"`
	Roles          []string  `json:"https://aws.amazon.com/roles"`
	Tags           *tagClaim `json:"https://aws.amazon.com/tags"`
}

type tagClaim struct {
	Principal  map[string][]string `json:"principal_tags"`
	Transitive []string            `json:"transitive_tag_keys"`
}

func invalidToken(why string) *stsError {
	return &stsError{http.StatusBadRequest, "InvalidIdentityToken", why}
}

// identify verifies a web identity token with the keys in Vouch's JWKS.
func (s *STS) identify(token string) (*identity, *stsError) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "ES256"}), jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(), jwt.WithoutClaimsValidation(), // the reasons matter here
	)
	claims := jwt.MapClaims{}
	if _, err := parser.ParseWithClaims(token, claims, s.vouch.keys.public); err != nil {
		return nil, invalidToken("The web identity token could not be verified.")
	}
	who, err := readIdentity(claims)
	now := s.now()
	issuer := s.vouch.options.Issuer
	switch {
	case err != nil:
		return nil, invalidToken("A claim of the web identity token has the wrong type.")
	case who.Issuer != issuer:
		return nil, invalidToken("No OpenIDConnect provider found in your account for the issuer.")
	case who.Audience != issuer:
		return nil, invalidToken("Incorrect token audience")
	case who.Expires == 0 || who.IssuedAt == 0:
		return nil, invalidToken("Missing a required claim: exp or iat")
	case utf8.RuneCountInString(who.Subject) < minSubjectChars || utf8.RuneCountInString(who.Subject) > maxSubjectChars:
		return nil, invalidToken("The sub of the web identity token is invalid.")
	case time.Unix(who.IssuedAt, 0).After(now.Add(stsClockSkew)):
		return nil, invalidToken("The web identity token is from the future.")
	case !time.Unix(who.Expires, 0).After(now):
		return nil, &stsError{http.StatusBadRequest, "ExpiredTokenException", "Token expired"}
	case !who.fitsSession():
		return nil, &stsError{http.StatusForbidden, "IDPRejectedClaim", "The source identity or a tag is invalid."}
	}
	return who, nil
}

func readIdentity(claims jwt.MapClaims) (*identity, error) {
	text, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	who := &identity{}
	if err := json.Unmarshal(text, who); err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	return who, nil
}

// public returns the published key that a token names, if its algorithm is that
// key's.
func (k *signingKeys) public(t *jwt.Token) (any, error) {
	if t.Header["kid"] == k.ecID && t.Method.Alg() == "ES256" {
		return &k.ec.PublicKey, nil
	}
	key, id, err := rsaKey()
	if err != nil {
		return nil, err
	}
	if t.Header["kid"] != id || t.Method.Alg() != "RS256" {
		return nil, jwt.ErrTokenUnverifiable
	}
	return &key.PublicKey, nil
}

// fitsSession reports whether the source identity and the session tags keep
// AWS's rules.
func (i *identity) fitsSession() bool {
	if i.SourceIdentity != nil && !fitsSourceIdentity(*i.SourceIdentity, maxSourceIdentity) {
		return false
	}
	if i.Tags == nil {
		return true
	}
	if len(i.Tags.Principal) > maxTags {
		return false
	}
	seen := map[string]bool{}
	for key, values := range i.Tags.Principal {
		folded := strings.ToLower(key)
		if key == "" || utf8.RuneCountInString(key) > maxTagKey || !isTagText(key) || seen[folded] ||
			len(values) != 1 || !fitsTagValue(values[0]) {
			return false
		}
		seen[folded] = true
	}
	for _, key := range i.Tags.Transitive {
		if _, ok := i.Tags.Principal[key]; !ok {
			return false
		}
	}
	return true
}

func fitsSourceIdentity(s string, most int) bool {
	return len(s) >= minSessionName && len(s) <= most && isNameText(s)
}

func fitsTagValue(s string) bool {
	return utf8.RuneCountInString(s) <= maxTagValue && isTagText(s)
}

// isTagText reports whether s has only the characters of
// [\p{L}\p{Z}\p{N}_.:/=+\-@].
func isTagText(s string) bool {
	for _, c := range s {
		if !unicode.In(c, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", c) {
			return false
		}
	}
	return utf8.ValidString(s)
}
