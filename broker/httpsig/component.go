package httpsig

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"mcp-credential-broker/broker/ascii"
)

const (
	// tokenCharacters are those of a field name (RFC 9110 section 5.6.2), which
	// are in lower case as component names (RFC 9421 section 2.1).
	tokenCharacters = ascii.Lower + ascii.Digits + "!#$%&'*+-.^_`|~"
	// pathCharacters and queryCharacters are what may stand in a path and in a
	// query (RFC 3986 section 3.4). An apostrophe is left out of the query: the
	// WHATWG URL standard encodes it there.
	pathCharacters  = ascii.Alphanumeric + "-._~:/@!$&'()*+,;=%"
	queryCharacters = ascii.Alphanumeric + "-._~:/@!$&()*+,;=%?"
)

// lines returns the lines of the signature base for the named components. It
// refuses what RFC 9421 section 2.5 tells a signer to refuse, and an empty list:
// a signature over nothing could be moved to any request.
func (m Message) lines(names []string) (string, error) {
	if len(names) == 0 {
		return "", fmt.Errorf("%w: none is named", ErrComponent)
	}
	target, err := parseTarget(m.URL)
	if err != nil {
		return "", err
	}
	var lines string
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return "", fmt.Errorf("%w: %q is named twice", ErrComponent, name)
		}
		value, err := m.value(target, name)
		if err != nil {
			return "", err
		}
		lines += `"` + name + `": ` + value + "\n"
	}
	return lines, nil
}

func (m Message) value(target target, name string) (string, error) {
	switch name {
	case "@method":
		return methodValue(m.Method)
	case "@authority":
		return target.authority, nil
	case "@path":
		return target.path, nil
	case "@query":
		return target.query, nil
	}
	return fieldValue(m.Header, name)
}

// methodValue returns the value of @method (RFC 9421 section 2.2.1).
func methodValue(method string) (string, error) {
	// fetch turns "get" into "GET" and sends "patch" as it is.
	if method != strings.ToUpper(method) || !ascii.Only(strings.ToLower(method), tokenCharacters) {
		return "", fmt.Errorf("%w: method is not one in capitals", ErrComponent)
	}
	return method, nil
}

// fieldValue returns the value of a header field: its lines without blanks around
// them, joined with ", " (RFC 9421 section 2.1). Errors do not quote the value,
// which may be a token.
func fieldValue(header http.Header, name string) (string, error) {
	if !ascii.Only(name, tokenCharacters) {
		return "", fmt.Errorf("%w: %q is no component that this package knows", ErrComponent, name)
	}
	canonical := http.CanonicalHeaderKey(name)
	for key := range header {
		// The host would send both lines, and only one would be signed.
		if key != canonical && strings.EqualFold(key, name) {
			return "", fmt.Errorf("%w: %s is in the header under two spellings or an odd one", ErrComponent, name)
		}
	}
	lines := header[canonical]
	if len(lines) == 0 {
		return "", fmt.Errorf("%w: the request has no %s", ErrComponent, name)
	}
	trimmed := make([]string, len(lines))
	for i, line := range lines {
		trimmed[i] = strings.Trim(line, " \t")
		if !isPrintable(trimmed[i]) {
			return "", fmt.Errorf("%w: %s has a character that is not printable ASCII", ErrComponent, name)
		}
	}
	return strings.Join(trimmed, ", "), nil
}

// isPrintable reports whether s is printable ASCII, blanks and tabs included. A
// line break would be obsolete line folding at best, and at worst another line
// of the signature base: a value that signs a component which is not there.
func isPrintable(s string) bool {
	for _, c := range []byte(s) {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// A target holds the components of a URL.
type target struct{ authority, path, query string }

// parseTarget takes a URL apart as it is written (RFC 9421 sections 2.2.3, 2.2.6
// and 2.2.7). What the WHATWG URL standard, and so the host's fetch, would
// rewrite is an error: the signature would be for another request than is sent.
func parseTarget(url string) (target, error) {
	scheme, rest, _ := strings.Cut(url, "://")
	defaultPort := map[string]string{"http": "80", "https": "443"}[scheme]
	if defaultPort == "" {
		return target{}, fmt.Errorf("%w: it is not absolute, http or https", ErrURL)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, err := normalizeAuthority(rest[:end], defaultPort)
	if err != nil {
		return target{}, err
	}
	path, query, _ := strings.Cut(rest[end:], "?")
	if path == "" {
		path = "/"
	}
	if strings.Trim(path, pathCharacters) != "" || strings.Trim(query, queryCharacters) != "" {
		return target{}, fmt.Errorf("%w: it has a fragment or a character that needs encoding", ErrURL)
	}
	for segment := range strings.SplitSeq(strings.ReplaceAll(strings.ToLower(path), "%2e", "."), "/") {
		if segment == "." || segment == ".." {
			return target{}, fmt.Errorf("%w: its path has a dot segment", ErrURL)
		}
	}
	return target{authority, path, "?" + query}, nil
}

// normalizeAuthority lowers the host and drops the default port (RFC 9421 section
// 2.2.3). Userinfo, which is not part of the authority that is sent, is refused.
func normalizeAuthority(authority, defaultPort string) (string, error) {
	host, port := strings.ToLower(authority), ""
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') {
		host, port = host[:colon], host[colon+1:]
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil || strconv.FormatUint(number, 10) != port {
			return "", fmt.Errorf("%w: its port is not a plain number", ErrURL)
		}
	}
	name, allowed := host, ascii.Lower+ascii.Digits+"-._"
	if inner, isIPv6 := strings.CutPrefix(host, "["); isIPv6 && strings.HasSuffix(inner, "]") {
		name, allowed = strings.TrimSuffix(inner, "]"), "abcdef:."+ascii.Digits
	}
	if !ascii.Only(name, allowed) {
		return "", fmt.Errorf("%w: its host is not a plain name or address", ErrURL)
	}
	if port == "" || port == defaultPort {
		return host, nil
	}
	return host + ":" + port, nil
}
