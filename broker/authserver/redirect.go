package authserver

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/glob"
)

const (
	// urlCharacters are those of RFC 3986 section 2, without "#": a redirect URI
	// has no fragment (RFC 6749 section 3.1.2). A backslash, which browsers take
	// for a slash, is not among them, nor is anything that ends a header line.
	urlCharacters = ascii.Alphanumeric + "-._~:/?[]@!$&'()*+,;=%"
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

// redirectFault tells why no client at all may have uri, or "".
func redirectFault(uri string) string {
	u := parseRedirectURI(uri)
	_, _, loopback := splitLoopback(uri)
	switch {
	case u == nil:
		return "A redirect URI is an absolute URI of at most 512 characters, without a fragment, a user, or a parameter such as code or state."
	case u.Scheme == "https":
		if strings.HasPrefix(uri, "https://") && isHostName(strings.ToLower(u.Hostname())) && validPort(strings.TrimPrefix(u.Host, u.Hostname())) {
			return ""
		}
		return "A redirect URI on https needs a public host name; a program on this computer uses http on localhost, 127.0.0.1 or [::1]."
	case u.Scheme == "http" && !loopback:
		return "A redirect URI on http must be on localhost, 127.0.0.1 or [::1]; elsewhere it must be https."
	case u.Scheme != "http" && !ValidRedirectURI(uri):
		return "A redirect URI of that scheme is never taken."
	}
	return ""
}

// operatorFault tells why the operator does not let access go to uri, which has no
// redirectFault, or "". Anybody can register any client, so that where access goes
// is the one thing about it that nobody can make up.
func (c Config) operatorFault(uri string) string {
	host := redirectHost(uri)
	switch {
	case strings.HasPrefix(uri, "http://"), c.listsRedirectURI(uri):
		return ""
	case strings.HasPrefix(uri, "https://"):
		if c.AllowedRedirectHosts.Match(host) {
			return ""
		}
		return "This broker does not let access go to " + host + "; if it should, its operator adds that host to ALLOWED_REDIRECT_HOSTS."
	}
	return "This broker does not let access go to programs that open " + host + " links; if it should, its operator adds the redirect URI to ALLOWED_REDIRECT_URIS."
}

// usableRedirectURI reports whether access may go to uri.
func (c Config) usableRedirectURI(uri string) bool {
	return redirectFault(uri) == "" && c.operatorFault(uri) == ""
}

// mayTell reports whether a browser may be sent to a usable uri although its
// person has agreed to nothing. Anybody makes a client: were every one told, a
// link to us would lead anywhere (RFC 9700 section 4.11.2). That the operator
// opened the list to everybody names nobody.
func (c Config) mayTell(uri string) bool {
	named := slices.ContainsFunc(c.AllowedRedirectHosts, func(g *glob.Glob) bool {
		return strings.Trim(g.String(), "*") != "" && g.Match(redirectHost(uri))
	})
	return named || !strings.HasPrefix(uri, "https://")
}

// listsRedirectURI reports whether the operator listed the URI of a native app. A
// star in an entry is the name that its user chose: part of one path segment.
func (c Config) listsRedirectURI(uri string) bool {
	return slices.ContainsFunc(c.AllowedRedirectURIs, func(listed string) bool {
		before, after, free := strings.Cut(listed, "*")
		if !free {
			return ValidRedirectURI(uri) && uri == listed
		}
		name, head := strings.CutPrefix(uri, before)
		name, tail := strings.CutSuffix(name, after)
		plain, _ := url.PathUnescape(name) // empty with an error; an app may decode before it looks
		return ValidRedirectURI(uri) && head && tail && strings.Trim(name, ascii.Alphanumeric+"-._~%") == "" &&
			strings.Trim(plain, ".") != "" && !strings.ContainsAny(plain, `/\`)
	})
}

// redirectHost is where a redirect URI leads, for people, logs and globs: its host
// in small letters, with a port that is not the default one; the host alone on
// this machine; the scheme and its colon for a native app.
func redirectHost(uri string) string {
	if host, _, ok := splitLoopback(uri); ok {
		return host
	}
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "https":
		return strings.TrimSuffix(strings.ToLower(u.Host), ":443")
	}
	return u.Scheme + ":"
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
	if len(host) > maxHostBytes {
		return false
	}
	for _, label := range labels {
		if !ascii.Only(label, ascii.Lower+ascii.Digits+"-_") {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(labels) > 1 && last[0] >= 'a' && last[0] <= 'z'
}
