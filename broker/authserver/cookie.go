package authserver

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"time"
)

const (
	browserCookie     = "broker"
	transactionCookie = "broker-signin-" // and the transaction's id

	browserBytes = 32
	// maxTransactions is how many sign-ins one browser may have under way. More
	// cookies would make its requests too long for servers to take.
	maxTransactions = 4
	// maxTransactionBytes is below the 4096 that browsers keep for one cookie.
	maxTransactionBytes = 3584
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

// browser returns the hash of what a browser's cookie holds, if it has one.
func (c Config) browser(r *http.Request) (hash, bool) {
	cookie, err := r.Cookie(c.cookieName(browserCookie))
	if err != nil {
		return hash{}, false
	}
	value, err := base64.RawURLEncoding.Strict().DecodeString(cookie.Value)
	return sha256.Sum256(value), err == nil && len(value) == browserBytes
}

// ensureBrowser returns the hash of a browser's cookie, and the cookie to set if
// it has none yet. One that it has is kept: it belongs to its other tabs too.
func (c Config) ensureBrowser(r *http.Request) (hash, []*http.Cookie) {
	if known, ok := c.browser(r); ok {
		return known, nil
	}
	value := make([]byte, browserBytes)
	_, _ = rand.Read(value) // never fails
	text := base64.RawURLEncoding.EncodeToString(value)
	return sha256.Sum256(value), []*http.Cookie{c.cookie(browserCookie, text, 0)}
}

// clearOldTransactions clears all but the youngest cookies of sign-ins, so that
// there is room for one more. Browsers send the oldest first (RFC 6265 section
// 5.4).
func (c Config) clearOldTransactions(r *http.Request) []*http.Cookie {
	var names []string
	for _, cookie := range r.Cookies() {
		if strings.HasPrefix(cookie.Name, c.cookieName(transactionCookie)) {
			names = append(names, strings.TrimPrefix(cookie.Name, c.cookieName("")))
		}
	}
	var old []*http.Cookie
	for i := 0; i <= len(names)-maxTransactions; i++ {
		old = append(old, c.clear(names[i]))
	}
	return old
}
