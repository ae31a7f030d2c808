package vouch

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/strictjson"
	"mcp-credential-broker/broker/upstream"
)

// An answer takes the fields out of a JSON object. The first field that is
// missing or of another type sticks in err, so that callers check it once. The
// Str of a gjson.Result is empty unless it is a string, and empty never passes.
type answer struct {
	body strictjson.Object
	err  error
}

func readAnswer(body []byte) *answer {
	members, err := strictjson.Read(body, upstream.MaxAnswerBytes)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return &answer{body: members, err: err}
}

// fail names the field, never its value.
func (a *answer) fail(key string) {
	if a.err == nil {
		a.err = fmt.Errorf("%w: %s", ErrMalformed, key)
	}
}

// token returns a credential: visible ASCII, which neither breaks a header nor
// a shell's words. Its length is bounded by that of the answer.
func (a *answer) token(key string) secret.String {
	text := a.body.Member(key).Str
	if text == "" {
		a.fail(key)
	}
	for i := range len(text) { // a loop: a call for each character of a token shows
		if text[i] <= ' ' || text[i] > '~' {
			a.fail(key)
		}
	}
	return secret.New(text)
}

// number returns an integer of 64 bits, read from its digits: a detour through
// float64 would round serials.
func (a *answer) number(key string) uint64 {
	n, err := strconv.ParseUint(a.body.Member(key).Raw, 10, 64)
	if err != nil {
		a.fail(key)
	}
	return n
}

// seconds returns a length of time. It may be zero: an answer that miscounts a
// life does not end it.
func (a *answer) seconds(key string) int {
	n := a.number(key)
	if n > 1<<31-1 {
		a.fail(key)
	}
	return int(n)
}

// secondsUntil returns the whole seconds until a timestamp; one that is past is
// that of a credential which is worth nothing.
func (a *answer) secondsUntil(timestamp string, now time.Time) int {
	at, _ := time.Parse(time.RFC3339, timestamp) // checked when it was read
	if !at.After(now) {
		a.fail("expires_at")
	}
	return upstream.WholeSeconds(at.Sub(now))
}

// timestamp returns a time in the form of RFC 3339, as it was written.
func (a *answer) timestamp(key string) string {
	text := a.body.Member(key).Str
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		a.fail(key)
	}
	return text
}

// list returns the items of a list of strings.
func (a *answer) list(key string) []string {
	field := a.body.Member(key)
	items := field.Array()
	if !field.IsArray() || len(items) > maxListItems {
		a.fail(key)
		return nil
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		if !isText(item.Str) {
			a.fail(key)
			return nil
		}
		list = append(list, item.Str)
	}
	return list
}

// codes returns an object of strings, such as {"contents": "write"}.
func (a *answer) codes(key string) map[string]string {
	field := a.body.Member(key)
	codes := map[string]string{}
	if !field.IsObject() {
		a.fail(key)
	}
	field.ForEach(func(name, value gjson.Result) bool {
		if !isCode(name.Str) || !isCode(value.Str) || len(codes) == maxPermissions {
			a.fail(key)
			return false
		}
		codes[name.Str] = value.Str
		return true
	})
	return codes
}

// isText reports whether s can be printed on one line.
func isText(s string) bool {
	isControl := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
	return s != "" && len(s) <= maxTextBytes && !strings.ContainsFunc(s, isControl)
}
