package main

import (
	"context"

	"mcp-credential-broker/worker/register"
)

// runRegister makes the broker a client of Vouch, or updates that client.
func runRegister(ctx context.Context) error { return registerIn(ctx, realWorld()) }

func registerIn(ctx context.Context, w world) error { return register.Run(ctx, w.upstream, w.now) }

// runRotateKey starts the rotation of the broker's key, or ends it.
func runRotateKey(ctx context.Context) error { return rotateIn(ctx, realWorld()) }

func rotateIn(ctx context.Context, w world) error {
	return register.RotateKey(ctx, w.upstream, w.now)
}
