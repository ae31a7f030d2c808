package openssh

import "strings"

// looksPrivate reports whether text holds the mark of a private key: a PEM,
// PKCS #8 or ssh.com label, a PuTTY file header, or the first bytes of an
// OpenSSH private key whose label was lost. Pasting destroys case, white space
// and line breaks, so only letters and digits are compared, without case.
func looksPrivate(text string) bool {
	flat := flatten(text)
	return strings.Contains(flat, "puttyuserkeyfile") ||
		strings.Contains(flat, "b3blbnnzac1rzxktdje") || // base64 of "openssh-key-v1"
		hasPrivateLabel(flat, "begin") ||
		hasPrivateLabel(flat, "end") // the first line was not copied
}

// hasPrivateLabel reports whether word is followed by "private key" within the
// length of a label. Between the two words may stand what is left of an escaped
// space, such as "%20".
func hasPrivateLabel(flat, word string) bool {
	const (
		labelLength = 48
		gapLength   = 6
	)
	for {
		_, after, found := strings.Cut(flat, word)
		if !found {
			return false
		}
		label := after[:min(len(after), labelLength)]
		if _, tail, found := strings.Cut(label, "private"); found &&
			strings.Contains(tail[:min(len(tail), gapLength+len("key"))], "key") {
			return true
		}
		flat = after
	}
}

// flatten keeps ASCII letters, in lower case, and digits.
func flatten(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return -1
		}
	}, text)
}
