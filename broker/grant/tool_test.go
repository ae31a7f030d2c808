package grant

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/format"
	"mcp-credential-broker/broker/mcp"
	"mcp-credential-broker/broker/policy"
)

// TestToolThatAnybodyCouldCall: a tool whose scope was forgotten would run for
// every token, since every set of scopes holds the empty one. So the broker does
// not start.
func TestToolThatAnybodyCouldCall(t *testing.T) {
	prepare := func(*Desk, arguments) (credential, error) { return credential{}, nil }
	tell := func(*call, arguments) (any, error) { return nil, nil }
	tests := []struct {
		name string
		tool tool
		says string
	}{
		{"whole", tool{name: "t", like: "get-ssh-certificate", scope: authserver.ScopeAWS, prepare: prepare}, ""},
		{"no scope", tool{name: "t", like: "get-ssh-certificate", prepare: prepare}, "it needs a scope"},
		{"nothing to prepare", tool{name: "t", like: "get-ssh-certificate", scope: authserver.ScopeAWS}, "prepare"},
		{"tells, and has a scope", tool{name: "t", like: "whoami", scope: authserver.ScopeAWS, tell: tell}, "no scope"},
		{"tells and prepares", tool{name: "t", like: "whoami", scope: authserver.ScopeAWS, tell: tell, prepare: prepare}, "prepare"},
		{"no schema", tool{name: "t", scope: authserver.ScopeAWS, prepare: prepare}, "schemas.json"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			desk, err := newDesk(Config{}, append(tools(Config{}), tt.tool))
			if tt.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if desk != nil || !errors.Is(err, ErrTool) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("newDesk: %v, %v", desk, err)
			}
		})
	}
}

// TestNewTool: all that a newcomer writes is the tool's value. Scope, policy, approval,
// limit and record are around it by themselves, and a policy that does not know it
// refuses it.
func TestNewTool(t *testing.T) {
	minted := 0
	fresh := tool{name: "get-anything", like: "get-ssh-certificate", scope: authserver.ScopeSSH, formats: format.SSHNames()}
	fresh.prepare = func(*Desk, arguments) (credential, error) {
		return credential{mint: countMint(&minted)}, nil
	}
	for _, tt := range []struct {
		name, document string
		granted        authserver.Scopes
		gets           bool
	}{
		{"no policy", "", authserver.ScopeSSH, true},
		{"without its scope", "", authserver.AllScopes &^ authserver.ScopeSSH, false},
		{"without any scope", "", 0, false},
		{"a policy that knows nothing of it", `{"version":1,"mode":"enforce","rules":[{"id":"all","allow":{"aws":["*"],"github":["*/*"],"ssh":true}}]}`, authserver.AllScopes, false},
	} {
		c := Config{Now: func() time.Time { return agreeTime }}
		if tt.document != "" {
			compiled, err := policy.Compile([]byte(tt.document))
			if err != nil {
				t.Fatal(err)
			}
			c.Policy = compiled
		}
		var lines []*record
		c.Log = func(line any) { lines = append(lines, line.(*record)) }
		d, err := newDesk(c, append(tools(c), fresh))
		if err != nil {
			t.Fatal(err)
		}
		who := eve(nil)
		who.Granted, minted = tt.granted, 0
		r, err := d.Run(t.Context(), who, &mcp.Call{Tool: "get-anything", Arguments: json.RawMessage(`{}`)})
		if err != nil || r.IsError == tt.gets || (minted == 1) != tt.gets {
			t.Errorf("%s: %d credentials, %+v, %v", tt.name, minted, r, err)
		}
		if len(lines) != 1 || (lines[0].Decision == allow) != tt.gets {
			t.Errorf("%s: logged %+v, want one line (allow: %v)", tt.name, lines, tt.gets)
		}
	}
}
