// Package broker is the product: an MCP server that hands out short-lived AWS,
// GitHub and SSH credentials in the name of the person whose Vouch token comes
// with the request. It knows no host: the way out, the clock and the log are
// given to New, so the whole of it runs under httptest.
//
// It promises that nothing is minted before the caller, the arguments and the
// configuration are checked, that every tool call leaves one audit line without
// a secret in it, and that no call outlives its 14 seconds by itself. It stores
// nothing.
package broker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/ascii"
	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/grant"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/oauth"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/sts"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

const (
	name  = "mcp-credential-broker"
	title = "Vouch credential broker"
)

// Environment is what a Broker needs from the world.
type Environment struct {
	Getenv  func(name string) string
	Fetcher upstream.Fetcher
	Now     func() time.Time
	// Limiter bounds how often an address may use the sign-in's routes. It may be
	// nil: then Vouch's own limits, which all users share, are the only ones.
	Limiter limit.Limiter
	// ToolLimiter bounds how often one person may have one tool's credentials. It may
	// be nil, likewise.
	ToolLimiter limit.Limiter
	// ES256 makes and checks signatures. Nil is p256.Native.
	ES256 p256.ES256
	// Log takes one line of JSON, without a line end. It may be called
	// concurrently.
	Log func(line string)
}

// A Broker is the http.Handler of the whole service.
type Broker struct {
	env    Environment
	config Config
	fault  error // of the configuration but for its policy
	mode   mode
	tokens *authserver.AccessTokens // in sign-in mode
	desk   *grant.Desk
	mcp    *mcp.Server

	documents authserver.Slots // of strangers' client documents that are pending
}

// New makes a Broker. A wrong configuration is not an error here: the Broker
// then answers 503 with the faults, so that they are seen where one looks. With an
// invalid policy alone people can still sign in, and get nothing.
func New(env Environment) (*Broker, error) {
	config, fault := parseConfig(env.Getenv)
	if config.Key != nil {
		config.Key = config.Key.By(env.ES256)
	}
	out := upstream.Client{Fetcher: env.Fetcher, Now: env.Now}
	verifier := oauth.NewVerifier(oauth.VerifierConfig{
		Issuer: config.Issuer, AllowedClientIDs: config.AllowedClientIDs, Upstream: out, Now: env.Now, ES256: env.ES256,
	})
	b := &Broker{env: env, config: config, fault: fault, tokens: &authserver.AccessTokens{}}
	if config.signsIn() {
		b.mode = b.signInMode(&vouch.SignIn{Issuer: config.Issuer, ClientID: config.ClientID, Key: config.Key, Upstream: out}, verifier)
	} else {
		b.mode = relayMode(config, verifier)
	}
	if config.Warning != "" {
		b.logWarning(config.Warning)
	}
	var err error
	b.desk, err = grant.New(grant.Config{
		Vouch:     vouch.Client{Issuer: config.Issuer, Upstream: out},
		STS:       sts.Client{Upstream: out, EndpointOverride: config.STSEndpoint},
		AWSRegion: config.AWSRegion,
		Policy:    config.Policy,
		Guide:     config.Policy == nil && !config.signsIn(),
		Freeze:    config.Freeze,
		Limiter:   env.ToolLimiter,
		Now:       env.Now,
		Log:       b.log,
	})
	if err != nil {
		return nil, err
	}
	b.mcp, err = mcp.New(mcp.Implementation{Name: name, Title: title, Version: Version}, grant.Instructions, b.desk.Tools())
	if err != nil {
		return nil, err
	}
	return b, nil
}

// ServeHTTP answers one request. It implements http.Handler.
func (b *Broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set(requestIDHeader, requestIDOf(r)) // first of all: whatever comes of the request, it can be found in the log
	letRead(w.Header())
	if strings.HasPrefix(b.config.Audience, "https://") {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		if r.URL.Scheme == "http" { // what was sent could be read on its way: nothing of it is looked at
			writeError(w, http.StatusForbidden, "this broker is reached by https only, at "+b.config.Audience)
			return
		}
	}
	if r.Method == http.MethodOptions {
		servePreflight(w, r)
		return
	}
	resource, err := b.config.resource(requestURL(r))
	err = errors.Join(b.fault, err)
	// "/mcp" and "/mcp/" are one place: a redirect would drop the token.
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "":
		b.servePage(w, r, resource, errors.Join(err, b.config.PolicyFault))
	case "/healthz":
		b.serveHealth(w, r, err)
	case resourcePath:
		b.serveMCP(w, r, resource, err)
	case oauth.MetadataPath, oauth.MetadataPath + resourcePath, resourcePath + oauth.MetadataPath:
		b.serveMetadata(w, r, resource, err)
	case approval.Path, authserver.MetadataPath, authserver.AuthorizePath, authserver.CallbackPath, authserver.TokenPath, authserver.RevokePath, authserver.RegisterPath:
		b.serveAuthServer(w, r, resource, err)
	default:
		serveNothing(w, r)
	}
}

func writeNotFound(w http.ResponseWriter) {
	writeError(w, http.StatusNotFound, "nothing is served here; the MCP endpoint is "+resourcePath)
}

func (b *Broker) serveAuthServer(w http.ResponseWriter, r *http.Request, resource string, fault error) {
	if fault != nil {
		writeConfigFault(w, fault)
	} else if server := b.mode.admits(resource); server != nil {
		server.RequestID = w.Header().Get(requestIDHeader)
		server.ServeHTTP(w, r)
	} else {
		writeNotFound(w)
	}
}

// serveMCP lets a request through to the protocol when it comes for our host,
// from an allowed origin, and from a caller whose token holds.
func (b *Broker) serveMCP(w http.ResponseWriter, r *http.Request, resource string, fault error) {
	w.Header().Set("Cache-Control", "no-store")
	if fault != nil {
		writeConfigFault(w, fault)
		return
	}
	origin := originOf(resource)
	if !oauth.IsAt(r.Host, origin) {
		writeError(w, http.StatusForbidden, "this broker is reached at "+resource+" only")
		return
	}
	if !b.mayCall(r.Header, origin) {
		writeError(w, http.StatusForbidden, b.originAdvice(r.Header))
		return
	}
	requestID := w.Header().Get(requestIDHeader)
	ctx := upstream.WithDeadline(r.Context(), b.env.Now().Add(upstream.CallTime))
	caller, err := b.authenticate(ctx, r, resource)
	if err != nil {
		if errors.Is(err, oauth.ErrNoToken) && opensInBrowser(r) {
			serveVisit(w, requestID, b.mode.challenge(resource))
			return
		}
		b.refuse(w, requestID, err, resource)
		return
	}
	caller.RequestID = requestID
	if b.config.PolicyFault != nil { // no policy that was read is not the same as none: nothing is let through
		writePolicyFault(w, b.config.PolicyFault)
		b.logRefusedBy(caller, b.config.PolicyFault)
		return
	}
	b.answer(ctx, w, b.mcp.Read(r), caller, resource)
}

func (b *Broker) authenticate(ctx context.Context, r *http.Request, resource string) (grant.Caller, error) {
	token, err := oauth.BearerToken(r)
	if err != nil {
		return grant.Caller{}, err
	}
	return b.mode.authenticate(ctx, token, resource)
}

// answer runs the calls of a request, one after the other, and answers it. Two
// outcomes of a call are those of the whole HTTP request, and what else it asked
// for is lost: the client must ask for more (RFC 6750 section 3.1), or its token
// is dead.
func (b *Broker) answer(ctx context.Context, w http.ResponseWriter, q *mcp.Request, caller grant.Caller, resource string) {
	calls := q.Calls()
	if missing := b.desk.Missing(caller, calls); missing != 0 {
		challenge := b.mode.challenge(resource)
		challenge.Error, challenge.Description = "insufficient_scope", "This tool needs a scope that was not asked for"
		// Some clients ask for what is challenged and nothing else.
		challenge.Scopes = (caller.Asked | missing).Names()
		writeChallenge(w, http.StatusForbidden, challenge)
		return
	}
	for _, c := range calls {
		var err error
		if c.Result, err = b.desk.Run(c.Context(ctx), caller, c); err != nil {
			challenge := b.mode.challenge(resource)
			challenge.Error, challenge.Description = "invalid_token", "The sign-in at Vouch has ended"
			writeChallenge(w, http.StatusUnauthorized, challenge)
			return
		}
	}
	q.Write(w)
}

// writeChallenge answers a request whose token is good for less than it asks for.
func writeChallenge(w http.ResponseWriter, status int, challenge oauth.Challenge) {
	w.Header().Set("WWW-Authenticate", challenge.String())
	writeJSON(w, status, map[string]string{"error": challenge.Error})
}

// refuse maps an authentication error to status and challenge (RFC
// 6750 section 3, RFC 9728 section 5.1). The reason goes to the log alone.
func (b *Broker) refuse(w http.ResponseWriter, requestID string, err error, resource string) {
	challenge := b.mode.challenge(resource)
	status := http.StatusUnauthorized
	unavailable := new(oauth.UnavailableError)
	switch {
	case errors.Is(err, oauth.ErrNoToken): // a first visit is no failure: neither an error code nor a log line
		w.Header().Set("WWW-Authenticate", challenge.String())
		writeOAuthError(w, status, "unauthorized", "sign in at Vouch first; an MCP client does so by itself")
		return
	case errors.As(err, &unavailable):
		seconds := strconv.Itoa(upstream.WholeSeconds(unavailable.RetryAfter))
		w.Header().Set("Retry-After", seconds)
		writeError(w, http.StatusServiceUnavailable, "the keys of Vouch cannot be fetched now, so no token can be checked; try again in "+seconds+" s")
		b.logRefusal(requestID, http.StatusServiceUnavailable, err)
		return
	case errors.Is(err, errNotAdmitted): // signing in again would change nothing
		writeError(w, http.StatusForbidden, "this broker is not for you: its operator lists who may use it (ALLOWED_EMAILS), and your verified e-mail address is not among them")
		b.logRefusal(requestID, http.StatusForbidden, err)
		return
	case errors.Is(err, oauth.ErrInvalidRequest):
		status = http.StatusBadRequest
		challenge.Error, challenge.Description = "invalid_request", "send exactly one access token in the Authorization header"
	case errors.Is(err, oauth.ErrWrongAudience):
		challenge.Error, challenge.Description = "invalid_token", "The access token was issued for another server"
	default:
		challenge.Error, challenge.Description = "invalid_token", "The access token is invalid or expired"
	}
	w.Header().Set("WWW-Authenticate", challenge.String())
	writeOAuthError(w, status, challenge.Error, challenge.Description)
	b.logRefusal(requestID, status, err)
}

// serveMetadata serves the protected resource metadata (RFC 9728 section 3).
func (b *Broker) serveMetadata(w http.ResponseWriter, r *http.Request, resource string, fault error) {
	switch {
	case fault != nil:
		writeConfigFault(w, fault)
	case !isRead(w, r):
	default:
		w.Header().Set("Cache-Control", "public, max-age=3600")
		writeJSON(w, http.StatusOK, b.mode.metadata(resource))
	}
}

// isRead admits GET and HEAD and answers 405 to the rest.
func isRead(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD, OPTIONS")
	writeError(w, http.StatusMethodNotAllowed, "only GET and HEAD are served here")
	return false
}

// requestURL is the URL that was asked for: absolute in a Worker, put together
// from the Host header on net/http.
func requestURL(r *http.Request) *url.URL {
	if r.URL.Host != "" {
		return r.URL
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return &url.URL{Scheme: scheme, Host: r.Host, Path: r.URL.Path}
}

// requestIDHeader has the id of a request that its log lines have too.
const requestIDHeader = "X-Request-Id"

// requestIDOf is Cloudflare's id of the request, or a random one elsewhere.
func requestIDOf(r *http.Request) string {
	if ray := r.Header.Get("Cf-Ray"); len(ray) >= 8 && len(ray) <= 32 && ascii.Only(ray, ascii.Digits+"abcdef"+ascii.Upper+"-") {
		return ray
	}
	return rand.Text()
}

func writeConfigFault(w http.ResponseWriter, fault error) {
	writeError(w, http.StatusServiceUnavailable, "this broker is not configured yet: "+strings.ReplaceAll(fault.Error(), "\n", "; "))
}

// writePolicyFault answers to whoever may call what /healthz tells everybody.
func writePolicyFault(w http.ResponseWriter, fault error) {
	writeError(w, http.StatusServiceUnavailable, "the policy of this broker is invalid, so nothing is handed out until its operator mends it (make check-policy): "+strings.ReplaceAll(fault.Error(), "\n", "; "))
}

func writeError(w http.ResponseWriter, status int, sentence string) {
	writeJSON(w, status, struct {
		Error  string `json:"error"`
		Status int    `json:"status"`
	}{sentence, status})
}

func writeOAuthError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("value that JSON cannot hold: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
