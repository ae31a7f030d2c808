package broker

import (
	"context"
	"errors"
	"strings"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/grant"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/vouch"
)

// A mode is one of the two ways to run the broker: all that differs between
// them. It is a struct of functions, since a method of an interface that takes
// large values costs tens of KB in WebAssembly.
type mode struct {
	// authenticate says who comes with a token that is for resource, and how to act
	// for that person at Vouch. Its errors are those of package oauth.
	authenticate func(ctx context.Context, token secret.String, resource string) (grant.Caller, error)
	// challenge tells a client where and for what to ask for a token.
	challenge func(resource string) oauth.Challenge
	// metadata is the protected resource metadata (RFC 9728 section 2).
	metadata func(resource string) oauth.ProtectedResource
	// admits is where people are let in: the authorization server of this mode, nil
	// if that is Vouch itself.
	admits func(resource string) *authserver.Server
}

// errNotAdmitted says that a caller's token is good, and that the operator lists
// who may call without naming this person.
var errNotAdmitted = errors.New("verified e-mail address is not in ALLOWED_EMAILS")

// relayMode is the published guide: the client signs in at Vouch, and its token
// is passed on.
func relayMode(c Config, verifier *oauth.Verifier) mode {
	return mode{
		authenticate: func(ctx context.Context, token secret.String, resource string) (grant.Caller, error) {
			caller, err := verifier.Verify(ctx, token, resource)
			if err == nil && !authserver.Admits(c.AllowedEmails, caller.Email, caller.EmailVerified) {
				err = errNotAdmitted
			}
			return grant.Caller{
				Subject: caller.Subject, Email: caller.Email, EmailVerified: caller.EmailVerified, Expires: caller.Expires, AuthTime: caller.AuthTime,
				ClientID: caller.ClientID, Clients: named(caller.ClientID),
				Auth: vouch.Bearer{Token: token},
				// There are no scopes in this mode: whoever may call may ask for everything.
				Asked: authserver.AllScopes, Granted: authserver.AllScopes,
			}, err
		},
		challenge: func(resource string) oauth.Challenge {
			return oauth.Challenge{ResourceMetadata: metadataOf(resource)}
		},
		metadata: func(resource string) oauth.ProtectedResource {
			return protectedResource(resource, c.Issuer)
		},
		admits: func(string) *authserver.Server { return nil },
	}
}

// protectedResource is the metadata of both modes. The server that signs people in
// is the one difference that every client sees.
func protectedResource(resource, server string) oauth.ProtectedResource {
	return oauth.ProtectedResource{
		Resource:               resource,
		AuthorizationServers:   []string{server},
		BearerMethodsSupported: []string{"header"},
		ResourceName:           title,
	}
}

// originOf is the origin of a resource identifier of ours.
func originOf(resource string) string { return strings.TrimSuffix(resource, resourcePath) }

// metadataOf is where the protected resource metadata of a resource is.
func metadataOf(resource string) string {
	return originOf(resource) + oauth.MetadataPath + resourcePath
}
