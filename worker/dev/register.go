package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/worker/stack"
)

// keepPrevious is how long the old key stays after a rotation: Vouch's session
// lifetime of 8 hours, and one more for sign-ins that were under way and for
// isolates that ran on with the old configuration.
const keepPrevious = 9 * time.Hour

// A registrar keeps the broker's registration at one Vouch: in the file, at
// Vouch and in the Worker's secrets, in this order. What is told to the person
// comes last: whatever breaks off, the file has what the next run needs.
type registrar struct {
	// dir is the folder of the registration files.
	dir string
	// getenv reads the environment, and settings is where the Worker's own are.
	getenv   func(name string) string
	settings settings
	vouch    upstream.Client
	now      func() time.Time
	// wrangler runs "wrangler args..." with stdin piped into it. Secrets go that
	// way and no other: every user of a machine can read the arguments.
	wrangler func(ctx context.Context, stdin secret.String, args ...string) error
	// write sets variables in wrangler.toml.
	write func(vars [][2]string) error
	out   io.Writer
}

// runRegister makes the broker a client of Vouch, or updates that client.
func runRegister(ctx context.Context) error {
	return registerIn(ctx, realWorld())
}

func registerIn(ctx context.Context, w world) error {
	g, err := newRegistrar(w)
	if err != nil {
		return err
	}
	return g.register(ctx)
}

// runRotateKey starts the rotation of the broker's key, or ends it.
func runRotateKey(ctx context.Context) error {
	return rotateIn(ctx, realWorld())
}

func rotateIn(ctx context.Context, w world) error {
	g, err := newRegistrar(w)
	if err != nil {
		return err
	}
	return g.rotate(ctx)
}

func newRegistrar(w world) (registrar, error) {
	root, err := stack.Root()
	if err != nil {
		return registrar{}, err
	}
	path := filepath.Join(root, "wrangler.toml")
	deployed, err := readSettings(path, os.Getenv("CLOUDFLARE_ENV"))
	if err != nil {
		return registrar{}, err
	}
	if err := checkNames(os.Environ()); err != nil {
		return registrar{}, err
	}
	return registrar{
		dir: filepath.Join(root, ".vouch"), getenv: os.Getenv, settings: deployed,
		vouch: w.upstream, now: w.now, out: os.Stdout,
		write: func(vars [][2]string) error { return writeVars(path, deployed.varsTable(), vars) },
		wrangler: func(ctx context.Context, stdin secret.String, args ...string) error {
			cmd, err := stack.Wrangler(root, args...)
			if err != nil {
				return err
			}
			// At its debug level wrangler logs what it sends.
			cmd.Env = append(cmd.Env, "WRANGLER_LOG=log", "WRANGLER_WRITE_LOGS=false")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin.Reveal()), os.Stdout, os.Stderr
			return run(ctx, cmd)
		},
	}, nil
}

// setting returns a variable as the person gave it, else as it is deployed.
func (g registrar) setting(name string) string {
	if value := g.getenv(name); value != "" {
		return value
	}
	return g.settings.vars[name]
}

// configured returns the issuer and the audience, checked, and the file for the
// two, after it said whom all that follows is about.
func (g registrar) configured() (issuer, audience string, file registrationFile, err error) {
	config, err := broker.ParseConfig(func(name string) string {
		if name == "VOUCH_ISSUER" || name == "VOUCH_AUDIENCE" {
			return g.setting(name)
		}
		return ""
	})
	if err != nil {
		return "", "", file, err
	}
	if config.Audience == "" {
		return "", "", file, errors.New("VOUCH_AUDIENCE must be given: make register VOUCH_AUDIENCE=https://HOST/mcp")
	}
	file = fileFor(g.dir, hostOf(config.Issuer), hostOf(config.Audience))
	fmt.Fprintf(g.out, "The broker at %s, as a client of the Vouch at %s; kept in %s\n", config.Audience, config.Issuer, file)
	return config.Issuer, config.Audience, file, nil
}

// hostOf returns the host of a URL that was checked before, with its port.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

func (g registrar) register(ctx context.Context) error {
	issuer, audience, file, err := g.configured()
	if err != nil {
		return err
	}
	unlock, err := file.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.adopt(file, issuer, audience); err != nil {
		return err
	}
	before, err := g.known(file, issuer, audience)
	if err != nil {
		return err
	}
	after := before
	after.Audience = audience
	after, err = g.publish(ctx, file, before, after)
	if err != nil {
		return err
	}
	return g.finish(ctx, file, after)
}

// adopt brings an earlier registration under this file's name: one from when there
// was a file for each Vouch only, and one of a broker that moves here from MOVE,
// its old address.
func (g registrar) adopt(file registrationFile, issuer, audience string) error {
	older := registrationFile{g.dir, fileName(hostOf(issuer)) + ".json"}
	if old := g.getenv("MOVE"); old != "" {
		if hostOf(old) == "" {
			return errors.New("MOVE must be the address that the broker had, https://OLD/mcp")
		}
		moved := fileFor(g.dir, hostOf(issuer), hostOf(old))
		if err := moved.adopt(older, issuer, old); err != nil {
			return err
		}
		return file.adopt(moved, issuer, old)
	}
	return file.adopt(older, issuer, audience)
}

// known returns the registration in the file, or a new one with a new key when
// there has never been any.
func (g registrar) known(file registrationFile, issuer, audience string) (registration, error) {
	r, err := file.load()
	// What Vouch never answered is nobody's client, whatever it was for.
	if errors.Is(err, errNoFile) || err == nil && r.ClientID == "" && r.Issuer != issuer {
		if g.settings.vars["VOUCH_CLIENT_ID"] != "" && g.settings.vars["VOUCH_ISSUER"] == issuer {
			return r, fmt.Errorf("wrangler.toml has a VOUCH_CLIENT_ID, but its registration in %s is gone: "+
				"put your copy of the file back, or empty VOUCH_CLIENT_ID there for a new client", file)
		}
		key, err := p256.Generate()
		return registration{Issuer: issuer, Audience: audience, Key: kept{key}}, err
	}
	if err != nil {
		return r, err
	}
	if r.Issuer != issuer {
		return r, fmt.Errorf("%s is the registration at another Vouch of the same host: give the VOUCH_ISSUER that it names, or move it away", file)
	}
	return r, nil
}

// publish registers after at Vouch and keeps the answer. The file is written
// before the request leaves, with before: it has then all that the request
// depends on, and the disk has proved that it takes the answer.
func (g registrar) publish(ctx context.Context, file registrationFile, before, after registration) (registration, error) {
	if err := file.save(before); err != nil {
		return before, err
	}
	answer, err := sendRegistration(ctx, g.vouch, after)
	if errors.Is(err, errToken) {
		return before, fmt.Errorf("%w, because an answer was lost or a copy of %s was used: the client goes on working as it is; to change it, "+
			"put the newest copy of the file back, or move the file away, empty VOUCH_CLIENT_ID in wrangler.toml and run make register for a new client", err, file)
	}
	if err != nil {
		return before, err
	}
	after.ClientID, after.Token = answer.ClientID, answer.Token
	if err := file.save(after); err != nil {
		return before, fmt.Errorf("Vouch's answer is lost: %w", err)
	}
	return after, checkRegistered(answer)
}

// finish tells what is left to do after a registration, and does it on request.
func (g registrar) finish(ctx context.Context, file registrationFile, r registration) error {
	fmt.Fprintf(g.out, registeredText, r.Issuer, r.ClientID, file)
	vars := [][2]string{{"VOUCH_ISSUER", r.Issuer}, {"VOUCH_AUDIENCE", r.Audience}, {"VOUCH_CLIENT_ID", r.ClientID}, {"BROKER_MODE", "sign-in"}}
	switch {
	case g.hasAll(vars):
	case g.getenv("WRITE") != "":
		if err := g.write(vars); err != nil {
			return err
		}
		for _, v := range vars {
			g.settings.vars[v[0]] = v[1]
		}
		fmt.Fprintf(g.out, "wrangler.toml has them now, under [%s].\n", g.settings.varsTable())
	default:
		fmt.Fprintf(g.out, "wrangler.toml needs these values under [%s], in place of those that are there; WRITE=1 make register puts them in:\n\n", g.settings.varsTable())
		for _, v := range vars {
			fmt.Fprintf(g.out, "  %s = %q\n", v[0], v[1])
		}
		fmt.Fprintln(g.out)
	}
	// The current key alone would go ahead of the one that sessions still need.
	if !r.PreviousKey.IsEmpty() {
		fmt.Fprintln(g.out, "A rotation of the key is under way: make rotate-key puts the secrets.")
		return nil
	}
	if g.getenv("RUN") == "" {
		fmt.Fprintf(g.out, putText, file)
		return nil
	}
	if err := g.checkTarget(r); err != nil {
		return err
	}
	if err := g.wrangler(ctx, r.Key.String, "secret", "put", "BROKER_KEY"); err != nil {
		return fmt.Errorf("wrangler did not put BROKER_KEY, though the registration is done: run npx wrangler login or set CLOUDFLARE_API_TOKEN, then this again (%w)", err)
	}
	fmt.Fprintln(g.out, "The Worker has its BROKER_KEY.")
	return nil
}

// hasAll reports whether wrangler.toml has these values already.
func (g registrar) hasAll(vars [][2]string) bool {
	return !slices.ContainsFunc(vars, func(v [2]string) bool { return g.settings.vars[v[0]] != v[1] })
}

const registeredText = `Registered at %[1]s as client %[2]s.
Key and registration token are in %[3]s, for you alone: keep a copy in a safe place,
and a fresh one after each make register and make rotate-key, since the old one cannot change the registration then.
`

const putText = `Then give the Worker its key, with RUN=1 make register, or by hand:

  node -p 'require("./%s").key' | npx wrangler secret put BROKER_KEY
`

// checkTarget refuses to put a key of this registration into a Worker that is
// configured for another one: nobody could sign in there any more.
func (g registrar) checkTarget(r registration) error {
	for _, v := range []struct{ name, want string }{
		{"VOUCH_ISSUER", r.Issuer}, {"VOUCH_AUDIENCE", r.Audience}, {"VOUCH_CLIENT_ID", r.ClientID},
	} {
		if value := g.settings.vars[v.name]; value != "" && value != v.want {
			return fmt.Errorf("%s in wrangler.toml is not that of this registration, so no secret was put: set it to %s, then run this again", v.name, v.want)
		}
	}
	return nil
}

// rotate does the next step of a rotation: a new key beside the old one, or,
// once no session needs it any more, the end of the old one.
func (g registrar) rotate(ctx context.Context) error {
	issuer, audience, file, err := g.configured()
	if err != nil {
		return err
	}
	unlock, err := file.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := g.adopt(file, issuer, audience); err != nil {
		return err
	}
	r, err := file.load()
	if err != nil && !errors.Is(err, errNoFile) {
		return err
	}
	if err != nil || r.ClientID == "" || r.Issuer != issuer {
		return fmt.Errorf("there is no registration at %s in %s: run make register first, or give VOUCH_ISSUER", issuer, file)
	}
	if err := g.checkTarget(r); err != nil {
		return err
	}
	if r.PreviousKey.IsEmpty() {
		if r, err = g.addKey(ctx, file, r); err != nil {
			return err
		}
	}
	if r.RotatedAt.IsZero() {
		return g.putBoth(ctx, file, r)
	}
	if end := r.RotatedAt.Add(keepPrevious); g.now().Before(end) {
		return fmt.Errorf("sessions may still need the old key, so nothing was changed: run make rotate-key again after %s", end.Local().Format(time.RFC1123))
	}
	return g.dropKey(ctx, file, r)
}

// addKey registers a new key beside the current one, which becomes the previous.
func (g registrar) addKey(ctx context.Context, file registrationFile, before registration) (registration, error) {
	if before.NextKey.IsEmpty() {
		key, err := p256.Generate()
		if err != nil {
			return before, err
		}
		before.NextKey = kept{key}
	}
	after := before
	after.Key, after.PreviousKey, after.NextKey = before.NextKey, before.Key, kept{}
	return g.publish(ctx, file, before, after)
}

// putBoth gives the Worker both keys. A run that broke off here is made up for
// by the next one; the old key's time starts only when the Worker has both.
func (g registrar) putBoth(ctx context.Context, file registrationFile, r registration) error {
	if err := g.putKeys(ctx, r.Key.Reveal(), r.PreviousKey.Reveal()); err != nil {
		return err
	}
	r.RotatedAt = g.now().UTC().Truncate(time.Second)
	if err := file.save(r); err != nil {
		return fmt.Errorf("run make rotate-key again: %w", err)
	}
	fmt.Fprintf(g.out, "The Worker has a new key, and the old one for its sessions. Run make rotate-key again after %s to drop the old one.\n",
		r.RotatedAt.Add(keepPrevious).Local().Format(time.RFC1123))
	return nil
}

// dropKey takes the previous key from the Worker, then from Vouch.
func (g registrar) dropKey(ctx context.Context, file registrationFile, before registration) error {
	if err := g.putKeys(ctx, before.Key.Reveal(), nil); err != nil {
		return err
	}
	after := before
	after.PreviousKey, after.RotatedAt = kept{}, time.Time{}
	if _, err := g.publish(ctx, file, before, after); err != nil {
		return err
	}
	fmt.Fprintln(g.out, "The old key is gone, from the Worker and from Vouch. Run make rotate-key once more to start the next rotation.")
	return nil
}

// putKeys sets both secrets in one step, so that no version of the Worker has
// the new key without the old one. A previous of nil removes that secret, if it
// is there.
func (g registrar) putKeys(ctx context.Context, key string, previous any) error {
	text, err := json.Marshal(map[string]any{"BROKER_KEY": key, "BROKER_KEY_PREVIOUS": previous})
	if err != nil {
		return err
	}
	if err := g.wrangler(ctx, secret.New(string(text)), "secret", "bulk"); err != nil {
		return fmt.Errorf("wrangler did not change the secrets: run npx wrangler login or set CLOUDFLARE_API_TOKEN, then make rotate-key again (%w)", err)
	}
	return nil
}
