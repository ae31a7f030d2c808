// Package register keeps the broker's registration at Vouch: it makes the broker a client
// there, updates that client, and changes the broker's key without ending a session.
//
// It promises that the file of the registration holds whatever the next run needs before a
// request leaves, that no secret is printed or stands among a program's arguments, and that
// one run at a time changes a registration.
package register

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mcp-credential-broker/broker"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/worker/settings"
	"mcp-credential-broker/worker/stack"
)

// A registrar keeps the broker's registration at one Vouch: in the file, at
// Vouch and in the Worker's secrets, in this order. What is told to the person
// comes last: whatever breaks off, the file has what the next run needs.
type registrar struct {
	// dir is the folder of the registration files.
	dir string
	// getenv reads the environment, and settings is where the Worker's own are.
	getenv   func(name string) string
	settings settings.Settings
	vouch    upstream.Client
	now      func() time.Time
	// wrangler runs "wrangler args..." with stdin piped into it. Secrets go that
	// way and no other: every user of a machine can read the arguments.
	wrangler func(ctx context.Context, stdin secret.String, args ...string) error
	// write sets variables in wrangler.toml.
	write func(vars [][2]string) error
	out   io.Writer
}

// Run makes the broker a client of Vouch, or updates that client, as the environment
// and wrangler.toml say.
func Run(ctx context.Context, vouch upstream.Client, now func() time.Time) error {
	g, err := newRegistrar(vouch, now)
	if err != nil {
		return err
	}
	return g.register(ctx)
}

func newRegistrar(vouch upstream.Client, now func() time.Time) (registrar, error) {
	root, err := stack.Root()
	if err != nil {
		return registrar{}, err
	}
	path := filepath.Join(root, "wrangler.toml")
	deployed, err := settings.Read(path, os.Getenv("CLOUDFLARE_ENV"))
	if err != nil {
		return registrar{}, err
	}
	if err := settings.CheckNames(os.Environ()); err != nil {
		return registrar{}, err
	}
	return registrar{
		dir: folder(root), getenv: os.Getenv, settings: deployed, vouch: vouch, now: now, out: os.Stdout,
		write: func(vars [][2]string) error { return settings.WriteVars(path, deployed.VarsTable(), vars) },
		wrangler: func(ctx context.Context, stdin secret.String, args ...string) error {
			cmd, err := stack.Wrangler(root, args...)
			if err != nil {
				return err
			}
			// At its debug level wrangler logs what it sends.
			cmd.Env = append(cmd.Env, "WRANGLER_LOG=log", "WRANGLER_WRITE_LOGS=false")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin.Reveal()), os.Stdout, os.Stderr
			return stack.Run(ctx, cmd)
		},
	}, nil
}

// Subject returns the broker and the Vouch that a registration is about, checked,
// of the variables that get returns.
func Subject(get func(name string) string) (issuer, audience string, err error) {
	config, err := broker.ParseConfig(func(name string) string {
		if name == "VOUCH_ISSUER" || name == "VOUCH_AUDIENCE" {
			return get(name)
		}
		return ""
	})
	if err != nil {
		return "", "", err
	}
	if config.Audience == "" {
		return "", "", errors.New("VOUCH_AUDIENCE must be given: make register VOUCH_AUDIENCE=https://HOST/mcp")
	}
	return config.Issuer, config.Audience, nil
}

// setting returns a variable as the person gave it, else as it is deployed.
func (g registrar) setting(name string) string { return g.settings.Chosen(g.getenv, name) }

// begin returns the issuer and the audience, checked, and the file for the two,
// which is this program's until unlock, after it said whom all that follows is about.
func (g registrar) begin() (issuer, audience string, file File, unlock func(), err error) {
	if issuer, audience, err = Subject(g.setting); err != nil {
		return "", "", file, nil, err
	}
	file = fileFor(g.dir, issuer, audience)
	fmt.Fprintf(g.out, "The broker at %s, as a client of the Vouch at %s; kept in %s\n", audience, issuer, file)
	if unlock, err = file.lock(); err != nil {
		return "", "", file, nil, err
	}
	if err := g.adopt(file, issuer, audience); err != nil {
		unlock()
		return "", "", file, nil, err
	}
	return issuer, audience, file, unlock, nil
}

func (g registrar) register(ctx context.Context) error {
	issuer, audience, file, unlock, err := g.begin()
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

// adopt brings an earlier registration under this file's name: one from when there
// was a file for each Vouch only, and one of a broker that moves here from MOVE,
// its old address.
func (g registrar) adopt(file File, issuer, audience string) error {
	older := olderFile(g.dir, issuer)
	if old := g.getenv("MOVE"); old != "" {
		if hostOf(old) == "" {
			return errors.New("MOVE must be the address that the broker had, https://OLD/mcp")
		}
		moved := fileFor(g.dir, issuer, old)
		if err := moved.adopt(older, issuer, old); err != nil {
			return err
		}
		return file.adopt(moved, issuer, old)
	}
	return file.adopt(older, issuer, audience)
}

// known returns the registration in the file, or a new one with a new key when
// there has never been any.
func (g registrar) known(file File, issuer, audience string) (Registration, error) {
	r, err := file.Load()
	// What Vouch never answered is nobody's client, whatever it was for.
	if errors.Is(err, ErrNoFile) || err == nil && r.ClientID == "" && r.Issuer != issuer {
		if g.settings.Vars["VOUCH_CLIENT_ID"] != "" && g.settings.Vars["VOUCH_ISSUER"] == issuer {
			return r, fmt.Errorf("wrangler.toml has a VOUCH_CLIENT_ID, but its registration in %s is gone: "+
				"put your copy of the file back, or empty VOUCH_CLIENT_ID there for a new client", file)
		}
		key, err := p256.Generate()
		return Registration{Issuer: issuer, Audience: audience, Key: kept{key}}, err
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
func (g registrar) publish(ctx context.Context, file File, before, after Registration) (Registration, error) {
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
func (g registrar) finish(ctx context.Context, file File, r Registration) error {
	fmt.Fprintf(g.out, registeredText, r.Issuer, r.ClientID, file)
	vars := [][2]string{{"VOUCH_ISSUER", r.Issuer}, {"VOUCH_AUDIENCE", r.Audience}, {"VOUCH_CLIENT_ID", r.ClientID}, {"BROKER_MODE", "sign-in"}}
	switch {
	case g.hasAll(vars):
	case g.getenv("WRITE") != "":
		if err := g.write(vars); err != nil {
			return err
		}
		for _, v := range vars {
			g.settings.Vars[v[0]] = v[1]
		}
		fmt.Fprintf(g.out, "wrangler.toml has them now, under [%s].\n", g.settings.VarsTable())
	default:
		fmt.Fprintf(g.out, "wrangler.toml needs these values under [%s], in place of those that are there; WRITE=1 make register puts them in:\n\n", g.settings.VarsTable())
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
	return !slices.ContainsFunc(vars, func(v [2]string) bool { return g.settings.Vars[v[0]] != v[1] })
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
func (g registrar) checkTarget(r Registration) error {
	for _, v := range []struct{ name, want string }{
		{"VOUCH_ISSUER", r.Issuer}, {"VOUCH_AUDIENCE", r.Audience}, {"VOUCH_CLIENT_ID", r.ClientID},
	} {
		if value := g.settings.Vars[v.name]; value != "" && value != v.want {
			return fmt.Errorf("%s in wrangler.toml is not that of this registration, so no secret was put: set it to %s, then run this again", v.name, v.want)
		}
	}
	return nil
}
