package authserver

import (
	"context"
	"crypto/sha256"
	"net/http"
)

// registered is the answer to a registration (RFC 7591 section 3.2.1).
type registered struct {
	ClientID      string   `json:"client_id"`
	IssuedAt      int64    `json:"client_id_issued_at"`
	Name          string   `json:"client_name,omitempty"`
	RedirectURIs  []string `json:"redirect_uris"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
	Scope         string   `json:"scope"`
}

// register registers a client (RFC 7591) without keeping anything. What a client
// wants beyond what there is, is replaced, and the answer tells it so.
func (s *Server) register(_ context.Context, r *http.Request, e *Event) (*answer, error) {
	// The type makes a browser ask first (CORS), so that a page cannot do this
	// with a plain form.
	body, err := readBody(r, "application/json", maxRegistrationBytes)
	if err != nil {
		return nil, bodyRefusal("invalid_client_metadata", "The body must be application/json of at most 16 KiB.", err)
	}
	reg, err := readRegistration(body)
	if err != nil {
		return nil, err
	}
	e.ClientName = reg.Name
	if reg, err = s.Config.allowed(reg); err != nil {
		return nil, err
	}
	id := reg.id()
	if len(id) > maxClientIDBytes {
		return nil, invalid("invalid_client_metadata", "The client name and redirect URIs are too long: their client_id would have more than 1536 characters.")
	}
	e.ClientID = clientRef(sha256.Sum256([]byte(id)))
	return &answer{status: http.StatusCreated, json: registered{
		ClientID:      id,
		IssuedAt:      s.Config.Now().Unix(),
		Name:          reg.Name,
		RedirectURIs:  reg.RedirectURIs,
		GrantTypes:    []string{"authorization_code"},
		ResponseTypes: []string{"code"},
		AuthMethod:    "none",
		Scope:         AllScopes.String(),
	}}, nil
}
