package grant

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/mcp"
)

// BenchmarkAuditLine is what the line of a call takes, encoded as the broker logs it.
func BenchmarkAuditLine(b *testing.B) {
	who := Caller{
		RequestID: "8f00ba5eba11ba5e-FRA", Subject: "0192f0c1-7a6b-7d30-9c11-3b6f5a1e8d42", Email: "alice@example.com",
		ClientID: "sha256:0011223344556677", ClientName: "Claude Code", ClientHost: "claude.ai", SignIn: "001122334455",
	}
	b.ReportAllocs()
	for b.Loop() {
		r := newRecord(time.Now(), who, &mcp.Call{Tool: "get-aws-credentials"})
		r.Target.RoleARN, r.Issued = "arn:aws:iam::123456789012:role/vouch/developer", &issued{AccessKeyID: "ASIAIOSFODNN7EXAMPLE"}
		r.Hops = []hopRecord{{hopVouch, 12}, {hopSTS, 34}}
		var line strings.Builder
		e := json.NewEncoder(&line)
		e.SetEscapeHTML(false)
		if err := e.Encode(r); err != nil || line.Len() < 300 {
			b.Fatalf("%v: %s", err, line.String())
		}
	}
}
