package vouchtest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	tokenTypeURN    = "urn:ietf:params:oauth:token-type:"
	tokenTypeAccess = tokenTypeURN + "access_token"
)

// exchangeToken is the token exchange grant (RFC 8693). It leaves out actors,
// authorization details and ID tokens: a request for one is refused.
func (v *Vouch) exchangeToken(request *clientRequest) (*granted, *oauthError) {
	form := request.form
	if refused := checkExchange(request); refused != nil {
		return nil, refused
	}
	asked, refused := askedAudience(request)
	if refused != nil {
		return nil, refused
	}
	text := form.Get("subject_token")
	subject, invalid := v.decode(text)
	if invalid == nil {
		invalid = v.checkSession(text, subject)
	}
	if invalid != nil || len(subject.Audience) != 1 {
		return nil, badRequest("invalid_request", "the subject token is not valid")
	}
	// Only the holder of its key may exchange a bound token, and never for one
	// that is bound to another.
	if len(subject.Confirmation) > 0 && (request.thumbprint == "" || subject.thumbprint() != request.thumbprint) {
		return nil, badRequest("invalid_request", "the subject token is bound to another key")
	}
	audience, refused := v.exchangedAudience(request.client, subject, asked)
	if refused != nil {
		return nil, refused
	}
	scope, ok := intersect(subject.Scope, form.Get("scope"))
	if !ok {
		return nil, badRequest("invalid_request", "a subject token without scope needs an explicit scope")
	}
	return v.issueExchanged(request, subject, TokenOptions{
		ClientID: request.client.id, Audience: audience, Scope: scope,
		Lifetime:        min(v.lifetime, subject.ExpiresAt.Sub(v.now()).Truncate(time.Second)),
		Confirmation:    confirmation(request.thumbprint),
		WithoutHardware: !subject.HardwareVerified,
	})
}

func (v *Vouch) issueExchanged(request *clientRequest, subject *accessClaims, o TokenOptions) (*granted, *oauthError) {
	if o.Lifetime <= 0 {
		return nil, badRequest("invalid_request", "the subject token is about to expire")
	}
	token, err := v.mintAccess(o, time.Time{}, v.codeOf(request.form.Get("subject_token")))
	if err != nil {
		return nil, &oauthError{http.StatusInternalServerError, "server_error", "the token could not be made"}
	}
	return &granted{
		AccessToken: token, IssuedTokenType: tokenTypeAccess, TokenType: tokenType(request.thumbprint),
		ExpiresIn: int64(o.Lifetime.Seconds()), Scope: o.Scope,
	}, nil
}

// checkExchange judges the parameters by themselves.
func checkExchange(request *clientRequest) *oauthError {
	form := request.form
	bad := func(why string) *oauthError { return badRequest("invalid_request", why) }
	types := []string{tokenTypeAccess, tokenTypeURN + "id_token", tokenTypeURN + "jwt"}
	switch {
	case !form.Has("subject_token"):
		return bad("subject_token is missing")
	case !slices.Contains(types, form.Get("subject_token_type")):
		return bad("the subject token type is missing or unknown")
	case form.Has("requested_token_type") && form.Get("requested_token_type") != tokenTypeAccess:
		return bad("only access tokens are issued")
	case form.Has("actor_token"), form.Has("actor_token_type"):
		return bad("actors are not supported")
	case form.Has("authorization_details"):
		return badRequest("invalid_authorization_details", "the subject token has none")
	}
	return nil
}

// askedAudience returns the audience that a request names, empty for none.
func askedAudience(request *clientRequest) (string, *oauthError) {
	c := request.client
	invalid := badRequest("invalid_target", "the audience or resource is not acceptable")
	resource, ok := narrow(c, request.form.Get("resource"))
	if !ok {
		return "", invalid
	}
	audience := request.form.Get("audience")
	switch {
	case len(audience) > maxURIBytes:
		return "", invalid
	case strings.Contains(audience, ":"):
		if audience, ok = narrow(c, audience); !ok {
			return "", invalid
		}
	case audience != "" && audience != c.id && len(c.resourceURIs) > 0:
		return "", invalid
	}
	switch {
	case resource == "":
		return audience, nil
	case audience != "" && audience != resource:
		return "", invalid
	}
	return resource, nil
}

// exchangedAudience decides whom the new token is for. A token that was narrowed
// to a resource stays so: its holder must not make it good for this server's own
// API again, which would hand every server that a person connects to the
// person's credentials.
func (v *Vouch) exchangedAudience(c *client, subject *accessClaims, asked string) (string, *oauthError) {
	held := subject.Audience[0]
	narrowed := held != subject.ClientID
	switch {
	case !narrowed && asked == "":
		return c.id, nil
	case !narrowed:
		return asked, nil
	case asked == "" || asked == held:
		return held, nil
	}
	// A name without a host is a client's id, which is no narrower.
	u, err := url.Parse(asked)
	if err != nil || u.Host == "" || v.ownOrigin(u) {
		return "", badRequest("invalid_request", "the subject token is for another audience")
	}
	return asked, nil
}

// intersect returns the scopes of a subject that are asked for, all of them when
// nothing is asked. It fails when neither names one.
func intersect(held, asked string) (string, bool) {
	if asked == "" {
		return held, held != ""
	}
	var both []string
	for _, one := range strings.Fields(asked) {
		if slices.Contains(strings.Fields(held), one) && !slices.Contains(both, one) {
			both = append(both, one)
		}
	}
	return strings.Join(both, " "), true
}
