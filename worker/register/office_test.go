package register

import (
	"context"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/fault"
	"mcp-credential-broker/worker/settings"
)

const testAudience = "https://broker.example/mcp"

// call is one run of wrangler.
type call struct {
	args  string
	stdin string
}

// office is a registrar at a local Vouch, with what it said and did.
type office struct {
	registrar
	t     *testing.T
	vouch *vouchtest.Stack
	env   map[string]string
	out   *strings.Builder
	calls []call
	clock time.Time
	// failing is what wrangler ends with.
	failing error
}

func newOffice(t *testing.T) *office {
	t.Helper()
	s, err := vouchtest.Start(vouchtest.Options{Version: vouchtest.Latest})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	o := &office{
		t: t, vouch: s, out: &strings.Builder{}, clock: time.Now(),
		env: map[string]string{"VOUCH_ISSUER": s.VouchURL, "VOUCH_AUDIENCE": testAudience},
	}
	o.registrar = registrar{
		dir: filepath.Join(t.TempDir(), ".vouch"), settings: settings.Settings{Vars: map[string]string{"VOUCH_ISSUER": s.VouchURL}},
		getenv: func(name string) string { return o.env[name] },
		vouch:  upstream.Client{Fetcher: upstream.NetHTTP{}, Now: time.Now},
		now:    func() time.Time { return o.clock }, out: o.out,
		wrangler: func(_ context.Context, stdin secret.String, args ...string) error {
			o.calls = append(o.calls, call{strings.Join(args, " "), stdin.Reveal()})
			return o.failing
		},
	}
	return o
}

func (o *office) file() File {
	return fileFor(o.dir, o.env["VOUCH_ISSUER"], o.env["VOUCH_AUDIENCE"])
}

// kept returns what the file holds.
func (o *office) kept() Registration {
	o.t.Helper()
	r, err := o.file().Load()
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// run runs a command and looks for secrets in what it tells.
func (o *office) run(command func(context.Context) error) error {
	o.t.Helper()
	err := command(o.t.Context())
	o.silent(err)
	return err
}

func (o *office) must(command func(context.Context) error) {
	o.t.Helper()
	if err := o.run(command); err != nil {
		o.t.Fatal(err)
	}
}

// silent fails when a secret was printed, is in the error, or was an argument.
func (o *office) silent(err error) {
	o.t.Helper()
	said := o.out.String()
	if err != nil {
		said += err.Error()
	}
	for _, c := range o.calls {
		said += c.args
	}
	r, _ := o.file().Load()
	for _, s := range []kept{r.Token, r.Key, r.NextKey, r.PreviousKey} {
		var jwk struct{ D string }
		_ = json.Unmarshal([]byte(s.Reveal()), &jwk)
		if !s.IsEmpty() && strings.Contains(said, s.Reveal()) || jwk.D != "" && strings.Contains(said, jwk.D) {
			o.t.Errorf("a secret was told: %s", said)
		}
	}
}

// toldMore reports whether more was told than whom the run is about.
func (o *office) toldMore() bool { return strings.Count(o.out.String(), "\n") > 1 }

// sent returns the last registration that Vouch received, and how it came.
func (o *office) sent() (metadata, fault.Received) {
	o.t.Helper()
	path := "/oauth/register"
	if r := o.kept(); r.ClientID != "" && o.vouch.Vouch.Count(path+"/"+r.ClientID) > 0 {
		path += "/" + r.ClientID
	}
	all := o.vouch.Vouch.Requests(path)
	if len(all) == 0 {
		o.t.Fatal("nothing was sent to Vouch")
	}
	last := all[len(all)-1]
	var m metadata
	if err := json.Unmarshal(last.Body, &m); err != nil {
		o.t.Fatal(err)
	}
	return m, last
}

// atVouch returns the key ids that Vouch knows, and proves that the kept token
// is the live one.
func (o *office) atVouch() []string {
	o.t.Helper()
	r := o.kept()
	req, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, o.vouch.VouchURL+"/oauth/register/"+r.ClientID, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.Token.Reveal())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	var m metadata
	if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != http.StatusOK {
		o.t.Fatalf("Vouch does not take the kept token: status %d, %v", resp.StatusCode, err)
	}
	var ids []string
	for _, key := range m.JWKS.Keys {
		ids = append(ids, key.KeyID)
	}
	return ids
}

func keyID(t *testing.T, k kept) string {
	t.Helper()
	key, err := p256.Parse(k.String)
	if err != nil {
		t.Fatal(err)
	}
	return key.Thumbprint()
}

// wantSecrets checks that wrangler ran so many times, and what it got last.
func (o *office) wantSecrets(runs int, want map[string]any) {
	o.t.Helper()
	if len(o.calls) != runs {
		o.t.Fatalf("wrangler ran %d times, want %d", len(o.calls), runs)
	}
	last := o.calls[runs-1]
	var got map[string]any
	err := json.Unmarshal([]byte(last.stdin), &got)
	if err != nil || last.args != "secret bulk" || len(got) != len(want) {
		o.t.Fatalf("wrangler %s, %d secrets, error %v", last.args, len(got), err)
	}
	for name, value := range want {
		if found, ok := got[name]; !ok || found != value {
			o.t.Errorf("%s is not what it should be", name)
		}
	}
}
