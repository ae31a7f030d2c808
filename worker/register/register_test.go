package register

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"mcp-credential-broker/broker/vouchtest/fault"
)

func TestRegisterFirst(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	r := o.kept()
	m, request := o.sent()
	if request.Method != http.MethodPost || request.Header.Get("Authorization") != "" {
		t.Errorf("registered with %s and Authorization %q", request.Method, request.Header.Get("Authorization"))
	}
	if m.AuthMethod != "private_key_jwt" {
		t.Errorf("authentication method %q, want private_key_jwt", m.AuthMethod)
	}
	if !m.DPoPBound {
		t.Error("the tokens are not to be bound to a key")
	}
	if want := []string{"authorization_code"}; !slices.Equal(m.GrantTypes, want) {
		t.Errorf("grant types %q, want %q", m.GrantTypes, want)
	}
	if want := []string{"https://broker.example/oauth/callback"}; !slices.Equal(m.RedirectURIs, want) {
		t.Errorf("redirect URIs %q, want %q", m.RedirectURIs, want)
	}
	if m.ClientName == "" {
		t.Error("no client name")
	}
	if strings.Contains(string(request.Body), `"d"`) {
		t.Error("the private key was sent")
	}
	if ids := o.atVouch(); !slices.Equal(ids, []string{keyID(t, r.Key)}) {
		t.Errorf("keys at Vouch %v", ids)
	}
	for _, want := range []string{`VOUCH_CLIENT_ID = "` + r.ClientID + `"`, `BROKER_MODE = "sign-in"`, "wrangler secret put BROKER_KEY"} {
		if !strings.Contains(o.out.String(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if len(o.calls) != 0 {
		t.Errorf("wrangler ran without being asked for: %v", o.calls)
	}
}

func TestRegisterAgain(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	first := o.kept()
	o.env["RUN"] = "1"
	o.must(o.register)
	second := o.kept()
	if _, request := o.sent(); request.Method != http.MethodPut || o.vouch.Vouch.Count("/oauth/register") != 1 {
		t.Errorf("second run: %s, %d clients made", request.Method, o.vouch.Vouch.Count("/oauth/register"))
	}
	if second.ClientID != first.ClientID || second.Key.Reveal() != first.Key.Reveal() || second.Token.Reveal() == first.Token.Reveal() {
		t.Error("the second run changed client or key, or did not keep the new token")
	}
	o.atVouch()
	want := []call{{"secret put BROKER_KEY", second.Key.Reveal()}}
	if !slices.Equal(o.calls, want) {
		t.Errorf("wrangler ran %d times, not once with the key piped in", len(o.calls))
	}
}

func TestRotate(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	old := o.kept()
	o.must(o.rotate)
	r := o.kept()
	if !r.PreviousKey.Equal(old.Key.String) || r.Key.Equal(old.Key.String) || !r.NextKey.IsEmpty() {
		t.Fatal("the file does not hold the new key with the old one as previous")
	}
	both := []string{keyID(t, r.Key), keyID(t, r.PreviousKey)}
	if ids := o.atVouch(); !slices.Equal(ids, both) {
		t.Errorf("keys at Vouch %v, want %v", ids, both)
	}
	o.wantSecrets(1, map[string]any{"BROKER_KEY": r.Key.Reveal(), "BROKER_KEY_PREVIOUS": old.Key.Reveal()})

	// An update meanwhile keeps both keys and leaves the secrets alone.
	o.env["RUN"] = "1"
	o.must(o.register)
	if ids := o.atVouch(); !slices.Equal(ids, both) || len(o.calls) != 1 {
		t.Errorf("after an update: keys at Vouch %v, %d runs of wrangler", ids, len(o.calls))
	}

	o.clock = r.RotatedAt.Add(keepPrevious - time.Second)
	if err := o.run(o.rotate); err == nil || len(o.calls) != 1 || len(o.atVouch()) != 2 {
		t.Errorf("within the session lifetime: error %v, %d runs of wrangler", err, len(o.calls))
	}
	o.clock = r.RotatedAt.Add(keepPrevious)
	o.must(o.rotate)
	if ids := o.atVouch(); !slices.Equal(ids, both[:1]) {
		t.Errorf("keys at Vouch %v, want only the new one", ids)
	}
	o.wantSecrets(2, map[string]any{"BROKER_KEY": r.Key.Reveal(), "BROKER_KEY_PREVIOUS": nil})
	if done := o.kept(); !done.PreviousKey.IsEmpty() || !done.RotatedAt.IsZero() || !done.Key.Equal(r.Key.String) {
		t.Error("the file still holds a rotation")
	}
}

// A rotation that broke off is carried on with the same keys, and the old key's
// time starts only once the Worker has both.
func TestRotateCarriesOn(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	old := o.kept()
	if err := o.vouch.Vouch.SetFault(fault.Fault{Path: "/oauth/register*", Kind: fault.Status, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if err := o.run(o.rotate); err == nil {
		t.Fatal("a refused rotation succeeded")
	}
	pending := o.kept()
	if !pending.Key.Equal(old.Key.String) || pending.NextKey.IsEmpty() || len(o.calls) != 0 {
		t.Fatal("the current key changed, or the next one was not kept")
	}
	o.failing = errors.New("not logged in")
	if err := o.run(o.rotate); !errors.Is(err, o.failing) {
		t.Fatalf("error %v", err)
	}
	if r := o.kept(); !r.Key.Equal(pending.NextKey.String) || !r.PreviousKey.Equal(old.Key.String) || !r.RotatedAt.IsZero() {
		t.Fatal("the rotation is not kept as half done")
	}
	o.failing = nil
	o.clock = o.clock.Add(24 * time.Hour)
	o.must(o.rotate)
	o.wantSecrets(2, map[string]any{"BROKER_KEY": pending.NextKey.Reveal(), "BROKER_KEY_PREVIOUS": old.Key.Reveal()})
	if len(o.atVouch()) != 2 || o.kept().RotatedAt.IsZero() {
		t.Error("the old key was dropped before the Worker had both")
	}
}

// crash is a terminal that ends the program at the first word on what was done.
type crash struct{}

func (crash) Write(p []byte) (int, error) {
	if strings.HasPrefix(string(p), "The broker at ") {
		return len(p), nil
	}
	panic("crash")
}

func TestCrashBeforeTelling(t *testing.T) {
	for _, name := range []string{"first registration", "update", "rotation"} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			if name != "first registration" {
				o.must(o.register)
			}
			broken := o.registrar
			broken.out = crash{}
			command := broken.register
			if name == "rotation" {
				command = broken.rotate
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Fatal("it did not crash")
					}
				}()
				_ = command(t.Context())
			}()
			o.atVouch() // the kept token is the live one
			o.must(o.register)
			if o.vouch.Vouch.Count("/oauth/register") != 1 {
				t.Error("a second client was made")
			}
		})
	}
}

// When a request arrives, the file must already hold its keys.
func TestKeysAreKeptBeforeTheRequest(t *testing.T) {
	o := newOffice(t)
	var seen atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.ReadFile(o.file().path())
		var m metadata
		if err != nil || json.NewDecoder(r.Body).Decode(&m) != nil {
			t.Errorf("at the request: %v", err)
		}
		for _, key := range m.JWKS.Keys {
			if !strings.Contains(string(file), key.X) {
				t.Error("a key is registered that the file does not hold")
			}
			seen.Add(1)
		}
		w.WriteHeader(http.StatusCreated)
		if r.Method == http.MethodPut {
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write([]byte(`{"client_id":"c1","registration_access_token":"t1","token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":true}`))
	}))
	defer front.Close()
	o.env["VOUCH_ISSUER"], o.settings.Vars = front.URL, nil
	o.must(o.register)
	if err := o.run(o.rotate); err == nil {
		t.Error("a rotation without an answer succeeded")
	}
	if seen.Load() != 3 {
		t.Errorf("%d keys seen, want 1 and then 2", seen.Load())
	}
}

func TestRegisterRefusals(t *testing.T) {
	tests := []struct {
		name   string
		change func(o *office)
		want   string
	}{
		{"no audience", func(o *office) { o.env["VOUCH_AUDIENCE"] = "" }, "VOUCH_AUDIENCE"},
		{"audience is plain http", func(o *office) { o.env["VOUCH_AUDIENCE"] = "http://broker.example/mcp" }, "VOUCH_AUDIENCE"},
		{"issuer is plain http", func(o *office) { o.env["VOUCH_ISSUER"] = "http://vouch.example" }, "VOUCH_ISSUER"},
		{"issuer with a path upwards", func(o *office) { o.env["VOUCH_ISSUER"] = "https://../x/" }, "VOUCH_ISSUER"},
		{"file is lost", func(o *office) { o.settings.Vars["VOUCH_CLIENT_ID"] = "c1" }, "is gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := newOffice(t)
			tt.change(o)
			if err := o.run(o.register); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one on %s", err, tt.want)
			}
			if o.vouch.Vouch.Count("/oauth/register") != 0 {
				t.Error("a request left")
			}
		})
	}
}

// A second broker at the same Vouch is a client of its own, and the first stays
// as it is; only a broker that says so moves.
func TestAnotherBrokerIsNotPushedAside(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	first := o.kept()
	o.env["VOUCH_AUDIENCE"] = "https://other.example/mcp"
	o.must(o.register)
	if second := o.kept(); second.ClientID == first.ClientID || second.Key.Equal(first.Key.String) || o.vouch.Vouch.Count("/oauth/register") != 2 {
		t.Error("the second broker took the first one's client or key")
	}
	o.env["VOUCH_AUDIENCE"], o.env["MOVE"] = "https://moved.example/mcp", testAudience
	o.must(o.register)
	m, _ := o.sent()
	if m.RedirectURIs[0] != "https://moved.example/oauth/callback" || o.kept().ClientID != first.ClientID || o.kept().Audience != "https://moved.example/mcp" {
		t.Errorf("the move did not arrive: %v", m.RedirectURIs)
	}
}

// A file from when there was one for each Vouch is taken over by its broker only.
func TestOlderFileIsAdopted(t *testing.T) {
	for _, mine := range []bool{true, false} {
		o := newOffice(t)
		o.must(o.register)
		first := o.kept()
		older := olderFile(o.dir, o.env["VOUCH_ISSUER"])
		if err := os.Rename(o.file().path(), older.path()); err != nil {
			t.Fatal(err)
		}
		if !mine {
			o.env["VOUCH_AUDIENCE"] = "https://other.example/mcp"
		}
		o.must(o.register)
		if got := o.kept().ClientID == first.ClientID; got != mine {
			t.Errorf("of this broker %v: adopted %v", mine, got)
		}
	}
}

// Until Vouch has answered once there is nothing to push aside.
func TestAudienceMayChangeBeforeTheFirstAnswer(t *testing.T) {
	o := newOffice(t)
	if err := o.vouch.Vouch.SetFault(fault.Fault{Path: "/oauth/register", Kind: fault.Status, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if err := o.run(o.register); err == nil {
		t.Fatal("a refused registration succeeded")
	}
	o.env["VOUCH_AUDIENCE"] = "https://right.example/mcp"
	o.must(o.register)
	if o.kept().Audience != "https://right.example/mcp" {
		t.Errorf("audience %s", o.kept().Audience)
	}
}

func TestWrongWorkerGetsNoKey(t *testing.T) {
	for _, name := range []string{"VOUCH_ISSUER", "VOUCH_AUDIENCE", "VOUCH_CLIENT_ID"} {
		t.Run(name, func(t *testing.T) {
			o := newOffice(t)
			o.must(o.register)
			o.env["RUN"], o.settings.Vars[name] = "1", "https://other.example"
			for _, command := range []func(context.Context) error{o.register, o.rotate} {
				if err := o.run(command); err == nil || !strings.Contains(err.Error(), name) {
					t.Errorf("error %v", err)
				}
			}
			if len(o.calls) != 0 || len(o.atVouch()) != 1 {
				t.Error("a secret was put, or a key registered")
			}
		})
	}
}

func TestRotateWithoutRegistration(t *testing.T) {
	o := newOffice(t)
	if err := o.run(o.rotate); err == nil || !strings.Contains(err.Error(), "make register") {
		t.Fatalf("error %v", err)
	}
	if len(o.calls) != 0 {
		t.Error("wrangler ran")
	}
}
