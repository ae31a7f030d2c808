package main

import (
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/p256"
	"mcp-credential-broker/broker/seal"
	"mcp-credential-broker/broker/secret"
)

func TestInspect(t *testing.T) {
	o := newOffice(t)
	o.must(o.register)
	key, err := p256.Parse(o.kept().Key.String)
	if err != nil {
		t.Fatal(err)
	}
	box := seal.Box{Current: key, Issuer: "https://broker.example", VouchIssuer: o.env["VOUCH_ISSUER"], Resource: testAudience}
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
			err := o.inspect(&out, secret.New(tt.value), tt.at)
			if (err == nil) != (tt.want != "") || !strings.Contains(out.String(), tt.want) {
				t.Errorf("told %q, error %v", &out, err)
			}
			if strings.Contains(out.String(), "inside\n") && strings.Contains(out.String(), value) {
				t.Error("the value was repeated")
			}
		})
	}
}
