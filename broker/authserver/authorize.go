package authserver

import (
	"context"
	"net/http"
	"strings"

	"mcp-credential-broker/broker/oauth"
)

// authorize answers an authorization request (RFC 6749 section 4.1.1) with the
// consent page.
func (s *Server) authorize(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	query, err := readQuery(r)
	if err != nil {
		return nil, invalid("invalid_request", "The link that brought you here is malformed.").because(err)
	}
	c, req, err := s.readRequest(ctx, query, e)
	if err != nil {
		return nil, err
	}
	browser, cookies := s.Config.ensureBrowser(r)
	form := consentForm{request: *req, browser: browser}
	sealed, err := s.Sealer.Seal(purposeConsent, s.Config.Now().Add(signInTime), form.encode())
	if err != nil {
		return nil, err
	}
	return &answer{status: http.StatusOK, page: s.Config.consentPage(c, req, sealed), cookies: cookies}, nil
}

// readRequest checks an authorization request. Until the client and its redirect
// URI are proven a fault is told on a page: a redirect would make us the
// attacker's way to any address. After that the client is told, if it may be.
func (s *Server) readRequest(ctx context.Context, query params, e *Event) (*client, *request, error) {
	id := query.get("client_id")
	if id == "" {
		return nil, nil, invalid("invalid_request", "The link that brought you here names no app, or more than one (client_id).")
	}
	c, err := s.client(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	e.client(c.idHash, c.name, c.host)
	redirectURI := query.get("redirect_uri")
	if !c.allows(redirectURI) || redirectFault(redirectURI) != "" {
		return nil, nil, invalid("invalid_request", "The address to return to (redirect_uri) is not one of the app's own.")
	}
	e.RedirectHost = redirectHost(redirectURI)
	if fault := s.Config.operatorFault(redirectURI); fault != "" {
		return nil, nil, invalid("invalid_request", fault)
	}
	req := &request{clientIDHash: c.idHash, clientName: c.name, clientHost: c.host, redirectURI: redirectURI}
	if states := query["state"]; len(states) > 0 {
		req.state = states[0] // if there are more, that is one of the faults
	}
	if fault := s.readRest(query, req); fault != nil {
		return nil, nil, s.Config.toUnasked(fault, req)
	}
	return c, req, nil
}

// toUnasked is fault as it is told while the person has agreed to nothing.
func (c Config) toUnasked(fault *refusal, req *request) *refusal {
	if c.mayTell(req.redirectURI) {
		return fault.to(req)
	}
	return fault
}

// readRest checks what is not the client's identity.
func (s *Server) readRest(query params, req *request) *refusal {
	responseType, mode := query.get("response_type"), query.get("response_mode")
	challenge, badChallenge := readChallenge(query.get("code_challenge"), query.get("code_challenge_method"))
	if req.asked = ParseScopes(query.get("scope")); req.asked == 0 {
		// Clients also ask for what other servers have, "openid" above all: who asks
		// for nothing that there is has asked for nothing (RFC 6749 section 3.3).
		req.asked = AllScopes
	}
	switch {
	case query.repeated("resource"):
		return invalid("invalid_request", "A parameter is there twice.")
	case len(req.state) > maxStateBytes:
		return invalid("invalid_request", "The parameter state has more than 1024 bytes.")
	case responseType == "":
		return invalid("invalid_request", "The parameter response_type is missing.")
	case responseType != "code":
		return invalid("unsupported_response_type", "Only the response type code is served.")
	case mode != "" && mode != "query":
		return invalid("invalid_request", "Only the response mode query is served.")
	case badChallenge != nil:
		return badChallenge
	case !s.Config.isOurs(query["resource"]):
		return invalid("invalid_target", "Tokens are issued for "+s.Config.Resource+" only.")
	}
	req.challenge = challenge
	return nil
}

// isOurs reports whether every resource parameter (RFC 8707) names our only
// resource, in any spelling that is the same URL, with or without a slash at its
// end. Older clients send none.
func (c Config) isOurs(resources []string) bool {
	for _, resource := range resources {
		normal, err := oauth.NormalizeResource(resource)
		if resource != "" && (err != nil || strings.TrimSuffix(normal, "/") != c.Resource) {
			return false
		}
	}
	return true
}
