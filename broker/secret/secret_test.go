package secret_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"mcp-credential-broker/broker/secret"
)

func TestStringIsNeverPrinted(t *testing.T) {
	const text = "hunter2"
	s := secret.New(text)
	inside := struct {
		Token secret.String
		Ptr   *secret.String
	}{s, &s}
	encoded, err := json.Marshal(inside)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{
		fmt.Sprint(s), fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s),
		fmt.Sprintf("%v %+v", inside, inside), fmt.Sprintf("%v", map[string]secret.String{"a": s}),
		errors.New(fmt.Sprint("failed with ", s)).Error(), string(encoded),
	}
	for _, p := range printed {
		if strings.Contains(p, text) || strings.Contains(p, "68756e74657232") {
			t.Errorf("secret printed: %s", p)
		}
		if !strings.Contains(p, "[redacted]") {
			t.Errorf("no mark of redaction in %q", p)
		}
	}
	// fmt calls no methods on unexported fields.
	hidden := struct{ token secret.String }{s}
	for _, p := range []string{fmt.Sprintf("%v", hidden), fmt.Sprintf("%+v", hidden), fmt.Sprintf("%#v", hidden), fmt.Sprintf("%s", hidden)} {
		if strings.Contains(p, text) {
			t.Errorf("secret printed from an unexported field: %s", p)
		}
	}
	if !s.Equal(secret.New(text)) || s.Equal(secret.New(text+"x")) || s.Equal(secret.String{}) {
		t.Error("Equal is wrong")
	}
	if s.Reveal() != text || s.IsEmpty() || !secret.New("").IsEmpty() || !(secret.String{}).IsEmpty() {
		t.Error("Reveal or IsEmpty is wrong")
	}
}
