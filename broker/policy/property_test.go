package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"mcp-credential-broker/broker/policy"
	"mcp-credential-broker/broker/policy/policytest"
)

// policies is how many random policies each property is tried on.
func policies() int {
	if testing.Short() {
		return 1000
	}
	return 10_000
}

// every runs a property on random policies, with one request each.
func every(t *testing.T, property func(t *testing.T, r *rand.Rand, d policytest.Document, c policy.Caller, q policy.Request)) {
	for seed := range uint64(policies()) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := policytest.New(r)
		property(t, r, d, policytest.Caller(r), d.Request(r))
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, d.JSON())
		}
	}
}

func compile(t *testing.T, d policytest.Document) *policy.Policy {
	t.Helper()
	p, err := policy.Compile(d.JSON())
	if err != nil {
		t.Fatalf("%s\nis invalid: %v", d.JSON(), err)
	}
	return p
}

// outcome is a decision in one word, seal included.
func outcome(d policy.Decision) string {
	switch {
	case !d.Allow:
		return "deny"
	case d.WouldDeny:
		return "would-deny"
	case d.Approve != policy.ApproveNone:
		return string(d.Approve)
	}
	return "allow"
}

// TestAgainstOracle holds Decide against the rules said a second time, as short
// and slow as can be.
func TestAgainstOracle(t *testing.T) {
	seen := map[string]int{}
	every(t, func(t *testing.T, _ *rand.Rand, d policytest.Document, c policy.Caller, q policy.Request) {
		got := compile(t, d).Decide(c, q)
		want, rule := oracle{d, c, q}.decide()
		if o := outcome(got); o != want || got.Rule != rule {
			t.Errorf("%+v asks %+v: got %s by %q (%s), want %s by %q", c, q, o, got.Rule, got.Reason, want, rule)
		}
		seen[want]++
	})
	for _, one := range []string{"allow", "deny", "ask", "touch"} {
		if seen[one] < policies()/50 {
			t.Errorf("only %d of the decisions were %s: the policies prove little", seen[one], one)
		}
	}
}

// TestDenies: their order does not matter, one more never gives more, and one
// that matches always wins.
func TestDenies(t *testing.T) {
	every(t, func(t *testing.T, r *rand.Rand, d policytest.Document, c policy.Caller, q policy.Request) {
		before := compile(t, d).Decide(c, q)

		var allows, denies []policytest.Rule
		for _, rule := range d.Rules {
			if rule.Deny != nil {
				denies = append(denies, rule)
			} else {
				allows = append(allows, rule)
			}
		}
		r.Shuffle(len(denies), func(i, j int) { denies[i], denies[j] = denies[j], denies[i] })
		shuffled := d
		shuffled.Rules = append(slices.Clone(denies), allows...)
		if after := compile(t, shuffled).Decide(c, q); outcome(after) != outcome(before) {
			t.Errorf("%+v asks %+v: %s, and with the denies in other order %s", c, q, outcome(before), outcome(after))
		}

		one := d.Deny(r, "more")
		more := d
		more.Rules = slices.Insert(slices.Clone(d.Rules), r.IntN(len(d.Rules)+1), one)
		after := compile(t, more).Decide(c, q)
		if after.Allow && (!before.Allow || after.Approve != before.Approve || after.Level != before.Level || after.Rule != before.Rule) {
			t.Errorf("%+v asks %+v: %s by %q, and with a deny more %s by %q", c, q, outcome(before), before.Rule, outcome(after), after.Rule)
		}
		if (oracle{d, c, q}).denies(*one.Deny) && outcome(after) != "deny" {
			t.Errorf("%+v asks %+v: a deny matches and it is %s", c, q, outcome(after))
		}
	})
}

// TestTestsAgree: a document's test passes with what Decide says, and with
// nothing else.
func TestTestsAgree(t *testing.T) {
	every(t, func(t *testing.T, r *rand.Rand, d policytest.Document, c policy.Caller, q policy.Request) {
		got := outcome(compile(t, d).Decide(c, q))
		call := policytest.Arguments(q)
		call["tool"] = q.Tool
		who := map[string]string{"sub": c.Subject, "client": c.Clients[0]}
		if c.Email != "" {
			who["email"] = c.Email
		}
		wrong := map[string]string{"allow": "touch", "deny": "allow", "ask": "allow", "touch": "ask"}
		for _, want := range []string{got, wrong[got]} {
			d.Tests = []policytest.Test{{Who: who, Call: call, Want: want}}
			if _, err := policy.Compile(d.JSON()); (err == nil) != (want == got) {
				t.Errorf("%+v asks %+v: Decide says %s, a test that wants %s says %v", c, q, got, want, err)
			}
		}
	})
}

// TestAccessAgrees: a request is allowed if entries of one rule hold all of it.
func TestAccessAgrees(t *testing.T) {
	every(t, func(t *testing.T, _ *rand.Rand, d policytest.Document, c policy.Caller, q policy.Request) {
		p := compile(t, d)
		q.SealTo = policytest.Recipient // what an entry says of seals is its own
		got := p.Decide(c, q)
		for _, mode := range []string{"enforce", "audit"} {
			d.Mode = mode
			e := policytest.Listed(compile(t, d).Access(c), q)
			switch {
			case (e != nil) != got.Allow:
				t.Errorf("%+v asks %+v: Decide says %s by %q, the list %+v", c, q, outcome(got), got.Rule, e)
			case e != nil && (e.Rule != got.Rule || e.Approve != got.Approve || e.Sealed != got.Sealed || e.Level != got.Level):
				t.Errorf("%+v asks %+v: Decide says %+v, the list %+v", c, q, got, e)
			}
		}
	})
}

// TestAuditSkipsNothing: mode audit allows what enforce allows on the same terms,
// says would-deny of the rest, and gives nothing without the approval or the seal
// that enforce asks for.
func TestAuditSkipsNothing(t *testing.T) {
	through := 0
	every(t, func(t *testing.T, _ *rand.Rand, d policytest.Document, c policy.Caller, q policy.Request) {
		enforce := compile(t, d).Decide(c, q)
		d.Mode = "audit"
		audit := compile(t, d).Decide(c, q)
		switch {
		case enforce.Allow && fmt.Sprint(audit) != fmt.Sprint(enforce):
			t.Errorf("%+v asks %+v: enforce says %+v, audit %+v", c, q, enforce, audit)
		case !enforce.Allow && enforce.Sealed && audit.Allow:
			t.Errorf("%+v asks %+v: audit gives it without the seal", c, q)
		case !enforce.Allow && audit.Allow && !audit.WouldDeny:
			t.Errorf("%+v asks %+v: audit does not say that enforce refuses: %+v", c, q, audit)
		}
		if audit.Allow && audit.WouldDeny {
			through++
			if guards := (oracle{d, c, q}).guards(); len(guards) > 0 && audit.Approve == policy.ApproveNone && !audit.Sealed && !(oracle{d, c, q}).covered() {
				t.Errorf("%+v asks %+v: audit lets it past the terms of %v", c, q, guards)
			}
		}
	})
	if through < policies()/50 {
		t.Errorf("only %d requests were let through: the policies prove little", through)
	}
}
