package ststest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

const (
	minSubjectChars = 6
	maxSubjectChars = 255
	maxTags         = 50
	clockSkew       = 5 * time.Minute
)

var (
	tagKeyForm   = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$`)
	tagValueForm = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
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

func invalidToken(why string) *refusal {
	return &refusal{http.StatusBadRequest, "InvalidIdentityToken", why}
}

// identify verifies a web identity token with the provider's keys.
func (s *STS) identify(token string) (*identity, *refusal) {
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256", "ES256"}), jwt.WithStrictDecoding(),
		jwt.WithJSONNumber(), jwt.WithoutClaimsValidation(), // the reasons matter here
	)
	claims := jwt.MapClaims{}
	if _, err := parser.ParseWithClaims(token, claims, s.key); err != nil {
		return nil, invalidToken("The web identity token could not be verified.")
	}
	who, err := readIdentity(claims)
	now := s.now()
	switch {
	case err != nil:
		return nil, invalidToken("A claim of the web identity token has the wrong type.")
	case who.Issuer != s.issuer:
		return nil, invalidToken("No OpenIDConnect provider found in your account for the issuer.")
	case who.Audience != s.issuer:
		return nil, invalidToken("Incorrect token audience")
	case who.Expires == 0 || who.IssuedAt == 0:
		return nil, invalidToken("Missing a required claim: exp or iat")
	case utf8.RuneCountInString(who.Subject) < minSubjectChars || utf8.RuneCountInString(who.Subject) > maxSubjectChars:
		return nil, invalidToken("The sub of the web identity token is invalid.")
	case time.Unix(who.IssuedAt, 0).After(now.Add(clockSkew)):
		return nil, invalidToken("The web identity token is from the future.")
	case !time.Unix(who.Expires, 0).After(now):
		return nil, &refusal{http.StatusBadRequest, "ExpiredTokenException", "Token expired"}
	case !who.fitsSession():
		return nil, &refusal{http.StatusForbidden, "IDPRejectedClaim", "The source identity or a tag is invalid."}
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

// fitsSession reports whether the source identity and the session tags keep
// AWS's rules.
func (i *identity) fitsSession() bool {
	if i.SourceIdentity != nil && !nameForm.MatchString(*i.SourceIdentity) {
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
		if !tagKeyForm.MatchString(key) || seen[folded] || len(values) != 1 || !tagValueForm.MatchString(values[0]) {
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
