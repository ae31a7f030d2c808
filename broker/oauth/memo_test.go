package oauth

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mcp-credential-broker/broker/memo"
	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// countSignatures makes v count the signatures that it checks.
func countSignatures(v *Verifier) *countingES256 {
	counting := &countingES256{}
	v.es256 = counting
	return counting
}

type countingES256 struct {
	p256.Native
	checked atomic.Int64
}

func (m *countingES256) VerifyES256(message string, signature []byte, key *p256.PublicKey) error {
	m.checked.Add(1)
	return m.Native.VerifyES256(message, signature, key)
}

func TestMemoSparesTheSignatureOnly(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	want, err := v.Verify(context.Background(), token, testResource)
	if err != nil {
		t.Fatal(err)
	}
	es256 := countSignatures(v)
	for range 10 {
		got, err := v.Verify(context.Background(), token, testResource)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || got.Token.Reveal() != token.Reveal() {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
		got.Scopes[0] = "admin" // a caller's own business
	}
	if n := es256.checked.Load(); n != 0 {
		t.Errorf("%d signatures checked again", n)
	}
}

// TestMemoKnowsOneSpelling: another spelling of the same claims is another token.
func TestMemoKnowsOneSpelling(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil).Reveal()
	if got := verify(v, secret.New(token)); got != "ok" {
		t.Fatal(got)
	}
	end := strings.LastIndexByte(token, '.')
	other := i.mint(nil, change{"jti": "another"}).Reveal()
	for name, forged := range map[string]string{
		"no signature":                token[:end+1],
		"signature of another":        token[:end] + other[strings.LastIndexByte(other, '.'):],
		"signature cut":               token[:len(token)-1],
		"line end":                    token + "\n",
		"padding":                     token + "=",
		"claims of another, own sign": other[:strings.LastIndexByte(other, '.')] + token[end:],
	} {
		if got := verify(v, secret.New(forged)); got != "invalid" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestMemoEndsWithTheToken: a token that is remembered expires to the second.
func TestMemoEndsWithTheToken(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, change{"exp": i.clock.now().Unix() + 10})
	expect(t, i, v, token, "ok", 0)
	i.clock.advance(10*time.Second + maxSkew - time.Second)
	expect(t, i, v, token, "ok", 0)
	i.clock.advance(time.Second)
	expect(t, i, v, token, "invalid", 0)
}

// TestMemoEndsWithTheTokenInMidFetch: the set has to be renewed, that takes until
// the token has expired, and fails: the old key still vouches, the time does not.
func TestMemoEndsWithTheTokenInMidFetch(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, change{"exp": i.clock.now().Add(time.Hour - maxSkew + 3*time.Second).Unix()})
	expect(t, i, v, token, "ok", 0)
	i.clock.advance(time.Hour)
	i.set(func() {
		i.answer = func() (*upstream.Response, error) {
			i.clock.advance(4 * time.Second)
			return nil, upstream.ErrTimeout
		}
	})
	expect(t, i, v, token, "invalid", 1)
	i.clock.advance(time.Minute)
	expect(t, i, v, token, "invalid", 0) // and it causes no fetch any more
}

// TestMemoAsksForTheAudience: the same bytes, presented to another server.
func TestMemoAsksForTheAudience(t *testing.T) {
	i := newIssuer(t, newClock())
	v := i.verifier("cli")
	const other = "https://other.example/mcp"
	ours, both := i.mint(nil, nil), i.mint(nil, change{"aud": []string{testResource, other}})
	client := i.mint(nil, change{"aud": "cli", "client_id": "cli"})
	for round := range 3 {
		for _, test := range []struct {
			name     string
			token    secret.String
			resource string
			want     string
		}{
			{"ours", ours, testResource, "ok"}, {"ours elsewhere", ours, other, "audience"}, {"ours nowhere", ours, "", "audience"},
			{"both", both, testResource, "ok"}, {"both elsewhere", both, other, "ok"}, {"both at a third", both, "https://third.example/mcp", "audience"},
			{"allowed client", client, testResource, "ok"}, {"allowed client elsewhere", client, other, "ok"},
		} {
			_, err := v.Verify(context.Background(), test.token, test.resource)
			if got := outcome(err); got != test.want {
				t.Errorf("round %d, %s: %s, want %s", round, test.name, got, test.want)
			}
		}
	}
}

// TestMemoForNoResource: what was once accepted without a resource does not make
// a token good wherever there is none.
func TestMemoForNoResource(t *testing.T) {
	i := newIssuer(t, newClock())
	v := i.verifier("cli")
	token := i.mint(nil, change{"aud": "cli", "client_id": "cli"})
	if _, err := v.Verify(context.Background(), token, ""); err != nil {
		t.Fatal(err)
	}
	v.allowedClients = nil
	if _, err := v.Verify(context.Background(), token, ""); outcome(err) != "audience" {
		t.Errorf("got %v", err)
	}
}

// TestMemoEndsWithTheKey: once the issuer has another key under the same kid, no
// token of the old one passes, however many are being verified at that moment.
func TestMemoEndsWithTheKey(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	expect(t, i, v, token, "ok", 0)
	fresh := i.rotate(testKid)
	i.clock.advance(time.Hour)
	var renewed atomic.Bool
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				after := renewed.Load()
				got := verify(v, token)
				if after && got != "invalid" {
					t.Errorf("%s with a key that the issuer has replaced", got)
					return
				}
				// Whoever was refused has met the new set; from then on all do.
				renewed.CompareAndSwap(false, got == "invalid")
			}
		})
	}
	wg.Wait()
	if !renewed.Load() {
		t.Error("the token of the old key was never refused")
	}
	expect(t, i, v, token, "invalid", 0)
	expect(t, i, v, fresh(), "ok", 0)
}

// TestMemoAsksARenewedSet: a set that came anew with the same key verifies again,
// once, and one that could not be had leaves the key as it was.
func TestMemoAsksARenewedSet(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	expect(t, i, v, token, "ok", 0)
	es256 := countSignatures(v)
	i.clock.advance(time.Hour)
	for range 5 {
		verify(v, token)
	}
	if n := es256.checked.Load(); n != 1 {
		t.Errorf("%d signatures checked after the set was renewed, want 1", n)
	}
	i.set(func() { i.fail = context.DeadlineExceeded })
	i.clock.advance(time.Hour)
	if got := verify(v, token); got != "ok" || es256.checked.Load() != 1 {
		t.Errorf("with the set that could not be renewed: %s, %d signatures", got, es256.checked.Load())
	}
	i.clock.advance(staleLife)
	if got := verify(v, token); !strings.HasPrefix(got, "unavailable") {
		t.Errorf("without any keys: %s", got)
	}
}

// TestMemoTakesNoForgeries: tokens that nobody signed come and go; the one that
// somebody did sign stays.
func TestMemoTakesNoForgeries(t *testing.T) {
	i, v := warm(t)
	token := i.mint(nil, nil)
	expect(t, i, v, token, "ok", 0)
	size := v.memo.Len()
	forger := newKey(t)
	for n := range 4 * memo.Generation {
		body := change{"jti": fmt.Sprint(n)}
		good := sign(t, forger, encodeJSON(t, header()), encodeJSON(t, body.apply(i.claims())))
		expect(t, i, v, good, "invalid", 0)
	}
	for _, refused := range []secret.String{
		i.mint(nil, change{"aud": "https://other.example/mcp"}), i.mint(nil, change{"cnf": map[string]any{"jkt": "x"}}),
		i.mint(nil, change{"exp": i.clock.now().Unix() - 3600}), i.mint(change{"typ": "JWT"}, nil),
	} {
		if got := verify(v, refused); got == "ok" {
			t.Error("accepted")
		}
	}
	if got := v.memo.Len(); got != size {
		t.Errorf("%d tokens remembered, want %d", got, size)
	}
	es256 := countSignatures(v)
	expect(t, i, v, token, "ok", 0)
	if n := es256.checked.Load(); n != 0 {
		t.Error("forged tokens pushed out the good one")
	}
}
