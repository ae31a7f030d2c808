package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
)

// TestMain lets the scripts run "dev", whose servers are those of the script: the
// commands as people run them, in a world in which a public name leads to loopback.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"dev": func() {
		w := scriptedWorld()
		commands := map[string]func(context.Context, world) error{
			"deploy": deployIn, "doctor": doctorIn, "register": registerIn, "rotate-key": rotateIn,
		}
		if err := commands[os.Args[1]](context.Background(), w); err != nil {
			fmt.Fprintf(os.Stderr, "%s failed: %v\n", os.Args[1], err)
			os.Exit(1)
		}
	}})
}

// scriptedWorld sends what is for https://NAME to the server that NAME's variable
// in the script's environment names, and lets no time pass but in pauses.
func scriptedWorld() world {
	later := time.Duration(0)
	now := func() time.Time { return time.Now().Add(later) }
	return world{
		upstream: upstream.Client{Fetcher: rerouted{}, Now: time.Now}, now: now,
		pause: func(_ context.Context, d time.Duration) error { later += d; return nil },
	}
}

// rerouted is the way out of a script.
type rerouted struct{}

// Fetch implements upstream.Fetcher.
func (rerouted) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	for host, name := range map[string]string{"broker.example": "BROKER", "vouch.example": "VOUCH"} {
		if u.Host == host {
			to, err := url.Parse(os.Getenv(name))
			if err != nil {
				return nil, err
			}
			u.Scheme, u.Host = to.Scheme, to.Host
		}
	}
	if u.Hostname() != "127.0.0.1" {
		return nil, upstream.ErrUnreachable
	}
	r.URL = u.String()
	return upstream.NetHTTP{}.Fetch(ctx, r)
}

// TestScripts runs whole sessions as people have them, with a wrangler that notes
// what it was asked to do.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(env *testscript.Env) error {
			s, err := vouchtest.Start(vouchtest.Options{Version: vouchtest.Latest})
			if err != nil {
				return err
			}
			env.Defer(func() { _ = s.Close() })
			var asked int
			broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked++
				commit := "older"
				if asked > 2 { // an isolate of the version before answers twice
					commit = "abc123"
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = fmt.Fprintf(w, `{"status":"ok","version":"0.1.0","commit":%q,"mode":"relay"}`, commit)
			}))
			env.Defer(broker.Close)
			env.Setenv("VOUCH", s.VouchURL)
			env.Setenv("BROKER", broker.URL)
			for _, name := range []string{"CLOUDFLARE_ENV", "VOUCH_ISSUER", "VOUCH_AUDIENCE", "RUN", "WRITE", "DRY_RUN", "UNCONFIGURED", "MAKEFLAGS"} {
				env.Setenv(name, "")
			}
			bin := env.WorkDir + "/bin"
			env.Setenv("PATH", bin+string(os.PathListSeparator)+env.Getenv("PATH"))
			if err := os.MkdirAll(bin, 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(bin+"/node", []byte(strings.TrimLeft(fakeNode, "\n")), 0o755); err != nil {
				return err
			}
			return nil
		},
	})
}

// fakeNode stands in for Node with wrangler: it notes arguments and what is piped
// in, the names in it only, and tells a size.
const fakeNode = `
#!/bin/sh
[ "$1" = --version ] && { echo v22.12.0; exit; }
shift
echo "wrangler $*" >> "$WORK/wrangler.log"
case "$*" in
*--dry-run*) echo "Total Upload: 100.00 KiB / gzip: 50.00 KiB" ;;
secret*) grep -o 'BROKER_KEY[A-Z_]*\|"kty"' >> "$WORK/wrangler.log" || true ;;
esac
[ ! -f "$WORK/fail" ]
`
