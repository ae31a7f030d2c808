package vouch

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"mcp-credential-broker/broker/dpop"
	"mcp-credential-broker/broker/httpsig"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// An Authorization says in whose name a call to the credential API is made, and
// proves it: Bearer or Signed.
type Authorization interface {
	// authorize adds to r's header what Vouch wants to see. n holds what Vouch
	// asked for in its answer to an earlier try of the same call. It reports
	// whether a try with other nonces could come to another end.
	authorize(r *upstream.Request, n nonces) (retriable bool, err error)
}

// Bearer relays a token that needs no proof. Vouch takes it before v2026.6.3.
type Bearer struct{ Token secret.String }

func (b Bearer) authorize(r *upstream.Request, _ nonces) (bool, error) {
	if !isBearer(b.Token.Reveal()) {
		return false, fmt.Errorf("%w: not a bearer token", ErrRequest)
	}
	r.Header.Set("Authorization", "Bearer "+b.Token.Reveal())
	return false, nil
}

// Signed uses a token that Vouch issued to the broker and bound to the broker's
// key. Every request carries a DPoP proof (RFC 9449) and a signature (RFC 9421).
type Signed struct {
	Token secret.String
	// Key is the one that the token is bound to.
	Key *p256.Key
	// Source names the program that asked, in the alphabet of STS's tags. Vouch
	// then marks the AWS session as an agent's.
	Source string
	Now    func() time.Time
}

func (s Signed) authorize(r *upstream.Request, n nonces) (bool, error) {
	if !isBearer(s.Token.Reveal()) {
		return false, fmt.Errorf("%w: not an access token", ErrRequest)
	}
	now := s.Now()
	proof, err := dpop.Proof{
		Method: r.Method, URL: r.URL, Token: s.Token, Nonce: n.dpop, Source: s.Source, Issued: now,
	}.Sign(s.Key)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	r.Header.Set("Authorization", "DPoP "+s.Token.Reveal())
	r.Header.Set("DPoP", proof)
	components := []string{"@method", "@authority", "@path", "@query", "authorization", "dpop"}
	if len(r.Body) > 0 {
		r.Header.Set("Content-Digest", httpsig.ContentDigest(r.Body))
		components = append(components, "content-type", "content-digest")
	}
	err = httpsig.Sign(s.Key, httpsig.Message{Method: r.Method, URL: r.URL, Header: r.Header},
		httpsig.Params{Components: components, Created: now, Nonce: n.signature})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return true, nil
}

// nonces are what a server handed out to be signed: for the proof and for the
// signature. Either may be empty.
type nonces struct{ dpop, signature string }

func noncesOf(answer http.Header) nonces {
	return nonces{dpop.Nonce(answer), httpsig.Nonce(answer)}
}

// isBearer reports whether token fits the grammar of RFC 6750 section 2.1, which
// is RFC 9449's too. One with a line break in it would add headers of its own.
func isBearer(token string) bool {
	body := strings.TrimRight(token, "=")
	for _, c := range []byte(body) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && strings.IndexByte("-._~+/", c) < 0 {
			return false
		}
	}
	return body != ""
}
