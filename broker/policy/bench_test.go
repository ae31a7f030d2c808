package policy

import (
	"fmt"
	"testing"
)

// large is 2,000 rules of which none matches before the last: the dearest policy
// of that size.
func large() []byte {
	var lines []string
	for i := range 1999 {
		kind := "allow"
		if i%4 == 0 {
			kind = "deny"
		}
		lines = append(lines, fmt.Sprintf(`{"id": "r%d", %q: {"who": {"email": ["*@team%d.example.com"]}, "aws": ["arn:aws:iam::1111222233%02d:role/team%d-*"], "github": ["example/team%d-*"]}}`, i, kind, i, i%100, i, i))
	}
	lines = append(lines, `{"id": "last", "allow": {"aws": ["arn:aws:iam::111122223344:role/*"], "github": ["example/*"]}}`)
	return []byte(rules(lines...))
}

func BenchmarkDecide2000Rules(b *testing.B) {
	p, err := Compile(large())
	if err != nil {
		b.Fatal(err)
	}
	caller := Caller{Subject: "1", Email: "bob@team.example.com", Clients: []string{"claude.example"}}
	for name, r := range map[string]Request{
		"aws":    role("arn:aws:iam::111122223344:role/team-x"),
		"github": repositories("example", "team-a", "team-b", "team-c"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := p.Decide(caller, r); !d.Allow {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}

func BenchmarkCompile2000Rules(b *testing.B) {
	document := large()
	for b.Loop() {
		if _, err := Compile(document); err != nil {
			b.Fatal(err)
		}
	}
}
