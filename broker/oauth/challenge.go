package oauth

import "strings"

// A Challenge is the value of a WWW-Authenticate header of a resource server
// (RFC 6750 section 3, RFC 9728 section 5.1). Empty fields are left out.
type Challenge struct {
	// Error is invalid_request (status 400), invalid_token (401) or
	// insufficient_scope (403). It is empty when no credentials came (401).
	Error string
	// Description is one plain sentence for developers.
	Description string
	// ResourceMetadata is the absolute URL of the ProtectedResource document.
	ResourceMetadata string
	// Scopes are all that the operation needs.
	Scopes []string
}

// String renders c in one line of visible ASCII, every value quoted. Characters
// that would end a value, or that clients which search the header instead of
// parsing it take for a delimiter, become spaces.
func (c Challenge) String() string {
	scope := parameter{"scope", clean(strings.Join(c.Scopes, " "), "=,")}
	metadata := parameter{"resource_metadata", clean(c.ResourceMetadata, "")}
	description := parameter{"error_description", clean(c.Description, "=,")}
	parameters := []parameter{{"error", clean(c.Error, "=,")}, description, metadata, scope}
	if c.Error == "insufficient_scope" {
		parameters = []parameter{parameters[0], scope, metadata, description} // as the MCP specification prints it
	}
	var rendered []string
	for _, p := range parameters {
		if p.value != "" {
			rendered = append(rendered, p.name+`="`+p.value+`"`)
		}
	}
	return strings.TrimSpace("Bearer " + strings.Join(rendered, ", "))
}

type parameter struct{ name, value string }

// clean keeps what RFC 6750 section 3 allows inside the quotes, without
// excluded. A line break or a quote would let a value add headers or parameters.
func clean(s, excluded string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' || strings.ContainsRune(excluded, r) {
			return ' '
		}
		return r
	}, s)
}
