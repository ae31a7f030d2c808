package authserver

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	browserCookie     = "broker-browser-" // and a few random characters
	transactionCookie = "broker-signin-"  // and the transaction's id

	browserBytes     = 32
	browserNameChars = 6
)

// cookieName is name with the prefix that makes browsers refuse the cookie from
// any other host, a sibling of ours included (RFC 6265bis section 4.1.3.2).
// Plain http, on a loopback host, cannot have it.
func (c Config) cookieName(name string) string {
	if c.isSecure() {
		return "__Host-" + name
	}
	return name
}

func (c Config) isSecure() bool { return strings.HasPrefix(c.Issuer, "https://") }

// cookie makes a cookie. It is Lax: Vouch's redirect to the callback is a
// navigation that comes from another site.
func (c Config) cookie(name, value string, maxAge time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: c.cookieName(name), Value: value, Path: "/", MaxAge: wholeSeconds(maxAge),
		HttpOnly: true, Secure: c.isSecure(), SameSite: http.SameSiteLaxMode,
	}
}

// clear makes a cookie that removes the one with the name.
func (c Config) clear(name string) *http.Cookie {
	gone := c.cookie(name, "", 0)
	gone.MaxAge = -1
	return gone
}

// browsers returns the hashes of what a browser's cookies hold. A browser that
// opened several pages at once, before it had a cookie, has one of each.
func (c Config) browsers(r *http.Request) []hash {
	var known []hash
	for _, cookie := range r.Cookies() {
		if !strings.HasPrefix(cookie.Name, c.cookieName(browserCookie)) {
			continue
		}
		value, err := base64.RawURLEncoding.Strict().DecodeString(cookie.Value)
		if err == nil && len(value) == browserBytes {
			known = append(known, sha256.Sum256(value))
		}
	}
	return known
}

// isBrowser reports whether a request comes from the browser that was shown a page
// with that cookie, whatever else it was shown since.
func (c Config) isBrowser(r *http.Request, shown hash) bool {
	same := false
	for _, known := range c.browsers(r) {
		same = equal(known, shown) || same
	}
	return same
}

// ensureBrowser returns the hash of a browser's cookie, and the cookie to set if
// it has none yet. One that it has is kept: it belongs to its other tabs too. A
// new one has a name of its own, so that of two pages that were asked for at once
// neither takes the other's cookie away.
func (c Config) ensureBrowser(r *http.Request) (hash, []*http.Cookie) {
	if known := c.browsers(r); len(known) > 0 {
		return known[0], nil
	}
	value := make([]byte, browserBytes)
	_, _ = rand.Read(value) // never fails
	text := base64.RawURLEncoding.EncodeToString(value)
	return sha256.Sum256(value), []*http.Cookie{c.cookie(browserCookie+rand.Text()[:browserNameChars], text, 0)}
}

// transactionID is the id of a sign-in that begins now. Ids of later ones are
// greater: a browser sends its cookies in any order.
func transactionID(now time.Time) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))) + rand.Text()
}

// clearOldTransactions clears all but the youngest cookies of sign-ins, so that
// there is room for one more.
func (c Config) clearOldTransactions(r *http.Request) []*http.Cookie {
	var names []string
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.cookieName(transactionCookie)) {
			names = append(names, strings.TrimPrefix(cookie.Name, c.cookieName("")))
		}
	}
	slices.Sort(names)
	var old []*http.Cookie
	for i := 0; i <= len(names)-maxTransactions; i++ {
		old = append(old, c.clear(names[i]))
	}
	return old
}
