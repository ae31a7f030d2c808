package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/worker/policyfile"
	"mcp-credential-broker/worker/settings"
	"mcp-credential-broker/worker/stack"
)

const (
	// awaitTime is how long a new version is waited for: a custom domain's first
	// certificate takes minutes, a further version seconds.
	awaitTime  = 5 * time.Minute
	awaitPause = 3 * time.Second

	healthTimeout  = 10 * time.Second
	maxHealthBytes = 64 << 10
)

// A deployer deploys one environment of wrangler.toml.
type deployer struct {
	settings.Settings
	getenv func(name string) string
	// policy is the document that goes with the build, empty for none.
	policy string
	// commit is what the build says it was made of; empty without git.
	commit string
	size   func(ctx context.Context) error
	// wrangler runs "wrangler deploy" with the terminal.
	wrangler func(ctx context.Context) error
	world    world
	out      io.Writer
}

// world is what these commands need of it beside wrangler, so that a test can
// stand in for servers and for time.
type world struct {
	upstream upstream.Client
	now      func() time.Time
	pause    func(ctx context.Context, d time.Duration) error
}

func realWorld() world {
	return world{upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now}, time.Now, pause}
}

// runDeploy checks the configuration that would be deployed, deploys it, and
// waits until that version answers. With DRY_RUN set it stops before the upload.
func runDeploy(ctx context.Context) error { return deployIn(ctx, realWorld()) }

func deployIn(ctx context.Context, w world) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	s, err := settings.Read(filepath.Join(root, "wrangler.toml"), os.Getenv("CLOUDFLARE_ENV"))
	if err != nil {
		return err
	}
	policy, err := policyfile.Read(root, s.Vars["POLICY"])
	if err != nil {
		return err
	}
	commit, err := os.ReadFile(filepath.Join(root, "build", "commit"))
	if err != nil {
		return fmt.Errorf("the Worker is not built yet: run make deploy, not this alone (%w)", err)
	}
	d := deployer{
		Settings: s, getenv: os.Getenv, policy: policy, commit: strings.TrimSpace(string(commit)), size: runSize,
		wrangler: func(ctx context.Context) error { return wranglerDeploy(ctx, root) },
		world:    w, out: os.Stdout,
	}
	return d.deploy(ctx)
}

func wranglerDeploy(ctx context.Context, root string) error {
	cmd, err := stack.Wrangler(root, "deploy")
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = nil // wrangler may ask the person to log in, so it must own the terminal
	return stack.Run(ctx, cmd)
}

func (d deployer) deploy(ctx context.Context) error {
	dry, unconfigured := d.getenv("DRY_RUN") != "", d.getenv("UNCONFIGURED") != ""
	if unconfigured && !dry {
		return errors.New("UNCONFIGURED=1 is for a DRY_RUN of a tree that nobody has configured: leave it out to deploy")
	}
	fmt.Fprintf(d.out, "Worker %s, %s of wrangler.toml, build %s\n", d.Worker, d.place(), d.commit)
	if err := d.check(); err != nil && !unconfigured {
		return fmt.Errorf("%s in wrangler.toml is not ready:\n%w", d.place(), err)
	}
	if err := d.size(ctx); err != nil || dry {
		return err
	}
	if err := d.wrangler(ctx); err != nil {
		return fmt.Errorf("wrangler did not deploy it; its words are above (%w)", err)
	}
	return d.await(ctx)
}

// place names the part of wrangler.toml that is deployed.
func (d deployer) place() string {
	if d.Env == "" {
		return "the top level"
	}
	return "[env." + d.Env + "]"
}

// check finds what would make the deployed Worker answer 503, or nobody reach
// it: an invalid policy too, with which nothing is let through. Secrets cannot be
// seen from here: the key of sign-in mode is taken to be there, and /healthz tells
// afterwards.
func (d deployer) check() error {
	config, fault := broker.ParseConfig(func(name string) string {
		if name == "POLICY" {
			return d.policy
		}
		if name == "BROKER_KEY" && d.Vars["BROKER_MODE"] == "sign-in" {
			if text, err := p256.Generate(); err == nil {
				return text.Reveal()
			}
		}
		return d.Vars[name]
	})
	faults := []error{fault, config.CheckPublic()}
	if config.Warning != "" {
		faults = append(faults, errors.New(config.Warning))
	}
	for name := range d.Vars {
		if name == "BROKER_KEY" || name == "BROKER_KEY_PREVIOUS" {
			faults = append(faults, fmt.Errorf("%s is a secret and must not stand in wrangler.toml: remove it, make a new key, and hand that over with make register RUN=1", name))
		}
	}
	if issuer, err := url.Parse(config.Issuer); err == nil && !isPublic(issuer) {
		faults = append(faults, errors.New("VOUCH_ISSUER must be on a public host, since Cloudflare cannot reach another one"))
	}
	if audience, err := url.Parse(config.Audience); err == nil && audience.Host != "" {
		switch {
		case !isPublic(audience):
			faults = append(faults, errors.New("VOUCH_AUDIENCE must be on a public host name"))
		case !d.Reaches(audience.Host):
			faults = append(faults, fmt.Errorf("no route leads %s to the Worker: add\n\n  [[routes]]\n  pattern = %q\n  custom_domain = true\n\n"+
				"to wrangler.toml (for an environment: routes = [{ pattern = %[2]q, custom_domain = true }] under [env.NAME])", audience.Host, audience.Host))
		}
	}
	return errors.Join(faults...)
}

// isPublic reports whether a URL's host is a name, with a dot in it, that is not
// set aside for private use. An address would have no certificate.
func isPublic(u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if u.Scheme != "https" || net.ParseIP(host) != nil || !strings.Contains(host, ".") {
		return false
	}
	for _, private := range []string{".localhost", ".local", ".internal", ".lan", ".home.arpa", ".test", ".invalid"} {
		if strings.HasSuffix(host, private) {
			return false
		}
	}
	return true
}

// health is what /healthz says.
type health struct {
	Status  any    `json:"status"` // "ok", or the number beside an error
	Error   string `json:"error"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Mode    string `json:"mode"`
	Policy  string `json:"policy"`
	Freeze  string `json:"freeze"`
	Warning string `json:"warning"`
}

// askHealth asks a broker's /healthz. Its answer may be a fault.
func askHealth(ctx context.Context, client upstream.Client, origin string) (health, error) {
	response, err := client.Do(ctx, upstream.Request{
		Method: http.MethodGet, URL: origin + "/healthz", Header: http.Header{"Accept": {"application/json"}},
		Timeout: healthTimeout, MaxBytes: maxHealthBytes,
	})
	if err != nil {
		return health{}, err
	}
	var h health
	if json.Unmarshal(response.Body, &h) != nil || h.Status != "ok" && h.Error == "" {
		return h, fmt.Errorf("an answer that is not this broker's, with status %d", response.Status)
	}
	return h, nil
}

// await asks /healthz until the version that was uploaded says that all is well.
func (d deployer) await(ctx context.Context) error {
	origin := strings.TrimSuffix(d.Vars["VOUCH_AUDIENCE"], "/mcp")
	fmt.Fprintf(d.out, "==> Waiting for %s/healthz to answer from this version ...\n", origin)
	end := d.world.now().Add(awaitTime)
	var last string
	for {
		h, err := askHealth(ctx, d.world.upstream, origin)
		switch {
		case err != nil:
			last = err.Error()
		case h.Error != "":
			last = printable(h.Error)
		case h.Commit != d.commit || h.Version != broker.Version:
			last = fmt.Sprintf("another version, %s %s, still answers", printable(h.Version), printable(h.Commit))
		default:
			fmt.Fprintf(d.out, "Deployed: %s runs version %s, build %s, in mode %s.\n", origin, broker.Version, d.commit, printable(h.Mode))
			return nil
		}
		if !d.world.now().Before(end) {
			return fmt.Errorf("it was uploaded, but %s/healthz did not say ok for this version within %s: %s.\n"+
				"See what it answers with URL=%[1]s make doctor; wrangler rollback brings the version before it back", origin, awaitTime, last)
		}
		if err := d.world.pause(ctx, awaitPause); err != nil {
			return err
		}
	}
}

// printable cuts text from elsewhere to what may go to a terminal.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return ' '
		}
		return r
	}, text)
	return text[:min(len(text), 600)]
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
