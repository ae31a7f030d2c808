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
	// getenv reads the environment, and deployed is the [vars] of wrangler.toml.
	getenv   func(name string) string
	deployed map[string]string
	vouch    upstream.Client
	now      func() time.Time
	// wrangler runs "wrangler args..." with stdin piped into it. Secrets go that
	// way and no other: every user of a machine can read the arguments.
	wrangler func(ctx context.Context, stdin secret.String, args ...string) error
	out      io.Writer
}

// runRegister makes the broker a client of Vouch, or updates that client.
func runRegister(ctx context.Context) error {
	g, err := newRegistrar()
	if err != nil {
		return err
	}
	return g.register(ctx)
}

// runRotateKey starts the rotation of the broker's key, or ends it.
func runRotateKey(ctx context.Context) error {
	g, err := newRegistrar()
	if err != nil {
		return err
	}
	return g.rotate(ctx)
}

func newRegistrar() (registrar, error) {
	root, err := stack.Root()
	if err != nil {
		return registrar{}, err
	}
	deployed, err := readSettings(filepath.Join(root, "wrangler.toml"), os.Getenv("CLOUDFLARE_ENV"))
	if err != nil {
		return registrar{}, err
	}
	return registrar{
		dir: filepath.Join(root, ".vouch"), getenv: os.Getenv, deployed: deployed.vars,
		vouch: upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now},
		now:   time.Now, out: os.Stdout,
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
	return g.deployed[name]
}

// configured returns the issuer and the audience, checked, and the file of this
// issuer.
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
	u, err := url.Parse(config.Issuer)
	if err != nil {
		return "", "", file, err
	}
	return config.Issuer, config.Audience, fileFor(g.dir, u.Host), nil
}

func (g registrar) register(ctx context.Context) error {
	issuer, audience, file, err := g.configured()
	if err != nil {
		return err
	}
	if audience == "" {
		return errors.New("VOUCH_AUDIENCE must be given: make register VOUCH_AUDIENCE=https://HOST/mcp")
	}
	unlock, err := file.lock()
	if err != nil {
		return err
	}
	defer unlock()
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

// known returns the registration in the file, or a new one with a new key when
// there has never been any.
func (g registrar) known(file registrationFile, issuer, audience string) (registration, error) {
	r, err := file.load()
	if errors.Is(err, errNoFile) {
		if g.deployed["VOUCH_CLIENT_ID"] != "" && g.deployed["VOUCH_ISSUER"] == issuer {
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
	// One broker's sign-in would end when another took its client.
	if r.ClientID != "" && r.Audience != audience && g.getenv("MOVE") == "" {
		return r, fmt.Errorf("%s is the registration of %s: run this with MOVE=1 if that broker moves to the new address, "+
			"or move the file away for a second broker", file, r.Audience)
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
	fmt.Fprintf(g.out, registeredText, r.Issuer, r.ClientID, file, r.Audience)
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

const registeredText = `Registered at %[1]s as client %[2]s.
Key and registration token are in %[3]s, for you alone: keep a copy in a safe place,
and a fresh one after each make register and make rotate-key, since the old one cannot change the registration then.

In wrangler.toml, under [vars], set:

  VOUCH_ISSUER = "%[1]s"
  VOUCH_AUDIENCE = "%[4]s"
  VOUCH_CLIENT_ID = "%[2]s"
  BROKER_MODE = "sign-in"

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
		if value := g.deployed[v.name]; value != "" && value != v.want {
			return fmt.Errorf("%s in wrangler.toml is not that of this registration, so no secret was put: set it to %s, then run this again", v.name, v.want)
		}
	}
	return nil
}

// rotate does the next step of a rotation: a new key beside the old one, or,
// once no session needs it any more, the end of the old one.
func (g registrar) rotate(ctx context.Context) error {
	issuer, _, file, err := g.configured()
	if err != nil {
		return err
	}
	unlock, err := file.lock()
	if err != nil {
		return err
	}
	defer unlock()
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
