// Package authserver is the authorization server of sign-in mode: what MCP
// clients see as OAuth 2.1 (metadata, registration, consent, codes, tokens),
// with Vouch behind it as the place where the person proves who they are.
//
// It promises that it stores nothing: whatever must be remembered travels
// sealed, in a form field, a cookie, a code or an access token, bound to the
// browser, the client and the redirect URI that it was made for. It promises
// that a browser is sent only to a redirect URI that the client's own metadata
// names, that nobody gets a code without having said yes on our page in the same
// browser, and that Vouch's token leaves only inside a token of ours.
//
// It does not make a code single-use by itself: ours wraps Vouch's, which Vouch
// redeems once. It cannot see which address a name resolves to, and leaves it to
// the host to fetch from public addresses only.
package authserver

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/glob"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/upstream"
)

// The paths that a Server answers, on its issuer's origin.
const (
	MetadataPath  = "/.well-known/oauth-authorization-server"
	AuthorizePath = "/oauth/authorize"
	CallbackPath  = "/oauth/callback"
	TokenPath     = "/oauth/token"
	RevokePath    = "/oauth/revoke"
	RegisterPath  = "/oauth/register"
)

// Config is what a Server is. Nothing in it comes from a request, unless the
// host is loopback and unconfigured.
type Config struct {
	// Issuer is our own origin, without a path or trailing slash. Clients
	// compare it byte for byte.
	Issuer string
	// Resource is the only resource that tokens are for, in the form that
	// oauth.NormalizeResource returns.
	Resource string
	// VouchIssuer is compared byte for byte with iss in Vouch's answers.
	VouchIssuer string
	// AllowedRedirectHosts are the hosts that access may go to on https, with
	// their port unless it is the default one. This machine is always allowed.
	AllowedRedirectHosts glob.List
	// AllowedEmails are the verified e-mail addresses of those who may sign in. Nil
	// is everyone.
	AllowedEmails glob.List
	// AllowedRedirectURIs are redirect URIs of native apps that are neither https
	// nor loopback: exact, but for a "*" in the place of a name. See
	// ValidRedirectURI.
	AllowedRedirectURIs []string
	// Loopback says that Issuer is on this machine. Only then may a client's
	// metadata document be on it too.
	Loopback bool
	Now      func() time.Time
}

// A Sealer seals values so that only this broker can read or make them.
//
// Seal encrypts and authenticates payload for one purpose until expires; its
// text has characters of base64url, "." and "~" only. Open returns the payload,
// or any error if text is not ours, was altered, was sealed for another purpose,
// or has expired at now. Both may be called concurrently.
type Sealer interface {
	Seal(purpose string, expires time.Time, payload []byte) (string, error)
	Open(purpose, text string, now time.Time) ([]byte, error)
}

// A Server is the http.Handler of the authorization server. It has no state of
// its own and may be copied, made anew for each request, and used concurrently.
type Server struct {
	Config Config
	Sealer Sealer
	Vouch  Vouch
	// Upstream fetches client metadata documents.
	Upstream upstream.Client
	// Documents bounds how many of those fetches are pending at once. Nil: no bound.
	Documents *Slots
	// Limiter may be nil: no limits.
	Limiter limit.Limiter
	// RequestID is the id of the request that this Server was made for: log lines
	// and pages name it. It may be empty.
	RequestID string
	// Approvals makes and checks what approvals are carried by.
	Approvals approval.Notary
	// Log takes what an operator should know. It may be nil, and may be called
	// concurrently.
	Log func(Event)
}

// An Event is one refusal, one token issued, one token revoked, or one approval that was
// given or refused. It holds no secret. ClientName and Reason may hold any printable text
// that a stranger chose: quote them.
type Event struct {
	RequestID  string
	Route      string // the last element of the path; "consent" for its POST, RouteApproved for the end of an approval
	Status     int
	Error      string // OAuth error code; empty on success
	Reason     string // why, for the operator; at most 300 bytes
	ClientID   string // "sha256:" and the start of its hash, as in the lines of calls
	ClientName string // as the client calls itself, cleaned
	ClientHost string // of the client's metadata document; empty for a registered client
	// RedirectHost is where access would go: the host of the redirect URI, or the
	// scheme of a native app's. It is empty while the redirect URI is not proven.
	RedirectHost string
	Subject      string
	Email        string
	Granted      Scopes
	SignIn       string // as in AccessToken; empty when no token came of it
	// Tool, Requester (a sub) and Rule are of the call whose approval this is about.
	// Then Subject is who approves, and ApprovedBy the name that the rule has for
	// them; empty when they did not.
	Tool, Requester, Rule, ApprovedBy string
}

// ServeHTTP answers one request. It implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := Event{RequestID: s.RequestID, Route: routeOf(r)}
	ctx := upstream.WithDeadline(r.Context(), s.Config.Now().Add(upstream.CallTime))
	a, err := s.answer(ctx, r, &e)
	if err != nil {
		refused := asRefusal(err)
		e.Error, e.Reason = refused.code, refused.reason()
		a = s.tell(e.Route, pathOf(r), refused)
	}
	a.write(w)
	if e.Status = a.status; s.Log != nil && (err != nil || e.Subject != "" || e.Reason != "") {
		s.Log(e)
	}
}

// client fills in who asks.
func (e *Event) client(idHash hash, name, host string) {
	e.ClientID, e.ClientName, e.ClientHost = clientRef(idHash), name, host
}

// pathOf is the path without the slash that some clients put behind it.
func pathOf(r *http.Request) string { return strings.TrimSuffix(r.URL.Path, "/") }

func routeOf(r *http.Request) string {
	switch path := pathOf(r); path {
	case AuthorizePath:
		if r.Method == http.MethodPost {
			return "consent"
		}
		fallthrough
	case approval.Path, MetadataPath, CallbackPath, TokenPath, RevokePath, RegisterPath:
		return path[strings.LastIndexByte(path, '/')+1:]
	}
	return "" // a stranger's text
}

// answer finds the answer to a request that comes for our own host by a method
// of its route, and not too often.
func (s *Server) answer(ctx context.Context, r *http.Request, e *Event) (*answer, error) {
	methods, process := s.route(r)
	allow := strings.Join(methods, ", ")
	switch {
	case process == nil:
		return nil, &refusal{status: http.StatusNotFound, code: "not_found", sentence: "Nothing is served here."}
	case !oauth.IsAt(r.Host, s.Config.Issuer):
		// Under another name our cookies and our issuer would mean nothing. It
		// also ends DNS rebinding on a loopback host.
		return nil, &refusal{status: http.StatusForbidden, code: "invalid_request", sentence: "This broker is reached at " + s.Config.Issuer + " only."}
	case !slices.Contains(methods, r.Method):
		return nil, &refusal{status: http.StatusMethodNotAllowed, code: "invalid_request", sentence: "This address takes only " + allow + ".", allow: allow}
	case !s.allowed(ctx, r, e.Route):
		return nil, &refusal{status: http.StatusTooManyRequests, code: "temporarily_unavailable",
			sentence: "Too many requests came from your network address; try again in a minute.", wait: limit.Period}
	}
	return process(ctx, r, e)
}

// allowed asks the Limiter about the routes that cost Vouch or a stranger's
// server a request, or may be tried in bulk.
func (s *Server) allowed(ctx context.Context, r *http.Request, route string) bool {
	binding := limit.SignIn
	switch path := pathOf(r); {
	case path == MetadataPath, path == CallbackPath && !isApproval(r.URL.Query().Get("state")):
		return true
	case path == TokenPath, path == CallbackPath, r.Method == http.MethodPost && (path == AuthorizePath || path == approval.Path):
		binding = limit.SignInStrict
	}
	return limit.Allows(ctx, s.Limiter, binding, route, addressOf(r))
}

// A processor makes the answer to a request of one route. It fills e with what
// an operator should know.
type processor func(ctx context.Context, r *http.Request, e *Event) (*answer, error)

func (s *Server) route(r *http.Request) (methods []string, process processor) {
	read := []string{http.MethodGet, http.MethodHead}
	switch pathOf(r) {
	case MetadataPath:
		return read, s.metadata
	case AuthorizePath:
		methods = append(read, http.MethodPost)
		if r.Method == http.MethodPost {
			return methods, s.consent
		}
		return methods, s.authorize
	case approval.Path:
		methods = append(read, http.MethodPost)
		if r.Method == http.MethodPost {
			return methods, s.sendToApprove
		}
		return methods, s.askToApprove
	case CallbackPath:
		return read, s.callback
	case TokenPath:
		return []string{http.MethodPost}, s.token
	case RevokePath:
		return []string{http.MethodPost}, s.revoke
	case RegisterPath:
		return []string{http.MethodPost}, s.register
	}
	return nil, nil
}

// host is the issuer's host, with its port if that is not the default one.
func (c Config) host() string {
	_, host, _ := strings.Cut(c.Issuer, "://")
	return host
}

// addressOf is the client's network address without a port.
func addressOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}
