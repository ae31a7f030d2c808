package grant

import (
	"context"
	"strings"
	"testing"
)

// TestLimit: beyond the limit of a person and a tool nothing is issued.
func TestLimit(t *testing.T) {
	c := newCounter(t, "")
	var keys []string
	c.config.Limit = func(_ context.Context, key string) bool {
		keys = append(keys, key)
		return len(keys) == 1
	}
	who := eve(newNotary(t))
	if r := c.call(who, plainCall); r.IsError || c.mints != 1 {
		t.Errorf("%d credentials within the limit, %+v", c.mints, r)
	}
	if r := c.call(who, plainCall); !r.IsError || c.mints != 1 {
		t.Errorf("%d credentials beyond it, %+v", c.mints, r)
	}
	if len(keys) != 2 || keys[0] != keys[1] || !strings.HasSuffix(keys[0], " eve") || !strings.HasPrefix(keys[0], "get-aws-credentials ") {
		t.Errorf("counted under %q", keys)
	}
}
