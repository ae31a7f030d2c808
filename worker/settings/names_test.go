package settings

import (
	"strings"
	"testing"
)

func TestCheckNames(t *testing.T) {
	tests := []struct{ name, entry, want string }{
		{"known", "VOUCH_AUDIENCE=x", ""},
		{"mistyped in the environment", "VOUCH_AUDIANCE=x", "did you mean VOUCH_AUDIENCE"},
		{"another program's", "VOUCH_SESSION_TOKEN=x", ""},
		{"mistyped on make's line", "MAKEFLAGS= -- VOUCH_ISUER=https://x RUN=1", "did you mean VOUCH_ISSUER"},
		{"unknown on make's line", "MAKEFLAGS=s -- COLOUR=blue", "COLOUR is no variable"},
		{"known on make's line", "MAKEFLAGS= -- RUN=1", ""},
		{"flags alone", "MAKEFLAGS=kw", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckNames([]string{"HOME=/root", tt.entry})
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
