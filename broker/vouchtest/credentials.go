package vouchtest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
)

const (
	maxCredentialBody = 8 << 10
	maxRoleARNBytes   = 2048

	claimSourceIdentity = "https://aws.amazon.com/source_identity"
	claimTags           = "https://aws.amazon.com/tags"
	claimRoles          = "https://aws.amazon.com/roles"
)

// What Vouch lets into the claims of an AWS ID token.
var (
	roleForm   = regexp.MustCompile(`^arn:aws[^:]*:iam::[0-9]{12}:role/(?:[!-~]*/)?[\w+=,.@-]{1,64}$`)
	sourceForm = regexp.MustCompile(`^[\w+=,.@-]{2,256}$`) // of a source identity
	tagForm    = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$`)
)

// call is a request to the credential API that passed every check.
type call struct {
	body []byte
	// source names the agent behind it; see proof.
	source string
}

// credential puts Vouch's checks before the handler of a credential, in Vouch's
// order: size, signature, token, audience, session, binding,
// hardware.
func (v *Vouch) credential(h func(w http.ResponseWriter, r *http.Request, c call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxCredentialBody+1))
		if err != nil || len(body) > maxCredentialBody {
			writeText(w, http.StatusRequestEntityTooLarge, "length limit exceeded")
			return
		}
		if err := v.checkSignature(r, body); err != nil {
			v.refuseSignature(w, err, body)
			return
		}
		if v.latest() {
			w = &signedWriter{w, v}
		}
		claims, refused := v.authenticate(r)
		if refused == nil && (!claims.HardwareVerified || v.softwareOnly.Load()) {
			refused = &apiError{http.StatusForbidden, "hardware_required", "sign in with a security key"}
		}
		if refused != nil {
			v.refuse(w, *refused)
			return
		}
		h(w, r, call{body, claims.source})
	}
}

// awsToken serves GET /v1/credentials/aws/token.
func (v *Vouch) awsToken(w http.ResponseWriter, r *http.Request, c call) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(q["role_arn"]) > 1 {
		writeText(w, http.StatusBadRequest, "Failed to deserialize query string")
		return
	}
	role := q.Get("role_arn")
	if q.Has("role_arn") && (len(role) > maxRoleARNBytes || !roleForm.MatchString(role)) {
		v.refuse(w, apiError{http.StatusBadRequest, "invalid_role_arn", "role_arn is not the ARN of a role"})
		return
	}
	person := v.person()
	if !sourceForm.MatchString(person.Email) || !tagForm.MatchString(person.Email) || !tagForm.MatchString(person.Domain) || !tagForm.MatchString(c.source) {
		v.refuse(w, apiError{http.StatusInternalServerError, "claims_error", "the e-mail address or a tag does not fit AWS"})
		return
	}
	token, err := v.mintAWS(role, c.source)
	if err != nil {
		v.refuse(w, apiError{http.StatusInternalServerError, "token_error", "the token could not be made"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id_token": token, "expires_in": int64(sessionLife.Seconds())})
}

// readJSON reads the members of a JSON object. It answers for itself, in plain
// text, when the body is something else.
func readJSON(w http.ResponseWriter, r *http.Request, body []byte) (map[string]json.RawMessage, bool) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != contentTypeJSON {
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
