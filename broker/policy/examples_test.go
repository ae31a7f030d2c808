package policy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestExamples: each folder of testdata is a policy and either the calls that it
// decides, or its faults.
func TestExamples(t *testing.T) {
	folders, err := filepath.Glob("testdata/*/policy.json")
	if err != nil || len(folders) < 5 {
		t.Fatal("examples are missing:", folders, err)
	}
	for _, file := range folders {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			p, err := Compile(mustRead(t, file))
			if golden := filepath.Join(folder, "faults.txt"); err != nil {
				if *update {
					_ = os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644)
				}
				if want := string(mustRead(t, golden)); err.Error()+"\n" != want {
					t.Errorf("got\n%v\nwant\n%s", err, want)
				}
				return
			}
			cases(t, p, filepath.Join(folder, "cases.json"))
		})
	}
}

func cases(t *testing.T, p *Policy, file string) {
	var all []struct {
		Email, Sub, Client string
		Call               struct {
			Tool         string   `json:"tool"`
			Profile      string   `json:"profile"`
			RoleARN      string   `json:"role_arn"`
			Owner        string   `json:"owner"`
			Repositories []string `json:"repositories"`
			SealTo       string   `json:"seal_to"`
		}
		Want, Rule string
		Level      Level
		Seconds    int
		Approvers  []string
	}
	if err := json.Unmarshal(mustRead(t, file), &all); err != nil || len(all) == 0 {
		t.Fatal(file, err)
	}
	for i, c := range all {
		in := c.Call
		caller := Caller{Subject: "somebody", Email: c.Email, Clients: []string{"some client"}}
		if c.Sub != "" {
			caller.Subject = c.Sub
		}
		if c.Client != "" {
			caller.Clients[0] = c.Client
		}
		d := p.Decide(caller, Request{
			Tool: in.Tool, Kind: toolKind(in.Tool), Profile: in.Profile, RoleARN: in.RoleARN, Write: in.Tool == writeTool,
			Owner: in.Owner, Repositories: in.Repositories, SealTo: in.SealTo,
		})
		got := string(d.verdict())
		if d.WouldDeny {
			got = "would-deny"
		}
		if got != c.Want || d.Rule != c.Rule {
			t.Errorf("%s[%d]: got %s by %q, want %s by %q: %s", file, i, got, d.Rule, c.Want, c.Rule, d.Reason)
		}
		if d.Level != c.Level || d.Seconds != c.Seconds {
			t.Errorf("%s[%d]: got %q for %d seconds, want %q for %d", file, i, d.Level, d.Seconds, c.Level, c.Seconds)
		}
		for _, name := range d.Approvers {
			if _, ok := d.MayApprove(Caller{Subject: "another", Email: name}); ok != slices.Contains(c.Approvers, name) {
				t.Errorf("%s[%d]: %s may approve: %v", file, i, name, ok)
			}
		}
	}
}

// TestPublishedExamples: what the repository and its guide show is valid, and the
// example is so without a warning but that of relay mode.
func TestPublishedExamples(t *testing.T) {
	example := mustRead(t, "../../policy.example.json")
	mustCompile(t, string(example))
	for _, w := range Warnings(example) {
		if !strings.Contains(w.Problem, "relay mode") {
			t.Error(w)
		}
	}
	guide := string(mustRead(t, "../../docs/policy.md"))
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(guide, -1)
	if len(blocks) < 3 {
		t.Fatalf("the guide shows %d documents", len(blocks))
	}
	for _, block := range blocks {
		document := block[1]
		if !strings.HasPrefix(document, "{\"version\"") && !strings.HasPrefix(document, "{\n  \"version\"") {
			document = rules(document) // a rule by itself
		}
		mustCompile(t, document)
	}
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
