package main

import (
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
)

func TestInspect(t *testing.T) {
	c := newClient(t, "https://broker.example/mcp")
	keys, err := c.kept().Keys()
	if err != nil {
		t.Fatal(err)
	}
	box := seal.Box{Current: keys[0], Issuer: "https://broker.example", VouchIssuer: c.vouch.VouchURL, Resource: "https://broker.example/mcp"}
	now := time.Now()
	value, err := box.Seal("code", now.Add(time.Minute), []byte("inside"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, value string
		at          time.Time
		want        string
	}{
		{"good", value, now, `purpose "code", 6 bytes inside, good now`},
		{"expired", value, now.Add(time.Hour), "expired"},
		{"altered", value[:len(value)-2] + "AA", now, ""},
		{"empty", "", now, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			err := inspector{root: c.root, getenv: c.getenv}.inspect(&out, secret.New(tt.value), tt.at)
			if (err == nil) != (tt.want != "") || !strings.Contains(out.String(), tt.want) {
				t.Errorf("told %q, error %v", &out, err)
			}
			if strings.Contains(out.String(), "inside\n") && strings.Contains(out.String(), value) {
				t.Error("the value was repeated")
			}
		})
	}
}
