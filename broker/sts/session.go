package sts

import (
	"encoding/base64"
	"strings"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/strictjson"
	"mcp-credential-broker/broker/upstream"
)

// defaultSessionName is that of the published guide.
const defaultSessionName = "vouch-mcp"

// SessionName returns the role session name for an ID token's subject: the
// subject itself where STS's grammar allows it, because the trust policies that
// Vouch documents compare the two. Characters that STS refuses are dropped, and
// what is beyond 64; if fewer than 2 remain, it is "vouch-mcp".
func SessionName(sub string) string {
	name := keepSessionName(sub)
	name = name[:min(len(name), maxSessionName)]
	if len(name) < minSessionName {
		return defaultSessionName
	}
	return name
}

// keepSessionName drops what is outside [A-Za-z0-9_+=,.@-], the alphabet of
// session names and of role names.
func keepSessionName(s string) string {
	return strings.Map(func(r rune) rune {
		if isWord(r) || strings.ContainsRune("+=,.@-", r) {
			return r
		}
		return -1
	}, s)
}

func isWord(r rune) bool {
	return r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// UnverifiedSubject reads "sub" from the payload of a JWT, or returns "" when
// there is no such text. The signature is not verified, so this is good for the
// SessionName of the very request that hands the token to STS, which verifies
// it, and for nothing else.
func UnverifiedSubject(idToken secret.String) string {
	_, rest, _ := strings.Cut(idToken.Reveal(), ".")
	encoded, signature, found := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || !found || strings.Contains(signature, ".") {
		return ""
	}
	claims, _ := strictjson.Read(payload, upstream.MaxAnswerBytes) // without members if it is no JSON object
	return claims.Member("sub").Str                                // empty for every other type
}
