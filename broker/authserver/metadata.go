package authserver

import (
	"context"
	"net/http"
	"time"
)

// serverMetadata is the document of RFC 8414 section 2. A member without a value
// is left out: null breaks clients that check types.
type serverMetadata struct {
	Issuer                  string   `json:"issuer"`
	AuthorizationEndpoint   string   `json:"authorization_endpoint"`
	TokenEndpoint           string   `json:"token_endpoint"`
	RegistrationEndpoint    string   `json:"registration_endpoint"`
	RevocationEndpoint      string   `json:"revocation_endpoint"`
	ResponseTypes           []string `json:"response_types_supported"`
	ResponseModes           []string `json:"response_modes_supported"`
	GrantTypes              []string `json:"grant_types_supported"`
	TokenAuthMethods        []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods   []string `json:"revocation_endpoint_auth_methods_supported"`
	ChallengeMethods        []string `json:"code_challenge_methods_supported"`
	Scopes                  []string `json:"scopes_supported"`
	ClientMetadataDocuments bool     `json:"client_id_metadata_document_supported"`
	IssuerInResponses       bool     `json:"authorization_response_iss_parameter_supported"`
}

func (s *Server) metadata(context.Context, *http.Request, *Event) (*answer, error) {
	issuer := s.Config.Issuer
	none := []string{"none"}
	return &answer{status: http.StatusOK, maxAge: time.Hour, json: serverMetadata{
		Issuer:                  issuer,
		AuthorizationEndpoint:   issuer + AuthorizePath,
		TokenEndpoint:           issuer + TokenPath,
		RegistrationEndpoint:    issuer + RegisterPath,
		RevocationEndpoint:      issuer + RevokePath,
		ResponseTypes:           []string{"code"},
		ResponseModes:           []string{"query"},
		GrantTypes:              []string{"authorization_code"},
		TokenAuthMethods:        none,
		RevocationAuthMethods:   none,
		ChallengeMethods:        []string{"S256"},
		Scopes:                  AllScopes.Names(),
		ClientMetadataDocuments: true,
		IssuerInResponses:       true,
	}}, nil
}
