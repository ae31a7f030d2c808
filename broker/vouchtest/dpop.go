package vouchtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	proofType     = "dpop+jwt"
	maxProofAge   = 300 * time.Second
	maxProofAhead = 60 * time.Second

	codeBadProof = "invalid_dpop_proof"
	codeUseNonce = "use_dpop_nonce"
)

var (
	errProof      = errors.New("DPoP proof is not valid")
	errProofNonce = errors.New("DPoP proof has no nonce that is known")
)

// proof is what a verified DPoP proof says (RFC 9449 section 4.2).
type proof struct {
	// thumbprint of the key that made it, as in cnf.jkt.
	thumbprint string
	// source names the agent behind the request, Vouch's own claim; it may be
	// empty.
	source string

	id, nonce string
}

// proofCode is the error code that stands for an error of verifyProof.
func proofCode(err error) string {
	if errors.Is(err, errProofNonce) {
		return codeUseNonce
	}
	return codeBadProof
}

// verifyProof verifies the one DPoP proof of a request (RFC 9449 section 4.3).
// At a resource the proof is for the access token and a nonce is optional; at
// the token and PAR endpoints, where accessToken is empty, it is needed. The
// errors are errProof and errProofNonce.
func (v *Vouch) verifyProof(r *http.Request, accessToken string) (*proof, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) != 1 {
		return nil, errProof
	}
	p, err := v.readProof(headers[0], r.Method, v.options.Issuer+r.URL.EscapedPath(), accessToken)
	if err != nil {
		return nil, errProof
	}
	now := v.now()
	// Without this, whoever sees a request can send it again.
	if !v.spent.add("proof "+p.id, now.Add(maxProofAge+maxProofAhead), now) {
		return nil, errProof
	}
	if p.nonce == "" && accessToken == "" || p.nonce != "" && !v.nonces.has(p.nonce, now) {
		return nil, errProofNonce
	}
	return p, nil
}

// readProof verifies all of a proof that needs no memory.
func (v *Vouch) readProof(text, method, uri, accessToken string) (*proof, error) {
	p := &proof{}
	claims := jwt.MapClaims{}
	parser := jwt.NewParser(
		jwt.WithValidMethods([]string{clientAlg}), jwt.WithStrictDecoding(), jwt.WithTimeFunc(v.now),
		jwt.WithIssuedAt(), jwt.WithLeeway(maxProofAhead),
	)
	_, err := parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		key, err := proofKey(t)
		if err != nil {
			return nil, err
		}
		p.thumbprint, err = key.thumbprint()
		return key.public, err
	})
	if err != nil {
		return nil, err
	}
	issued, err := claims.GetIssuedAt()
	if err != nil || issued == nil || v.now().Sub(issued.Time) > maxProofAge {
		return nil, errProof
	}
	var target string
	for name, to := range map[string]*string{"jti": &p.id, "htu": &target, "nonce": &p.nonce, "source": &p.source} {
		value, ok := claims[name]
		if !ok {
			continue
		}
		if *to, ok = value.(string); !ok || *to == "" {
			return nil, errProof
		}
	}
	if p.id == "" || claims["htm"] != method || !sameTarget(target, uri) {
		return nil, errProof
	}
	if accessToken != "" && claims["ath"] != hashOf(accessToken) {
		return nil, errProof
	}
	return p, nil
}

// proofKey returns the key that a proof carries in its header.
func proofKey(t *jwt.Token) (*clientKey, error) {
	_, critical := t.Header["crit"]
	if t.Header["typ"] != proofType || critical {
		return nil, errProof
	}
	text, err := json.Marshal(t.Header["jwk"])
	if err != nil {
		return nil, errProof
	}
	key, err := parseJWK(text)
	if err != nil || !key.signs() {
		return nil, errProof
	}
	return &key, nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sameTarget compares a proof's htu with the URI of the request, without query
// and fragment and after normalisation (RFC 9449 section 4.3).
func sameTarget(htu, uri string) bool {
	have, ok1 := normalizeTarget(htu)
	want, ok2 := normalizeTarget(uri)
	return ok1 && ok2 && have == want
}

func normalizeTarget(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil {
		return "", false
	}
	origin, ok := originOf(u)
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return origin + path, ok
}

// originOf returns scheme and host, in lower case and without a default port.
func originOf(u *url.URL) (string, bool) {
	port, ok := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	host := strings.ToLower(u.Host)
	return u.Scheme + "://" + strings.TrimSuffix(host, port), ok && host != ""
}
