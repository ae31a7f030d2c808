package grant

import (
	"errors"
	"strings"
	"testing"

	"mcp-credential-broker/broker/authserver"
)

// TestToolThatAnybodyCouldCall: a tool whose scope was forgotten would run for
// every token, since every set of scopes holds the empty one. So the broker does
// not start.
func TestToolThatAnybodyCouldCall(t *testing.T) {
	prepare := func(*Desk, arguments) (credential, error) { return credential{}, nil }
	tests := []struct {
		name string
		tool tool
		says string
	}{
		{"whole", tool{name: "t", scope: authserver.ScopeAWS, prepare: prepare}, ""},
		{"no scope", tool{name: "t", prepare: prepare}, "scope"},
		{"nothing to prepare", tool{name: "t", scope: authserver.ScopeAWS}, "prepare"},
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
