package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/worker/register"
	"mcp-credential-broker/worker/settings"
	"mcp-credential-broker/worker/stack"
)

// purposes are what values are sealed for, access tokens aside.
var purposes = []seal.Purpose{
	"consent", "transaction", "code", "approval form", "approval transaction", "approval link", "approval state",
}

// opener is a box as the authorization server wants it. It seals nothing.
type opener struct{ seal.Box }

// Seal implements authserver.Sealer.
func (opener) Seal(string, time.Time, []byte) (string, error) { return "", errors.ErrUnsupported }

// Open implements authserver.Sealer.
func (o opener) Open(purpose, text string, now time.Time) ([]byte, error) {
	payload, _, err := o.Box.Open(seal.Purpose(purpose), text, now)
	return payload, err
}

// runInspect opens one sealed value, read from the standard input, with the key of
// BROKER_KEY or of the registration's file. Neither is taken from the command
// line, which every user of a machine can read.
func runInspect(context.Context) error {
	root, err := stack.Root()
	if err != nil {
		return err
	}
	deployed, err := settings.Read(filepath.Join(root, "wrangler.toml"), os.Getenv("CLOUDFLARE_ENV"))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "Paste the sealed value and press Enter:")
	value, err := bufio.NewReader(io.LimitReader(os.Stdin, 2*seal.MaxTextBytes)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return inspector{root, deployed, os.Getenv}.inspect(os.Stdout, secret.New(strings.TrimSpace(value)), time.Now())
}

// An inspector has the keys of one broker.
type inspector struct {
	root     string
	settings settings.Settings
	getenv   func(name string) string
}

// inspect tells what a value is, and of an access token whose. It tells nothing
// that would let anybody act: neither Vouch's token nor a code.
func (i inspector) inspect(out io.Writer, value secret.String, now time.Time) error {
	issuer, audience, err := register.Subject(func(name string) string { return i.settings.Chosen(i.getenv, name) })
	if err != nil {
		return err
	}
	file := register.FileFor(i.root, issuer, audience)
	box := seal.Box{Issuer: strings.TrimSuffix(audience, "/mcp"), VouchIssuer: issuer, Resource: audience}
	if text := i.getenv("BROKER_KEY"); text != "" {
		box.Current, err = p256.Parse(secret.New(text))
	} else {
		var r register.Registration
		if r, err = file.Load(); err == nil {
			var keys []*p256.Key
			if keys, err = r.Keys(); err == nil {
				box.Current = keys[0]
				if len(keys) > 1 {
					box.Previous = keys[1]
				}
			}
		}
	}
	if err != nil {
		return fmt.Errorf("there is no key to open it with: set BROKER_KEY in the environment, or put %s in its place (%w)", file, err)
	}
	for _, purpose := range purposes {
		payload, _, err := box.Open(purpose, value.Reveal(), time.Unix(0, 0))
		if err != nil {
			continue
		}
		state := "good now"
		if _, _, err := box.Open(purpose, value.Reveal(), now); err != nil {
			state = "expired"
		}
		fmt.Fprintf(out, "purpose %q, %d bytes inside, %s\n", purpose, len(payload), state)
		return nil
	}
	t, err := authserver.OpenAccessToken(opener{box}, value, time.Unix(0, 0))
	if err != nil {
		return errors.New("no key of this broker opens it: it was cut, altered, or sealed by another broker or for another Vouch")
	}
	fmt.Fprintf(out, "access token, until %s\nperson %s (%s, verified %v)\nclient %q, host %q\nasked %s, granted %s\nsign-in %s\n",
		t.Expires.UTC().Format(time.RFC3339), t.Subject, t.Email, t.EmailVerified, t.ClientName, t.ClientHost, t.Asked.String(), t.Granted.String(), t.SignIn)
	return nil
}
