package oauth

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"mcp-credential-broker/broker/ascii"
)

// MetadataPath is where a ProtectedResource document is found: at this path for
// a resource at the root, followed by the resource's own path for another one
// (RFC 9728 section 3.1).
const MetadataPath = "/.well-known/oauth-protected-resource"

// ProtectedResource is the metadata document of a resource server, in JSON (RFC
// 9728 section 2). Clients compare Resource with the URL that they know, and an
// entry of AuthorizationServers with the issuer, byte for byte.
type ProtectedResource struct {
	Resource               string   `json:"resource"`
	AuthorizationServers   []string `json:"authorization_servers"`
	ScopesSupported        []string `json:"scopes_supported,omitempty"`
	BearerMethodsSupported []string `json:"bearer_methods_supported,omitempty"`
	ResourceName           string   `json:"resource_name,omitempty"`
	ResourceDocumentation  string   `json:"resource_documentation,omitempty"`
}

var errNotResource = errors.New("resource is not a plain absolute http or https URL")

// NormalizeResource returns a resource identifier (RFC 8707 section 2) as the
// WHATWG URL standard writes it, which is what Vouch puts into aud: scheme and
// host in lower case, no default port, "/" for an empty path.
//
// What that standard would rewrite in other ways is an error: userinfo, query,
// fragment, dot segments, backslashes, blanks and anything else that is not
// visible ASCII, percent signs in the host. Two spellings of one identifier are
// not worth a look-alike that normalisation makes ours.
func NormalizeResource(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || strings.ContainsAny(s, `?#\`) || strings.Trim(s, visible) != "" {
		return "", errNotResource
	}
	defaultPort := map[string]string{"http": "80", "https": "443"}[u.Scheme] // Parse has lowered the scheme
	host, ok := normalizeHost(u.Host, defaultPort)
	if defaultPort == "" || !ok {
		return "", errNotResource
	}
	// The path is taken from s: Parse decodes, and the comparison is by byte.
	_, path, _ := strings.Cut(s[len(u.Scheme)+len("://"):], "/")
	for segment := range strings.SplitSeq(path, "/") {
		if isDots(segment) {
			return "", errNotResource
		}
	}
	return u.Scheme + "://" + host + "/" + path, nil
}

// IsAt reports whether the Host header of a request names the host of origin,
// which is in the form that NormalizeResource returns, without the slash. The
// default port may stand in it (RFC 9110 section 7.2).
func IsAt(host, origin string) bool {
	scheme, own, _ := strings.Cut(origin, "://")
	if host == own && own != "" {
		return true
	}
	normal, err := NormalizeResource(scheme + "://" + host)
	return err == nil && normal == origin+"/"
}

// visible is the URL characters of ASCII (RFC 3986 section 2).
const visible = ascii.Alphanumeric + "-._~:/?#[]@!$&'()*+,;=%"

// normalizeHost lowers the host of hostport and drops the default port.
func normalizeHost(hostport, defaultPort string) (string, bool) {
	host, port := hostport, ""
	if colon := strings.LastIndexByte(hostport, ':'); colon > strings.LastIndexByte(hostport, ']') {
		host, port = hostport[:colon], hostport[colon+1:]
	}
	name, allowed := host, ascii.Alphanumeric+"-._"
	if inner, isIPv6 := strings.CutPrefix(host, "["); isIPv6 {
		name, allowed = strings.TrimSuffix(inner, "]"), ascii.Hex+":."
	}
	if !ascii.Only(name, allowed) {
		return "", false
	}
	host = strings.ToLower(host)
	if port == "" {
		return host, true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", false
	}
	if port = strconv.FormatUint(n, 10); port == defaultPort {
		return host, true
	}
	return host + ":" + port, true
}

// isDots reports whether a WHATWG parser takes segment for "." or "..".
func isDots(segment string) bool {
	plain := strings.ReplaceAll(strings.ToLower(segment), "%2e", ".")
	return plain == "." || plain == ".."
}
