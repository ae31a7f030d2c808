package policy

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzCompile: no document panics, every fault has a place in it, and what is
// valid is JSON and decides.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(three))
	f.Add([]byte(rules(`{"id": "a", "allow": {"ssh": true, "who": {"client": ["\u00e9*"]}}, "approve": "touch", "approvers": ["x@y"]}`)))
	f.Add([]byte(`{"version": 1, "mode": "audit", "rules": [], "tests": [{"who": {}, "call": {"tool": "get-ssh-certificate"}, "want": "deny"}]}`))
	f.Add([]byte("{\"version\": 1,\n \"rules\": [{\"id\": \"\\ud83d\\ude00\"}, 1e9, [[]], null]}"))
	f.Add([]byte(strings.Repeat(`{"a":`, 100)))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Compile(data)
		if (p == nil) != (err != nil) {
			t.Fatalf("%v beside %v", p, err)
		}
		if err != nil {
			lines := strings.Split(string(data), "\n")
			for _, fault := range Faults(err) {
				if fault.Line < 1 || fault.Line > len(lines) || fault.Column < 1 || fault.Column > len(lines[fault.Line-1])+1 {
					t.Errorf("there is no such place: %v", fault)
				}
			}
			return
		}
		if !json.Valid(data) {
			t.Error("it is valid and no JSON")
		}
		caller := Caller{Subject: "1", Email: "bob@example.com", Clients: []string{"claude.example"}}
		for _, r := range []Request{certificate, repositories("a"), repositories("a", "b", "c"), role(agents), writeRole(agents), {}} {
			if d := p.Decide(caller, r); !d.Allow && d.Reason == "" {
				t.Errorf("%+v is refused without a reason", r)
			}
		}
		p.Access(caller)
		Warnings(data)
	})
}
