package grant

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/mcp"
)

// question is the call of a client that can ask, with what came of asking.
func asking(object, state, responses string) mcp.Call {
	q := mcp.Call{Arguments: json.RawMessage(object), AsksPeople: true, RequestState: state}
	if responses != "" {
		q.InputResponses = json.RawMessage(responses)
	}
	return q
}

const yes = `{"approve": {"action": "accept", "content": {"approve": true}}}`

// wantAsk checks that the client is asked to ask, and returns the state.
func (c *counter) wantAsk(r mcp.Result) string {
	c.t.Helper()
	if r.Ask == nil || r.IsError {
		c.t.Fatalf("%+v, want a question", r)
	}
	if r.Ask.State == "" || r.Ask.Key != "approve" {
		c.t.Errorf("asked under %q with the state %q, want approve and some", r.Ask.Key, r.Ask.State)
	}
	for _, part := range []string{role, "mend the site"} {
		if !strings.Contains(r.Ask.Message, part) {
			c.t.Errorf("asked %q, want %q in it", r.Ask.Message, part)
		}
	}
	if !json.Valid(r.Ask.Schema) {
		c.t.Errorf("the form is no JSON: %s", r.Ask.Schema)
	}
	c.wantLogged("asked", map[string]any{"decision": approvalWanted, "outcome": "asked", "approved_by": nil})
	return r.Ask.State
}

// TestAsk: a client that can ask is asked, and its person's yes is enough.
func TestAsk(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "ask"`)
	state := c.wantAsk(c.run(eve(n), asking(plainCall, "", "")))
	c.wantNothing("asked")
	c.wantMinted(c.run(eve(n), asking(plainCall, state, yes)), "eve")
}

// TestWhoCannotBeAsked gets the link at once, and the code is good there too.
func TestWhoCannotBeAsked(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "ask"`)
	code, err := n.Code(c.wantLink(n, c.call(eve(n), plainCall)).Call, "eve", c.now)
	if err != nil {
		t.Fatal(err)
	}
	c.wantMinted(c.call(eve(n), with(plainCall, "approval", code)), "eve")
}

// TestATouchIsNotAsked: no client's word takes the place of the key.
func TestATouchIsNotAsked(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "touch"`)
	c.wantLink(n, c.run(eve(n), asking(plainCall, "", "")))
	asked := newCounter(t, `, "approve": "ask"`)
	state := asked.wantAsk(asked.run(eve(n), asking(plainCall, "", "")))
	if r := c.run(eve(n), asking(plainCall, state, yes)); r.Rejected == "" {
		t.Errorf("%+v", r)
	}
	c.wantNothing("touch")
}

// TestAnythingButAYes is a no, whoever said it: some clients decline by themselves.
// The link remains.
func TestAnythingButAYes(t *testing.T) {
	n := newNotary(t)
	for _, responses := range []string{
		"", `{}`, `{"approve": {}}`, `{"approve": {"action": "decline"}}`, `{"approve": {"action": "cancel"}}`, `{"approve": {"action": "accept"}}`,
		`{"approve": {"action": "accept", "content": {"approve": false}}}`, `{"approve": {"action": "accept", "content": {"approve": "true"}}}`,
		`{"approve": {"action": "accept", "content": {"approve": 1}}}`, `{"approve": {"action": "decline", "content": {"approve": true}}}`,
		`{"other": {"action": "accept", "content": {"approve": true}}}`, `{"approve": {"action": "ACCEPT", "content": {"approve": true}}}`,
	} {
		c := newCounter(t, `, "approve": "ask"`)
		state := c.wantAsk(c.run(eve(n), asking(plainCall, "", "")))
		c.wantLink(n, c.run(eve(n), asking(plainCall, state, responses)))
		c.wantNothing(responses)
	}
}

// TestQuestionSaysWhoseWords: a purpose cannot pose as another fact, and the box is
// not ticked by itself.
func TestQuestionSaysWhoseWords(t *testing.T) {
	n := newNotary(t)
	c := newCounter(t, `, "approve": "ask"`)
	r := c.run(eve(n), asking(with(`{"role_arn": "`+role+`"}`, "purpose", `mend the site". For how long: "1 minute`), "", ""))
	c.wantAsk(r)
	before, after, ok := strings.Cut(r.Ask.Message, ` (the app's own words, not checked): "`)
	if !ok || after != `mend the site'. For how long: '1 minute".` || !strings.Contains(before, "In the name of: eve@ops.example.com. ") || strings.Contains(before, "minute") {
		t.Error(r.Ask.Message)
	}
	if form := gjson.ParseBytes(r.Ask.Schema); form.Get("properties.approve.default").Type != gjson.False || form.Get("properties.approve.type").Str != "boolean" || form.Get("required.0").Str != "approve" {
		t.Errorf("%s", r.Ask.Schema)
	}
}

// TestStateOfAClientThatDeclaresNothing: what it was asked it was asked, but it is
// not asked again.
func TestStateOfAClientThatDeclaresNothing(t *testing.T) {
	n := newNotary(t)
	for late, want := range map[time.Duration]bool{0: true, approval.StateTime + time.Second: false} {
		c := newCounter(t, `, "approve": "ask"`)
		q := asking(plainCall, c.wantAsk(c.run(eve(n), asking(plainCall, "", ""))), yes)
		q.AsksPeople, c.now = false, c.now.Add(late)
		r := c.run(eve(n), q)
		if want {
			c.wantMinted(r, "eve")
			continue
		}
		if r.Rejected == "" || r.Ask != nil {
			t.Errorf("%+v", r)
		}
		c.wantNothing("late")
	}
}

// TestStateOfAnotherCall: a yes is for the question that was asked.
func TestStateOfAnotherCall(t *testing.T) {
	n, other := newNotary(t), newNotary(t)
	for _, test := range []struct {
		name   string
		n      *approval.Notary
		change func(who *Caller, state, object *string)
	}{
		{"another person", n, func(who *Caller, _, _ *string) { who.Subject = "bob" }},
		{"another client", n, func(who *Caller, _, _ *string) { who.ClientIDHash[3] ^= 1 }},
		{"another role", n, func(_ *Caller, _, object *string) { *object = strings.Replace(*object, "Agents", "Other", 1) }},
		{"another life", n, func(_ *Caller, _, object *string) { *object = strings.Replace(*object, "900", "3600", 1) }},
		{"another broker", other, func(*Caller, *string, *string) {}},
		{"made up", n, func(_ *Caller, state, _ *string) { *state = "yes" }},
		{"altered", n, func(_ *Caller, state, _ *string) { *state = (*state)[:20] + flip((*state)[20]) + (*state)[21:] }},
	} {
		c := newCounter(t, `, "approve": "ask"`)
		state := c.wantAsk(c.run(eve(n), asking(plainCall, "", "")))
		who, object := eve(test.n), plainCall
		test.change(&who, &state, &object)
		if r := c.run(who, asking(object, state, yes)); r.Rejected == "" || r.Structured != nil && !r.IsError {
			t.Errorf("%s: %+v", test.name, r)
		}
		c.wantNothing(test.name)
	}
	before := newCounter(t, `, "approve": "ask"`)
	q := asking(plainCall, before.wantAsk(before.run(eve(n), asking(plainCall, "", ""))), yes)
	q.Tool = "get-aws-write-credentials"
	if r := before.run(eve(n), q); r.Rejected == "" {
		t.Errorf("another tool: %+v", r)
	}
	before.wantNothing("another tool")
	// One that came too late is asked again.
	c := newCounter(t, `, "approve": "ask"`)
	state := c.wantAsk(c.run(eve(n), asking(plainCall, "", "")))
	c.now = c.now.Add(approval.StateTime + time.Second)
	c.wantAsk(c.run(eve(n), asking(plainCall, state, yes)))
	c.wantNothing("late")
	// Nobody was asked about this one.
	free := newCounter(t, "")
	if r := free.run(eve(n), asking(plainCall, state, yes)); r.Rejected == "" {
		t.Errorf("%+v", r)
	}
	free.wantNothing("free")
}
