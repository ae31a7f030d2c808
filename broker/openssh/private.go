package openssh

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// How far the words of a label may stand apart, in letters and digits. Between
// the last two may be what is left of an escaped space, such as "%20".
const (
	labelLength = 48
	gapLength   = 6
)

// looksPrivate reports whether text holds a private key, or a part of one that
// tells itself: the label of a PEM, PKCS #8 or ssh.com file, a line of a PuTTY
// file, an age identity, the first bytes of a key whose label was lost, or any
// of these in base64.
//
// Pasting destroys case, white space and line breaks, so that marks are sought
// among the letters, digits and hyphens that are left. Beside a public key only
// a mark with its hyphens counts: "begin", "end" and "private key" are words of a
// comment ("backend private key"), and letters of base64.
func looksPrivate(text string) bool {
	return holdsPrivate(text, 2) // a file in base64, and that in base64 again
}

func holdsPrivate(text string, depth int) bool {
	flat := flatten(text)
	if strings.Contains(flat, "b3blbnnzac1rzxktdje") || // base64 of "openssh-key-v1"
		strings.Contains(text, "openssh-key-v1\x00") ||
		strings.Contains(text, `"kty"`) && strings.Contains(text, `"d"`) || // a JWK
		holdsFileMark(flat) ||
		hasLabel(flat, "----begin", "private") ||
		hasLabel(flat, "----end", "private") || // the first line was not copied
		!holdsPublic(flat) && holdsLooseMark(flat) {
		return true
	}
	text = text[:min(len(text), maxEncoded)]
	return holdsEncoded(text, depth) || holdsEncoded(strings.Join(strings.Fields(text), ""), depth)
}

// holdsPublic reports whether there is a public key: in one line, its type and
// the start of its base64, or with the label of another form.
func holdsPublic(flat string) bool {
	for _, mark := range [...]string{
		"ssh-ed25519aaaa", "ssh-rsaaaaa", "ssh-dssaaaa", "nistp256aaaa", "nistp384aaaa", "nistp521aaaa",
		"opensshcomaaaa", // an sk type, a certificate
	} {
		if strings.Contains(flat, mark) {
			return true
		}
	}
	return hasLabel(flat, "----begin", "public")
}

// holdsFileMark reports whether there is the first line of a PuTTY file, one of
// its lines that only a private key has, or an age identity.
func holdsFileMark(flat string) bool {
	const digits, hex, bech32 = "0123456789", "0123456789abcdef", "023456789acdefghjklmnpqrstuvwxyz"
	for _, mark := range [...]struct {
		text, set string
		least     int // how many of the set follow
	}{
		{"putty-user-key-file-", digits, 1}, {"private-lines:", digits, 1}, {"private-mac:", hex, 40}, {"private-hash:", hex, 40},
		{"age-secret-key-1", bech32, 40}, {"age-secret-key-pq-1", bech32, 40},
	} {
		for rest := flat; ; {
			_, after, found := strings.Cut(rest, mark.text)
			if !found {
				break
			}
			if rest = after; len(after)-len(strings.TrimLeft(after, mark.set)) >= mark.least {
				return true
			}
		}
	}
	return false
}

// holdsLooseMark finds the marks whose hyphens were lost, too.
func holdsLooseMark(flat string) bool {
	bare := strings.ReplaceAll(strings.ReplaceAll(flat, "-", ""), ":", "")
	return strings.Contains(bare, "puttyuserkeyfile") || strings.Contains(bare, "privatelines") ||
		strings.Contains(bare, "agesecretkey") ||
		hasLabel(bare, "begin", "private") ||
		hasLabel(bare, "end", "private")
}

// hasLabel reports whether word is followed by kind and "key" within the length
// of a label, which no line of hyphens interrupts.
func hasLabel(flat, word, kind string) bool {
	for {
		_, after, found := strings.Cut(flat, word)
		if !found {
			return false
		}
		label, _, _ := strings.Cut(after[:min(len(after), labelLength)], "---")
		if _, tail, found := strings.Cut(label, kind); found &&
			strings.Contains(tail[:min(len(tail), gapLength+len("key"))], "key") {
			return true
		}
		flat = after
	}
}

// flatten keeps ASCII letters, in lower case, digits, colons, and dashes as the
// hyphens that they were before an editor improved them.
func flatten(text string) string {
	flat := make([]byte, 0, len(text))
	for _, r := range text {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == ':':
			flat = append(flat, byte(r))
		case r >= 'A' && r <= 'Z':
			flat = append(flat, byte(r)-'A'+'a')
		case r == '\u2010', r == '\u2011', r == '\u2012', r == '\u2013', r == '\u2212':
			flat = append(flat, '-')
		case r == '\u2014', r == '\u2015':
			flat = append(flat, "--"...)
		}
	}
	return string(flat)
}

// holdsEncoded reports whether a run of base64 in text is the start of a private
// key, or of text that holds one.
func holdsEncoded(text string, depth int) bool {
	const minRun = 12 // what startsPrivate needs, and less than any mark takes
	isBase64 := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+/-_", r)
	}
	for run := range strings.FieldsFuncSeq(text, func(r rune) bool { return !isBase64(r) }) {
		if len(run) < minRun {
			continue
		}
		run = strings.ReplaceAll(strings.ReplaceAll(run, "-", "+"), "_", "/")
		for skip := range 4 { // where its first group of four starts, if other text touches it
			data, _ := base64.RawStdEncoding.DecodeString(run[skip : skip+(len(run)-skip)/4*4])
			if skip == 0 && startsPrivate(data) || depth > 0 && holdsPrivate(string(data), depth-1) {
				return true
			}
		}
	}
	return false
}

// startsPrivate reports whether der starts as a private key: a sequence of a
// version and something of the kind that follows it in PKCS #1, PKCS #8, SEC 1
// or PKCS #12, or an encrypted PKCS #8. Public keys and certificates start
// otherwise.
func startsPrivate(der []byte) bool {
	body, ok := enterSequence(der)
	if !ok {
		return false
	}
	if bytes.HasPrefix(body, []byte{2, 1}) && len(body) > 3 { // INTEGER of one byte
		version, next := body[2], body[3]
		return version <= 3 && (next == 2 || next == 4 || next == 0x30)
	}
	// OIDs of PBES1 and PBES2 (1.2.840.113549.1.5) and of PKCS #12's ciphers.
	scheme, ok := enterSequence(body)
	return ok && len(scheme) > 2 && scheme[0] == 6 &&
		(bytes.HasPrefix(scheme[2:], []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x05")) ||
			bytes.HasPrefix(scheme[2:], []byte("\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01")))
}

// enterSequence returns what follows the head of a DER sequence, which may be cut
// off.
func enterSequence(der []byte) ([]byte, bool) {
	if len(der) < 2 || der[0] != 0x30 {
		return nil, false
	}
	head := 2
	if long := der[1]; long >= 0x80 {
		head += int(long - 0x80)
	}
	if head > 5 || len(der) <= head {
		return nil, false
	}
	return der[head:], true
}
