// Package vouchtest is a strict Vouch on this machine, beside the strict AWS STS of
// ststest, for tests and for the development stack.
//
// It promises to refuse what the real service refuses and to answer in its
// shapes, with real keys: what passes here has been verified, not nodded
// through. Nothing in it is fit for production: it approves every sign-in, it
// keeps its state in memory, and it shows tests what it received.
//
// Options.Version says which Vouch it is. RelayEra is one before v2026.6.3: the
// credential API takes a plain Bearer token and does not look at its audience,
// and Options.RequireSignatures makes it refuse as later servers do. Latest is
// v2026.10.1, as far as a broker meets it: private_key_jwt, DPoP, pushed
// authorization requests, RFC 9421 signatures with r||s, the audience and nonces.
// Neither has request objects, introspection, UserInfo, token exchange, the device
// grant, mutual TLS or rate limits; discovery does not advertise them. The checks
// of one call to the credential API are the steps in Vouch.credential, in Vouch's
// order.
//
// Where Vouch's behaviour is not established, the stricter choice was
// taken: a FAPI client needs a DPoP proof for PAR too, an assertion names its
// key, a pushed request stands alone in the browser's URL, structured fields
// come in their canonical form. Stricter than Vouch, too: a client's keys are on
// P-256, and private_key_jwt is for FAPI clients alone. One choice is not strict:
// the parameters of a signature may come in any order, although Vouch was once
// found to expect its own.
package vouchtest

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/vouchtest/fault"
)

// sessionLife is the life of access tokens, AWS ID tokens, SSH certificates and of
// a browser's session.
const sessionLife = 8 * time.Hour

// Options describe a Vouch server. Only Issuer is required.
type Options struct {
	// Issuer is the base URL, without path, query or trailing slash.
	Issuer string
	// Version is the server's behaviour; empty means RelayEra.
	Version Version
	// Now is the server's clock; nil means time.Now.
	Now func() time.Time
	// Person is who signs in. The zero Person stands for DefaultPerson.
	Person Person
	// RequireSignatures makes a RelayEra server refuse every request to the
	// credential API that Vouch wants signed, as no signature is verified there.
	// Unsigned requests get the text answer of v2026.6.3 and later; signed ones
	// too, without its hint. Latest verifies signatures with or without it.
	RequireSignatures bool
}

// A Person is the user of a Vouch.
type Person struct {
	// Subject is the internal user id, a UUID: the sub of access tokens.
	Subject string
	// Email is the sub of AWS ID tokens, and names SSH principals.
	Email string
	// Domain is the organisation's domain, empty for none.
	Domain string
	// HardwareVerified says that the sign-in included a FIDO2 ceremony. Without
	// it every credential is refused.
	HardwareVerified bool
}

// DefaultPerson returns Alice of example.com, who signed in with her key.
func DefaultPerson() Person {
	return Person{
		Subject:          "0192f0c1-7a6b-7d30-9c11-3b6f5a1e8d42",
		Email:            "alice@example.com",
		Domain:           "example.com",
		HardwareVerified: true,
	}
}

// Vouch is a Vouch server. It is an http.Handler and safe for concurrent use;
// its Tap shows what it received and spoils answers on demand.
type Vouch struct {
	*fault.Tap
	options Options
	host    string
	routes  *http.ServeMux
	keys    *signingKeys
	sshCA   ssh.Signer
	nonces  memory // of DPoP and of request signatures
	spent   memory // jtis of client assertions and DPoP proofs

	skew         atomic.Int64 // a time.Duration
	softwareOnly atomic.Bool

	passesSilently, ignoresPrompt, omitsAuthTime atomic.Bool

	actor atomic.Pointer[Person]

	mu       sync.Mutex
	clients  map[string]*client
	codes    map[digest]*code
	pushed   map[digest]*pushed
	sessions map[digest]*session
	browsers map[digest]time.Time // when the key was touched
}

// New returns a Vouch server with fresh keys and no clients.
func New(o Options) (*Vouch, error) {
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") ||
		o.Issuer != u.Scheme+"://"+u.Host {
		return nil, fmt.Errorf("issuer %q is not a base URL", o.Issuer)
	}
	if o.Version != RelayEra && o.Version != Latest {
		return nil, fmt.Errorf("version %q is unknown", o.Version)
	}
	fillDefaults(&o)
	if !strings.Contains(o.Person.Email, "@") || o.Person.Subject == "" {
		return nil, errors.New("the person has no e-mail address or no subject")
	}
	v := &Vouch{
		options:  o,
		host:     u.Hostname(),
		clients:  map[string]*client{},
		codes:    map[digest]*code{},
		pushed:   map[digest]*pushed{},
		sessions: map[digest]*session{},
		browsers: map[digest]time.Time{},
	}
	if v.keys, err = newSigningKeys(); err != nil {
		return nil, err
	}
	if v.sshCA, err = newSSHCA(); err != nil {
		return nil, err
	}
	v.routes = v.newRoutes()
	v.Tap = fault.NewTap(http.HandlerFunc(v.serve), v.failWith)
	return v, nil
}

func fillDefaults(o *Options) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Person == (Person{}) {
		o.Person = DefaultPerson()
	}
}

func newSSHCA() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("SSH certificate authority: %w", err)
	}
	return ssh.NewSignerFromKey(key)
}

func (v *Vouch) newRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", v.serveDiscovery)
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", v.serveDiscovery)
	mux.HandleFunc("GET /.well-known/oauth-protected-resource", v.serveProtectedResource)
	mux.HandleFunc("GET /oauth/jwks", v.serveJWKS)

	mux.HandleFunc("POST /oauth/register", v.serveRegister)
	mux.HandleFunc("GET /oauth/register/{id}", v.serveRegistration)
	mux.HandleFunc("PUT /oauth/register/{id}", v.serveRegistration)
	if v.latest() {
		mux.HandleFunc("POST /oauth/par", v.servePushed)
	}
	mux.HandleFunc("GET /oauth/authorize", v.serveAuthorize)
	mux.HandleFunc("POST /oauth/token", v.serveToken)
	mux.HandleFunc("POST /oauth/revoke", v.serveRevoke)

	mux.HandleFunc("GET /v1/credentials/aws/token", v.credential(v.awsToken))
	mux.HandleFunc("POST /v1/credentials/github/token", v.credential(v.githubToken))
	mux.HandleFunc("POST /v1/credentials/ssh", v.credential(v.sshCertificate))
	mux.HandleFunc("GET /v1/credentials/ssh/ca", v.serveSSHCA)
	return mux
}

// serve is the server behind the Tap: what every answer has in common, then the
// route.
func (v *Vouch) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	if r.URL.Path != "/oauth/authorize" {
		h.Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers", "*, Authorization")
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	v.routes.ServeHTTP(w, r)
}
