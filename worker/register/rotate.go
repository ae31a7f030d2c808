package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// keepPrevious is how long the old key stays after a rotation: Vouch's session
// lifetime of 8 hours, and one more for sign-ins that were under way and for
// isolates that ran on with the old configuration.
const keepPrevious = 9 * time.Hour

// RotateKey starts the rotation of the broker's key, or ends it.
func RotateKey(ctx context.Context, vouch upstream.Client, now func() time.Time) error {
	g, err := newRegistrar(vouch, now)
	if err != nil {
		return err
	}
	return g.rotate(ctx)
}

// rotate does the next step of a rotation: a new key beside the old one, or,
// once no session needs it any more, the end of the old one.
func (g registrar) rotate(ctx context.Context) error {
	issuer, _, file, unlock, err := g.begin()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := file.Load()
	if err != nil && !errors.Is(err, ErrNoFile) {
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
func (g registrar) addKey(ctx context.Context, file File, before Registration) (Registration, error) {
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
func (g registrar) putBoth(ctx context.Context, file File, r Registration) error {
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
func (g registrar) dropKey(ctx context.Context, file File, before Registration) error {
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
