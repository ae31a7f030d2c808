package authserver

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"

	"mcp-credential-broker/broker/clientname"
	"mcp-credential-broker/broker/strictjson"
)

const unnamed = "unnamed app"

// A client is an OAuth client whose metadata holds.
type client struct {
	idHash       [sha256.Size]byte
	name         string // cleaned, never empty
	host         string // of its metadata document; empty for a registered client
	document     string // the document's URL, likewise
	redirectURIs []string
}

// allows reports whether the client may be answered at uri.
func (c *client) allows(uri string) bool {
	return slices.ContainsFunc(c.redirectURIs, func(registered string) bool { return matchRedirectURI(registered, uri) })
}

var errClientID = errors.New("client id is neither one of this server nor the URL of a metadata document")

// client finds out who has a client id. It fetches if the id is the URL of a
// metadata document.
func (s *Server) client(ctx context.Context, id string) (*client, error) {
	if isDocumentURL(id) {
		return s.documentClient(ctx, id)
	}
	c, err := registeredClient(id)
	if err != nil {
		return nil, invalid("invalid_client", "The app's client_id is not known here; let it register again.").because(err)
	}
	return c, nil
}

// A registration is what a registered client's id says, in this order of
// members. The id is all that remains of a registration (RFC 7591).
type registration struct {
	Name         string   `json:"client_name,omitempty"`
	RedirectURIs []string `json:"redirect_uris"`
}

// id is the registration itself in base64url. It needs no seal: anybody may
// register anything that holds, so a forged one gains nothing, and it is checked
// again at each use.
func (r registration) id() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic("value that JSON cannot hold: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(data)
}

// registeredClient reads a client id back. Only the one spelling that id writes
// is taken: whatever no registration may have, it may not have here. What the
// operator allows now is for the caller to see, so that a client whose host is
// off the list hears that, and not that it must register again.
func registeredClient(id string) (*client, error) {
	if len(id) > maxClientIDBytes {
		return nil, errClientID
	}
	data, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil {
		return nil, errClientID
	}
	r, err := readRegistration(data)
	if err != nil {
		return nil, err
	}
	if r.id() != id {
		return nil, errClientID
	}
	return &client{idHash: sha256.Sum256([]byte(id)), name: orDefault(r.Name, unnamed), redirectURIs: r.RedirectURIs}, nil
}

// readRegistration reads client metadata (RFC 7591 section 2) with redirect URIs
// of which each could be a client's.
func readRegistration(data []byte) (registration, error) {
	members, err := strictjson.Read(data, maxRegistrationBytes)
	if err != nil {
		return registration{}, invalid("invalid_client_metadata", "The body must be one JSON object.").because(err)
	}
	r, err := readClientMetadata(members)
	if err != nil {
		return registration{}, err
	}
	for _, uri := range r.RedirectURIs {
		if fault := redirectFault(uri); fault != "" {
			return registration{}, invalid("invalid_redirect_uri", fault)
		}
	}
	return r, nil
}

// allowed returns r with those of its redirect URIs that the operator allows: an
// app that runs in many places registers one URI for each.
func (c Config) allowed(r registration) (registration, error) {
	var fault string
	var usable []string
	for _, uri := range r.RedirectURIs {
		if why := c.operatorFault(uri); why == "" {
			usable = append(usable, uri)
		} else if fault == "" {
			fault = why
		}
	}
	if usable == nil {
		return registration{}, invalid("invalid_redirect_uri", fault)
	}
	return registration{r.Name, usable}, nil
}

// clientRef names a client in log lines, those of its calls included.
func clientRef(idHash hash) string { return "sha256:" + hex.EncodeToString(idHash[:8]) }

// readClientMetadata reads what both kinds of client metadata share. It does not
// look at what a redirect URI is.
func readClientMetadata(members strictjson.Object) (registration, error) {
	name, errName := members.Text("client_name")
	uris, errURIs := members.Texts("redirect_uris")
	grants, errGrants := members.Texts("grant_types")
	responses, errResponses := members.Texts("response_types")
	_, errMethod := members.Text("token_endpoint_auth_method")
	if err := errors.Join(errName, errURIs, errGrants, errResponses, errMethod); err != nil {
		return registration{}, invalid("invalid_client_metadata", "A member of the client metadata has the wrong type.").because(err)
	}
	switch {
	case len(uris) == 0:
		return registration{}, invalid("invalid_redirect_uri", "The client metadata must list redirect_uris.")
	case grants != nil && !slices.Contains(grants, "authorization_code"),
		responses != nil && !slices.Contains(responses, "code"):
		return registration{}, invalid("invalid_client_metadata", "Only the grant type authorization_code with the response type code is served.")
	}
	return registration{clientname.Clean(name), uris}, nil
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
