package authserver

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxRedirectURIBytes bounds a redirect URI, which is sealed into a cookie.
const maxRedirectURIBytes = 512

const (
	lowerAlphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	alphanumeric      = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + lowerAlphanumeric
	// urlCharacters are those of RFC 3986 section 2, without "#": a redirect URI
	// has no fragment (RFC 6749 section 3.1.2). A backslash, which browsers take
	// for a slash, is not among them, nor is anything that ends a header line.
	urlCharacters = alphanumeric + "-._~:/?[]@!$&'()*+,;=%"
)

// loopbackHosts are the only spellings of this machine's own addresses that are
// taken. They are three different ones: a client that listens on one of them
// may not own the port on another.
var loopbackHosts = [...]string{"localhost", "127.0.0.1", "[::1]"}

// scriptSchemes are schemes whose URIs a browser runs or reads by itself.
var scriptSchemes = [...]string{"javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source"}

// responseParameters may not be in a redirect URI already: a client would find
// two of them and might take the wrong one.
var responseParameters = [...]string{"code", "state", "iss", "error", "error_description", "error_uri", "response"}

// ValidRedirectURI reports whether uri can be in Config.AllowedRedirectURIs: an
// absolute URI of a native app's private scheme (RFC 8252 section 7.1), without
// a fragment, that no browser runs by itself.
func ValidRedirectURI(uri string) bool {
	u := parseRedirectURI(uri)
	return u != nil && u.Scheme != "https" && u.Scheme != "http" && !slices.Contains(scriptSchemes[:], u.Scheme)
}

// usableRedirectURI reports whether a client may have uri: https on a host with
// a name, http on this machine, or one that the operator allowed.
func (c Config) usableRedirectURI(uri string) bool {
	u := parseRedirectURI(uri)
	switch {
	case u == nil:
		return false
	case strings.HasPrefix(uri, "https://"):
		return isHostName(strings.ToLower(u.Hostname())) && validPort(strings.TrimPrefix(u.Host, u.Hostname()))
	case strings.HasPrefix(uri, "http://"):
		_, _, loopback := splitLoopback(uri)
		return loopback
	default:
		return ValidRedirectURI(uri) && slices.Contains(c.AllowedRedirectURIs, uri)
	}
}

// parseRedirectURI returns nil for what no redirect URI is, of any scheme.
func parseRedirectURI(uri string) *url.URL {
	if len(uri) > maxRedirectURIBytes || strings.Trim(uri, urlCharacters) != "" {
		return nil
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" || u.User != nil {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || slices.ContainsFunc(responseParameters[:], query.Has) {
		return nil
	}
	return u
}

// matchRedirectURI reports whether a client that registered one URI may ask for
// another: the same, byte for byte, except that on this machine the port does
// not count, since an app takes the one that is free (RFC 8252 section 7.3).
// Nothing is decoded or normalised. Whatever a parser could read differently
// makes the two differ.
func matchRedirectURI(registered, asked string) bool {
	if registered == asked {
		return true
	}
	hostA, restA, okA := splitLoopback(registered)
	hostB, restB, okB := splitLoopback(asked)
	return okA && okB && hostA == hostB && restA == restB
}

// splitLoopback takes apart an http URI on this machine: its host as written,
// and all behind the port. The host ends at once or at a port of digits, so that
// neither "localhost.evil.example" nor "localhost:1@evil.example" is one.
func splitLoopback(uri string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(uri, "http://")
	for _, host := range loopbackHosts {
		rest, found := strings.CutPrefix(after, host)
		if !ok || !found {
			continue
		}
		end := strings.IndexAny(rest, "/?")
		if end < 0 {
			end = len(rest)
		}
		return host, rest[end:], validPort(rest[:end])
	}
	return "", "", false
}

// validPort reports whether s is what may come after a host: nothing, or a colon
// and a port from 1 to 65535 in its one spelling.
func validPort(s string) bool {
	if s == "" {
		return true
	}
	digits, ok := strings.CutPrefix(s, ":")
	n, err := strconv.ParseUint(digits, 10, 16)
	return ok && err == nil && n > 0 && strconv.FormatUint(n, 10) == digits
}

// isHostName reports whether a host, in lower case, is a name in the public DNS
// by its form: two labels or more, the last of which starts with a letter. So an
// IPv4 address is none in any of the notations that a URL parser would take
// (decimal, octal, hexadecimal, fewer than four parts), nor is an IPv6 address.
func isHostName(host string) bool {
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || strings.Trim(label, lowerAlphanumeric+"-_") != "" {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(labels) > 1 && last[0] >= 'a' && last[0] <= 'z'
}
