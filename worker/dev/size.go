package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"

	"mcp-credential-broker/worker/stack"
)

// budgetKiB is what the upload may weigh, gzip: Cloudflare's free plan takes
// 3 MiB, and a cold start pays for each byte.
const budgetKiB = 2200

// totalUpload is wrangler's own figure: what it would upload, and that gzipped.
var totalUpload = regexp.MustCompile(`Total Upload: ([0-9.]+) KiB / gzip: ([0-9.]+) KiB`)

// runSize prints the upload's size and fails above the budget.
func runSize(ctx context.Context) error {
	out, err := dryRun(ctx, os.Stderr)
	if err != nil {
		return err
	}
	m := totalUpload.FindSubmatch(out)
	if m == nil {
		return fmt.Errorf("wrangler told no upload size; it printed:\n%s", out)
	}
	gzip, err := strconv.ParseFloat(string(m[2]), 64)
	if err != nil {
		return err
	}
	fmt.Printf("upload %s KiB, gzip %s KiB, budget %d KiB gzip, headroom %.0f KiB\n", m[1], m[2], budgetKiB, budgetKiB-gzip)
	if gzip > budgetKiB {
		return errors.New("the upload is over its budget: look at what the Wasm build imports (docs/architecture.md has what imports cost)")
	}
	return nil
}

// dryRun has wrangler do all of a deployment but the upload.
func dryRun(ctx context.Context, stderr *os.File) ([]byte, error) {
	root, err := stack.Root()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "upload-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd, err := stack.Wrangler(root, "deploy", "--dry-run", "--outdir", filepath.Join(dir, "out"))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, stderr
	if err := stack.Run(ctx, cmd); err != nil {
		return nil, fmt.Errorf("wrangler deploy --dry-run failed: %w\n%s", err, out.Bytes())
	}
	return out.Bytes(), nil
}
