package vouchtest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxCredentialBody = 8 << 10
	maxRoleARNBytes   = 2048
	acceptSignature   = `sig1=("@method" "@authority" "@path" "@query" "authorization"`

	claimSourceIdentity = "https://aws.amazon.com/source_identity"
	claimTags           = "https://aws.amazon.com/tags"
	claimRoles          = "https://aws.amazon.com/roles"
)

// credential puts Vouch's checks before the handler of a credential, in Vouch's
// order: size, signature, token, session, binding, hardware. A later server
// compares the audience between token and session. The rate limit, which comes
// second at Vouch, is put before all of it.
func (v *Vouch) credential(h func(w http.ResponseWriter, r *http.Request, body []byte)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxCredentialBody+1))
		if err != nil || len(body) > maxCredentialBody {
			writeText(w, http.StatusRequestEntityTooLarge, "length limit exceeded")
			return
		}
		if v.options.RequireSignatures {
			v.refuseSignature(w, r, body)
			return
		}
		claims, refused := v.authenticate(r)
		if refused == nil && !claims.HardwareVerified {
			refused = &apiError{http.StatusForbidden, "hardware_required", "sign in with a security key"}
		}
		if refused != nil {
			v.refuse(w, *refused)
			return
		}
		h(w, r, body)
	}
}

// refuseSignature is the answer to a request without an RFC 9421 signature, and
// to one whose signature does not verify.
func (v *Vouch) refuseSignature(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Header.Get("Signature") == "" || r.Header.Get("Signature-Input") == "" {
		components := acceptSignature
		if len(body) > 0 {
			components += ` "content-digest"`
		}
		w.Header().Set("Accept-Signature", components+`);alg="ecdsa-p256-sha256"`)
	}
	v.challenge(w, apiError{})
	writeText(w, http.StatusUnauthorized, signatureText)
}

// authenticate verifies the token of a request and how it was presented.
func (v *Vouch) authenticate(r *http.Request) (*accessClaims, *apiError) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return nil, &apiError{http.StatusUnauthorized, "unauthorized", "an access token is needed"}
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	bearer := strings.EqualFold(scheme, "Bearer")
	if !bearer && !strings.EqualFold(scheme, "DPoP") || token == "" {
		return nil, &apiError{http.StatusUnauthorized, "unauthorized", "an access token is needed"}
	}
	claims, refused := v.check(token)
	if refused != nil {
		return nil, refused
	}
	// A bound token proves nothing without its key, an unbound one nothing
	// under the scheme that promises a proof.
	bound := len(claims.Confirmation) > 0
	switch {
	case bound == bearer:
		return nil, &apiError{http.StatusUnauthorized, "invalid_token", "the scheme does not fit the token"}
	case bound:
		return nil, &apiError{http.StatusUnauthorized, "invalid_dpop_proof", "the proof could not be verified"}
	}
	return claims, nil
}

// awsToken serves GET /v1/credentials/aws/token.
func (v *Vouch) awsToken(w http.ResponseWriter, r *http.Request, _ []byte) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["role_arn"]) > 1 {
		writeText(w, http.StatusBadRequest, "Failed to deserialize query string")
		return
	}
	role := q.Get("role_arn")
	if _, ok := parseRoleARN(role); q.Has("role_arn") && !ok {
		v.refuse(w, apiError{http.StatusBadRequest, "invalid_role_arn", "role_arn is not the ARN of a role"})
		return
	}
	person := v.options.Person
	switch {
	case v.options.NoRSA:
		v.refuse(w, apiError{http.StatusNotImplemented, "rsa_key_unavailable", "no RSA key is configured"})
		return
	case !fitsSourceIdentity(person.Email, maxEmailBytes), !fitsTagValue(person.Email), !fitsTagValue(person.Domain):
		v.refuse(w, apiError{http.StatusInternalServerError, "claims_error", "the e-mail address does not fit AWS"})
		return
	}
	token, err := v.mintAWS(AWSTokenOptions{RoleARN: role})
	if err != nil {
		v.refuse(w, apiError{http.StatusInternalServerError, "token_error", "the token could not be made"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id_token": token, "expires_in": int64(v.lifetime.Seconds())})
}

// readJSON reads the members of a JSON object. It answers for itself, in plain
// text, when the body is something else.
func readJSON(w http.ResponseWriter, r *http.Request, body []byte) (map[string]json.RawMessage, bool) {
	if media, _, err := mime.ParseMediaType(r.Header.Get(contentTypeField)); err != nil || media != contentTypeJSON {
		writeText(w, http.StatusUnsupportedMediaType, "Expected request with `Content-Type: application/json`")
		return nil, false
	}
	if !json.Valid(body) {
		writeText(w, http.StatusBadRequest, "Failed to parse the request body as JSON")
		return nil, false
	}
	var members map[string]json.RawMessage
	if bytes.Equal(bytes.TrimSpace(body), []byte("null")) || json.Unmarshal(body, &members) != nil {
		refuseShape(w)
		return nil, false
	}
	return members, true
}

func refuseShape(w http.ResponseWriter) {
	writeText(w, http.StatusUnprocessableEntity, "Failed to deserialize the JSON body into the target type")
}

// member decodes one member, by its exact name, into to. A missing one and null
// leave it alone.
func member(members map[string]json.RawMessage, name string, to any) bool {
	text, ok := members[name]
	return !ok || json.Unmarshal(text, to) == nil
}
