package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/limit"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
	"mcp-credential-broker/worker/policyfile"
	"mcp-credential-broker/worker/register"
	"mcp-credential-broker/worker/settings"
	"mcp-credential-broker/worker/stack"
)

// maxClockSkew is what Vouch takes of a proof's time in the worse direction.
const maxClockSkew = 60 * time.Second

// clientAgents are user agents of MCP clients, which bot rules like to stop.
var clientAgents = []string{"Claude-User", "python-httpx/0.28.1", "node"}

// A doctor examines a deployed broker and all that it needs.
type doctor struct {
	settings settings.Settings
	getenv   func(name string) string
	root     string
	origin   string
	world    world
	out      io.Writer
	failed   int
}

// runDoctor examines the broker of wrangler.toml, or the one at URL.
func runDoctor(ctx context.Context) error { return doctorIn(ctx, realWorld()) }

func doctorIn(ctx context.Context, w world) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	deployed, err := settings.Read(filepath.Join(root, "wrangler.toml"), os.Getenv("CLOUDFLARE_ENV"))
	if err != nil {
		return err
	}
	if err := settings.CheckNames(os.Environ()); err != nil {
		return err
	}
	audience := deployed.Chosen(os.Getenv, "VOUCH_AUDIENCE")
	if address := os.Getenv("URL"); address != "" {
		audience = strings.TrimSuffix(strings.TrimSuffix(address, "/"), "/mcp") + "/mcp"
	}
	if u, err := url.Parse(audience); err != nil || u.Host == "" {
		return errors.New("there is no broker to examine: set VOUCH_AUDIENCE in wrangler.toml, or run URL=https://HOST make doctor")
	}
	d := doctor{
		settings: deployed, getenv: os.Getenv, root: root, origin: strings.TrimSuffix(audience, "/mcp"), world: w, out: os.Stdout,
	}
	return d.examine(ctx)
}

// setting returns a variable as the person gave it, else as it is deployed.
func (d *doctor) setting(name string) string { return d.settings.Chosen(d.getenv, name) }

// examine makes every check, and fails when one of them did.
func (d *doctor) examine(ctx context.Context) error {
	fmt.Fprintf(d.out, "Examining %s\n", d.origin)
	d.checkSettings()
	h := d.checkHealth(ctx)
	d.checkPolicy(h)
	d.checkMetadata(ctx, h.Mode)
	d.checkClients(ctx)
	d.checkVouch(ctx)
	if h.Mode != "relay" {
		d.checkPush(ctx)
	}
	d.checkSTS(ctx)
	if d.failed > 0 {
		return fmt.Errorf("%d of the checks above failed", d.failed)
	}
	fmt.Fprintln(d.out, "All is well.")
	return nil
}

// report prints one line: a fault is what to do about it.
func (d *doctor) report(what string, err error) {
	if err == nil {
		fmt.Fprintf(d.out, "  ok    %s\n", what)
		return
	}
	d.failed++
	fmt.Fprintf(d.out, "  FAIL  %s: %s\n", what, printable(err.Error()))
}

// ours reports whether wrangler.toml is the examined broker's.
func (d *doctor) ours() bool { return d.settings.Vars["VOUCH_AUDIENCE"] == d.origin+"/mcp" }

func (d *doctor) checkSettings() {
	if !d.ours() {
		fmt.Fprintln(d.out, "  -     wrangler.toml is of another broker, and is not examined: nothing tells from outside which limiters this one has")
		return
	}
	d.report("wrangler.toml is ready to deploy", deployer{Settings: d.settings}.check())
	for _, name := range limit.Bindings() {
		if name != limit.Tool && d.settings.Vars["BROKER_MODE"] == "relay" {
			continue // nobody signs in here
		}
		var err error
		if !slices.Contains(d.settings.Limiters, string(name)) {
			who := "one address"
			if name == limit.Tool {
				who = "one person"
			}
			err = fmt.Errorf("add the [[ratelimits]] of this name from the repository's wrangler.toml: %s can use up Vouch's ceiling for everybody", who)
		}
		d.report("the rate limiter "+string(name)+" is bound", err)
	}
}

// checkPolicy examines the policy that would be deployed from here, and whether
// that is the one that the broker has.
func (d *doctor) checkPolicy(h health) {
	document, err := policyfile.Read(d.root, d.settings.Vars["POLICY"])
	here := "none"
	if err == nil {
		config, _ := broker.ParseConfig(func(name string) string { // its error is of the rest
			if name == "POLICY" {
				return document
			}
			return ""
		})
		err = config.PolicyFault
		if config.Policy != nil {
			here = config.Policy.ID()
		}
	}
	if err == nil && here == "none" {
		fmt.Fprintln(d.out, "  -     there is no policy here")
	} else {
		d.report("the policy here is valid, and its tests pass", err)
	}
	if err != nil || h.Status != "ok" || !d.ours() {
		return
	}
	deployed := h.Policy
	if deployed == "" {
		deployed = "none"
	}
	if deployed != here {
		err = fmt.Errorf("the broker has %s, and here is %s: run make deploy, or get the newest policy.json", deployed, here)
	}
	d.report("the broker has the policy that is here", err)
}

func (d *doctor) checkHealth(ctx context.Context) health {
	h, err := askHealth(ctx, d.world.upstream, d.origin)
	if err != nil {
		err = fmt.Errorf("%w: check the route and the DNS record of this host", err)
	} else if h.Error != "" {
		err = errors.New(h.Error)
	}
	d.report("/healthz says ok", err)
	if err == nil {
		fmt.Fprintf(d.out, "        version %s, build %s, mode %s, policy %s\n", printable(h.Version), printable(h.Commit), printable(h.Mode), printable(h.Policy))
	}
	if h.Warning != "" {
		d.report("no variable is ignored", errors.New(h.Warning))
	}
	if h.Freeze != "" {
		d.report("nothing is frozen", errors.New("FREEZE is set, so every credential is refused: "+h.Freeze))
	}
	return h
}

// get fetches JSON into v.
func (d *doctor) get(ctx context.Context, address string, v any) (*upstream.Response, error) {
	response, err := d.world.upstream.Do(ctx, upstream.Request{
		Method: http.MethodGet, URL: address, Header: http.Header{"Accept": {"application/json"}}, Timeout: healthTimeout, MaxBytes: maxHealthBytes,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	if response.Status != http.StatusOK || json.Unmarshal(response.Body, v) != nil {
		return response, fmt.Errorf("%s answered %d, without the document that belongs there", address, response.Status)
	}
	return response, nil
}

// checkMetadata walks from the challenge to the authorization server, as a client does.
func (d *doctor) checkMetadata(ctx context.Context, mode string) {
	var resource struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
	}
	_, err := d.get(ctx, d.origin+"/.well-known/oauth-protected-resource/mcp", &resource)
	if err == nil && (resource.Resource != d.origin+"/mcp" || len(resource.Servers) != 1) {
		err = fmt.Errorf("it names %s: set VOUCH_AUDIENCE to the URL that people use", resource.Resource)
	}
	d.report("the resource's metadata names this URL", err)
	if err != nil || mode == "relay" {
		return
	}
	var server struct {
		Issuer    string `json:"issuer"`
		Authorize string `json:"authorization_endpoint"`
		Token     string `json:"token_endpoint"`
	}
	_, err = d.get(ctx, d.origin+"/.well-known/oauth-authorization-server", &server)
	if err == nil && (server.Issuer != d.origin || resource.Servers[0] != d.origin || !strings.HasPrefix(server.Authorize, d.origin+"/") || !strings.HasPrefix(server.Token, d.origin+"/")) {
		err = fmt.Errorf("it names the issuer %s: set VOUCH_AUDIENCE to the URL that people use", server.Issuer)
	}
	d.report("the authorization server's metadata names this host", err)
}

// checkClients sends the first request of a client, with user agents that bot
// rules stop.
func (d *doctor) checkClients(ctx context.Context) {
	for _, agent := range clientAgents {
		response, err := d.world.upstream.Do(ctx, upstream.Request{
			Method: http.MethodPost, URL: d.origin + "/mcp", Body: []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`),
			Header:  http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "User-Agent": {agent}},
			Timeout: healthTimeout, MaxBytes: maxHealthBytes,
		})
		switch {
		case err != nil:
		case response.Header.Get("Cf-Mitigated") != "" || response.Status == http.StatusForbidden:
			err = fmt.Errorf("it was stopped with status %d: turn Bot Fight Mode off for the zone, and let a WAF rule for this host skip Super Bot Fight Mode and Block AI bots (docs/deploy.md)", response.Status)
		case response.Status != http.StatusUnauthorized || !strings.Contains(response.Header.Get("WWW-Authenticate"), "resource_metadata="):
			err = fmt.Errorf("it got status %d instead of the challenge", response.Status)
		}
		d.report("a client that calls itself "+agent+" is asked to sign in", err)
	}
}

// checkVouch looks at what the broker and AWS read of Vouch, and at the clocks.
func (d *doctor) checkVouch(ctx context.Context) {
	issuer := d.setting("VOUCH_ISSUER")
	var document struct {
		Issuer string `json:"issuer"`
		JWKS   string `json:"jwks_uri"`
	}
	response, err := d.get(ctx, issuer+"/.well-known/openid-configuration", &document)
	if err == nil && document.Issuer != issuer {
		err = fmt.Errorf("it calls itself %s: set VOUCH_ISSUER to that", document.Issuer)
	}
	d.report("Vouch's discovery document is its own", err)
	var keys struct {
		Keys []struct{ Kty, Crv, Alg string }
	}
	_, err = d.get(ctx, issuer+"/oauth/jwks", &keys)
	if err == nil && !slices.ContainsFunc(keys.Keys, func(k struct{ Kty, Crv, Alg string }) bool { return k.Kty == "EC" && k.Crv == "P-256" }) {
		err = errors.New("it has no P-256 key: this is no Vouch that signs access tokens")
	}
	d.report("Vouch's keys are there", err)
	if response == nil {
		return
	}
	told, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return // nothing to compare
	}
	if skew := d.world.now().Sub(told).Abs(); skew > maxClockSkew {
		d.report("this machine's clock and Vouch's agree", fmt.Errorf("they are %s apart: set this one by NTP; if Vouch's is wrong, nothing that anybody signs is accepted", skew.Round(time.Second)))
		return
	}
	d.report("this machine's clock and Vouch's agree", nil)
}

// checkPush makes one authorization request with the real key. Nobody follows it,
// and it ends by itself.
func (d *doctor) checkPush(ctx context.Context) {
	const what = "Vouch takes the broker's key"
	file := register.FileFor(d.root, d.setting("VOUCH_ISSUER"), d.origin)
	r, err := file.Load()
	if errors.Is(err, register.ErrNoFile) {
		fmt.Fprintf(d.out, "  -     %s: not tried, since %s is not on this machine\n", what, file)
		return
	}
	var keys []*p256.Key
	if err == nil {
		keys, err = r.Keys()
	}
	if err != nil {
		d.report(what, err)
		return
	}
	client := vouch.SignIn{Issuer: r.Issuer, ClientID: r.ClientID, Key: keys[0], Upstream: d.world.upstream}
	// The challenge of the verifier that RFC 7636 gives as its example: there will be no code.
	_, err = client.Push(ctx, vouch.PushRequest{
		State: "doctor", CodeChallenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", RedirectURI: d.origin + "/oauth/callback",
	})
	if err != nil {
		err = fmt.Errorf("%w: run make register, and make rotate-key if it says that a rotation is under way", err)
	}
	d.report(what, err)
}

func (d *doctor) checkSTS(ctx context.Context) {
	config, err := broker.ParseConfig(func(name string) string {
		if strings.HasPrefix(name, "AWS_") {
			return d.setting(name)
		}
		return ""
	})
	address := config.STSEndpoint
	if address == "" {
		address = "https://sts.us-east-1.amazonaws.com"
		if config.AWSRegion != "" {
			address = "https://sts." + config.AWSRegion + ".amazonaws.com"
		}
	}
	if err == nil {
		_, err = d.world.upstream.Do(ctx, upstream.Request{
			Method: http.MethodPost, URL: address + "/", Body: []byte("Action=GetCallerIdentity&Version=2011-06-15"), // unsigned: any refusal will do
			Header:  http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			Timeout: healthTimeout, MaxBytes: maxHealthBytes,
		})
	}
	if err != nil {
		err = fmt.Errorf("%w: check AWS_REGION and AWS_ENDPOINT_URL_STS", err)
	}
	d.report("STS answers at "+address, err)
}
