package ascii_test

import (
	"testing"

	"mcp-credential-broker/broker/ascii"
)

func TestOnly(t *testing.T) {
	for _, tt := range []struct {
		text, characters string
		want             bool
	}{
		{"", ascii.Digits, false}, {"0", ascii.Digits, true}, {"0123456789", ascii.Digits, true}, {"0a9", ascii.Digits, false}, {"a", "", false},
		{"azAZ09", ascii.Alphanumeric, true}, {"az AZ", ascii.Alphanumeric, false}, {"\n0", ascii.Digits, false}, {"0\x00", ascii.Digits, false},
		{"é", ascii.Letters, false}, {"aéa", ascii.Letters, false}, {"\xff", ascii.Letters, false}, {"dEaDbEeF", ascii.Hex, true}, {"g", ascii.Hex, false},
	} {
		if got := ascii.Only(tt.text, tt.characters); got != tt.want {
			t.Errorf("%q of %q: got %v, want %v", tt.text, tt.characters, got, tt.want)
		}
	}
	if n := len(ascii.Alphanumeric); n != 62 {
		t.Errorf("%d letters and digits", n)
	}
}
