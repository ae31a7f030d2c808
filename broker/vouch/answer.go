package vouch

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tidwall/gjson"

	"mcp-credential-broker/broker/secret"
)

// Bounds of what an answer may hold. They lie far above what Vouch sends.
const (
	maxTextBytes   = 1 << 10
	maxListItems   = 500
	maxPermissions = 100
)

// An answer takes the fields out of a JSON object. The first field that is
// missing or of another type sticks in err, so that callers check it once.
type answer struct {
	body gjson.Result
	err  error
}

func readAnswer(body []byte) *answer {
	object, err := readObject(body)
	return &answer{body: object, err: err}
}

func readObject(body []byte) (gjson.Result, error) {
	if !gjson.ValidBytes(body) || !utf8.Valid(body) {
		return gjson.Result{}, fmt.Errorf("%w: not JSON", ErrMalformed)
	}
	object := gjson.ParseBytes(body)
	if !object.IsObject() {
		return gjson.Result{}, fmt.Errorf("%w: not an object", ErrMalformed)
	}
	return object, nil
}

// fail names the field, never its value.
func (a *answer) fail(key string) {
	if a.err == nil {
		a.err = fmt.Errorf("%w: %s", ErrMalformed, key)
	}
}

// text returns a string that is not empty and can be printed on one line.
func (a *answer) text(key string) string {
	field := a.body.Get(key)
	if field.Type != gjson.String || !isText(field.Str, maxTextBytes) {
		a.fail(key)
		return ""
	}
	return field.Str
}

// token returns a credential: visible ASCII, which neither breaks a header nor
// a shell's words. Its length is bounded by that of the answer.
func (a *answer) token(key string) secret.String {
	field := a.body.Get(key)
	notVisible := func(r rune) bool { return r <= ' ' || r > '~' }
	if field.Type != gjson.String || field.Str == "" || strings.ContainsFunc(field.Str, notVisible) {
		a.fail(key)
		return secret.String{}
	}
	return secret.New(field.Str)
}

// number returns an integer of 64 bits, read from its digits: a detour through
// float64 would round serials.
func (a *answer) number(key string) uint64 {
	field := a.body.Get(key)
	n, err := strconv.ParseUint(field.Raw, 10, 64)
	if field.Type != gjson.Number || err != nil {
		a.fail(key)
		return 0
	}
	return n
}

// seconds returns a length of time that is above zero.
func (a *answer) seconds(key string) int {
	n := a.number(key)
	if n == 0 || n > 1<<31-1 {
		a.fail(key)
		return 0
	}
	return int(n)
}

// timestamp returns a time in the form of RFC 3339, as it was written.
func (a *answer) timestamp(key string) string {
	text := a.text(key)
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		a.fail(key)
		return ""
	}
	return text
}

// list returns the items of a list of strings.
func (a *answer) list(key string) []string {
	field := a.body.Get(key)
	items := field.Array()
	if !field.IsArray() || len(items) > maxListItems {
		a.fail(key)
		return nil
	}
	list := make([]string, 0, len(items))
	for _, item := range items {
		if item.Type != gjson.String || !isText(item.Str, maxTextBytes) {
			a.fail(key)
			return nil
		}
		list = append(list, item.Str)
	}
	return list
}

// codes returns an object of strings, such as {"contents": "write"}.
func (a *answer) codes(key string) map[string]string {
	field := a.body.Get(key)
	codes := map[string]string{}
	if !field.IsObject() {
		a.fail(key)
	}
	field.ForEach(func(name, value gjson.Result) bool {
		if !isCode(name.Str) || value.Type != gjson.String || !isCode(value.Str) || len(codes) == maxPermissions {
			a.fail(key)
			return false
		}
		codes[name.Str] = value.Str
		return true
	})
	return codes
}

func isText(s string, maxBytes int) bool {
	isControl := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
	return s != "" && len(s) <= maxBytes && !strings.ContainsFunc(s, isControl)
}
