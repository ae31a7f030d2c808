package approval_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"mcp-credential-broker/broker/approval"
	"mcp-credential-broker/broker/p256/p256test"
	"mcp-credential-broker/broker/seal"
)

var (
	start  = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	key    = p256test.Key()
	notary = approval.Notary{Box: seal.Box{Current: key, Issuer: "https://b.example", VouchIssuer: "https://v.example", Resource: "https://b.example/mcp"}}
	wanted = approval.Call{Subject: "alice", ClientIDHash: sha256.Sum256([]byte("client")), Tool: "get-aws-write-credentials", Arguments: sha256.Sum256([]byte("{}"))}
)

func newCode(t *testing.T, n approval.Notary, c approval.Call, by string, now time.Time) string {
	t.Helper()
	code, err := n.Code(c, by, now)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestCodeHasTheForm(t *testing.T) {
	code := newCode(t, notary, wanted, "alice", start)
	groups := strings.Split(code, "-")
	if len(code) != 19 || len(groups) != 4 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567-") != "" {
		t.Errorf("code is %s", code)
	}
	for _, typed := range []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), strings.ReplaceAll(code, "-", " "), " " + code + " "} {
		if by, ok := notary.Verify(typed, wanted, []string{"alice"}, start); !ok || by != "alice" {
			t.Errorf("typed as %q it is refused", typed)
		}
	}
}

// TestCodeOfAnotherCall: whatever differs, the code is none.
func TestCodeOfAnotherCall(t *testing.T) {
	code := newCode(t, notary, wanted, "alice", start)
	box := func(change func(*seal.Box)) approval.Notary {
		b := notary.Box
		change(&b)
		return approval.Notary{Box: b}
	}
	call := func(change func(*approval.Call)) approval.Call {
		c := wanted
		change(&c)
		return c
	}
	for _, test := range []struct {
		name      string
		n         approval.Notary
		c         approval.Call
		approvers []string
		want      bool
	}{
		{"the same", notary, wanted, []string{"alice"}, true},
		{"among approvers", notary, wanted, []string{"bob", "alice", "eve"}, true},
		{"another person", notary, call(func(c *approval.Call) { c.Subject = "bob" }), []string{"alice"}, false},
		{"another client", notary, call(func(c *approval.Call) { c.ClientIDHash[31] ^= 1 }), []string{"alice"}, false},
		{"another tool", notary, call(func(c *approval.Call) { c.Tool = "get-aws-credentials" }), []string{"alice"}, false},
		{"other arguments", notary, call(func(c *approval.Call) { c.Arguments[0] ^= 1 }), []string{"alice"}, false},
		{"a tool that took a letter of the person", notary, call(func(c *approval.Call) { c.Subject = "alic"; c.Tool = "e" + c.Tool }), []string{"alice"}, false},
		{"by the requester where an approver is needed", notary, wanted, []string{"bob"}, false},
		{"nobody may approve", notary, wanted, nil, false},
		{"another key", box(func(b *seal.Box) { b.Current = p256test.Key() }), wanted, []string{"alice"}, false},
		{"the key before the rotation", box(func(b *seal.Box) { b.Current, b.Previous = p256test.Key(), key }), wanted, []string{"alice"}, true},
		{"another broker with this key", box(func(b *seal.Box) { b.Issuer = "https://c.example" }), wanted, []string{"alice"}, false},
		{"another resource with this key", box(func(b *seal.Box) { b.Resource = "https://b.example/other" }), wanted, []string{"alice"}, false},
		{"another Vouch", box(func(b *seal.Box) { b.VouchIssuer = "https://w.example" }), wanted, []string{"alice"}, false},
	} {
		by, ok := test.n.Verify(code, test.c, test.approvers, start)
		if ok != test.want || ok && by != "alice" || !ok && by != "" {
			t.Errorf("%s: %q, %v", test.name, by, ok)
		}
	}
}

// TestCodeInTime: it is good for its minutes and never after them, in no later turn
// of its two bytes either, nor before it was made.
func TestCodeInTime(t *testing.T) {
	for _, made := range []time.Time{start, start.Add(59 * time.Second), time.Unix(60*65535, 0), time.Unix(60*(1<<16)*500-120, 0)} {
		code := newCode(t, notary, wanted, "alice", made)
		for _, test := range []struct {
			after time.Duration
			want  bool
		}{
			{0, true},
			{4*time.Minute + time.Duration(-made.Unix()%60)*time.Second, true},
			{approval.CodeTime, false},
			{approval.CodeTime + time.Second, false},
			{time.Hour, false},
			{(1 << 15) * time.Minute, false},
			{(1 << 16) * time.Minute, false},
			{(1<<16 - 5) * time.Minute, false},
			{(1 << 16) * time.Minute * 2, false},
			{-time.Minute, false},
			{-time.Hour, false},
		} {
			if _, ok := notary.Verify(code, wanted, []string{"alice"}, made.Add(test.after)); ok != test.want {
				t.Errorf("made at %v, %v later: %v", made, test.after, ok)
			}
		}
	}
}

// TestCodeIsMadeOf computes a code in another way: two bytes of the minute in which it
// ends, eight of the HMAC under a key for nothing else.
func TestCodeIsMadeOf(t *testing.T) {
	derived, err := key.Derive("mcp-credential-broker approval code v1")
	if err != nil {
		t.Fatal(err)
	}
	minute := uint64(start.Unix()/60 + 5)
	mac := hmac.New(sha256.New, derived)
	for _, part := range []string{
		"https://b.example", "https://v.example", "https://b.example/mcp",
		"alice", string(wanted.ClientIDHash[:]), "get-aws-write-credentials", string(wanted.Arguments[:]), "carol@example.com",
		string(binary.BigEndian.AppendUint64(nil, minute)),
	} {
		mac.Write(append([]byte{byte(len(part))}, part...))
	}
	raw := append([]byte{byte(minute >> 8), byte(minute)}, mac.Sum(nil)[:8]...)
	code := newCode(t, notary, wanted, "carol@example.com", start)
	if want := base32.StdEncoding.EncodeToString(raw); strings.ReplaceAll(code, "-", "") != want {
		t.Errorf("code is %s, want %s", code, want)
	}
}

// TestEveryCharacterCounts: no character can be another, and no code be longer or
// shorter.
func TestEveryCharacterCounts(t *testing.T) {
	code := newCode(t, notary, wanted, "alice", start)
	refuse := func(what, text string) {
		if _, ok := notary.Verify(text, wanted, []string{"alice"}, start); ok {
			t.Errorf("%s: %q is taken for %q", what, text, code)
		}
	}
	for at := range code {
		for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" {
			if code[at] != '-' && byte(c) != code[at] {
				refuse("changed", code[:at]+string(c)+code[at+1:])
			}
		}
		if code[at] != '-' {
			refuse("missing", code[:at]+code[at+1:])
		}
	}
	for _, text := range []string{"", "-", code + "\n", code[:9] + "\r\n" + code[9:], strings.ReplaceAll(code, "-", "\t"), strings.ReplaceAll(code, "-", "\u00ad"), code + "A", code + "=", code + code, "A" + code, code[:18] + "!", "0000-0000-0000-0000", code[:18] + "\n", strings.Repeat("A", 1<<16)} {
		refuse("malformed", text)
	}
}

func TestLink(t *testing.T) {
	r := &approval.Request{
		Call: wanted, Email: "alice@example.com", Person: "alice@example.com", ClientName: "Café MCP", ClientHost: "app.example", Rule: "ops",
		Facts:     []approval.Fact{{Name: "Role", Value: "arn:aws:iam::444455556666:role/Agents"}, {Name: "Purpose", Value: "fix", Claimed: true}},
		Approvers: []string{"bob@example.com", "carol"},
	}
	link, err := notary.Link(r, start)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(link)
	if err != nil || u.Scheme+"://"+u.Host+u.Path != "https://b.example/approve" || len(u.Query()) != 1 || len(link) > 2048 {
		t.Fatalf("%s: %v", link, err)
	}
	sealed := u.Query().Get("r")
	got, err := notary.OpenLink(sealed, start.Add(approval.LinkTime-time.Second))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := notary.OpenLink(sealed, start.Add(approval.LinkTime)); !errors.Is(err, seal.ErrExpired) {
		t.Errorf("late: %v", err)
	}
	state, err := notary.State(wanted, start)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := notary.OpenLink(state, start); !errors.Is(err, seal.ErrSealed) {
		t.Errorf("a state as a link: %v", err)
	}
	if err := notary.CheckState(sealed, wanted, start); !errors.Is(err, approval.ErrState) {
		t.Errorf("a link as a state: %v", err)
	}
	r.Facts[0].Value = strings.Repeat("x", approval.MaxRequestBytes)
	if _, err := notary.Link(r, start); !errors.Is(err, approval.ErrTooLong) {
		t.Errorf("long: %v", err)
	}
}

// TestRequestIsReadAsItWasWritten, or not at all: a request of another layout, cut off
// anywhere, with something behind it, or with lengths that lie.
func TestRequestIsReadAsItWasWritten(t *testing.T) {
	r := approval.Request{Call: wanted, Person: "alice", Facts: []approval.Fact{{Name: "Role", Value: "r", Claimed: true}}, Approvers: []string{"bob"}}
	whole := r.Encode()
	if got, err := approval.Decode(whole); err != nil || !reflect.DeepEqual(got, &r) {
		t.Fatalf("%+v, %v", got, err)
	}
	refuse := func(what string, data []byte) {
		t.Helper()
		if got, err := approval.Decode(data); err == nil || got != nil {
			t.Errorf("%s: %+v", what, got)
		}
	}
	for n := range whole {
		refuse("cut off", whole[:n])
	}
	refuse("something behind it", append(bytes.Clone(whole), 0))
	refuse("another layout", append([]byte{2}, whole[1:]...))
	const hashAt = 1 + 1 + len("alice") // version, length and text of the subject; then the hash's length
	for _, length := range []byte{0, 31, 33} {
		hash := bytes.Repeat([]byte("h"), int(length))
		refuse("a hash of another length", slices.Concat(whole[:hashAt], []byte{length}, hash, whole[hashAt+1+sha256.Size:]))
	}
	for _, length := range []uint64{1 << 20, 1<<31 - 1, 1 << 63, 1<<64 - 1} {
		refuse("a length that lies", binary.AppendUvarint(bytes.Clone(whole[:hashAt]), length))
		refuse("a length that lies at the start", binary.AppendUvarint([]byte{1}, length))
	}
	refuse("a length without end", append([]byte{1}, bytes.Repeat([]byte{0xff}, 20)...))
}

func TestState(t *testing.T) {
	state, err := notary.State(wanted, start)
	if err != nil {
		t.Fatal(err)
	}
	other := func(change func(*approval.Call)) approval.Call {
		c := wanted
		change(&c)
		return c
	}
	rotated := notary
	rotated.Box.Current, rotated.Box.Previous = p256test.Key(), key
	elsewhere := notary
	elsewhere.Box.Resource = "https://c.example/mcp"
	for _, test := range []struct {
		name  string
		n     approval.Notary
		state string
		c     approval.Call
		after time.Duration
		want  error
	}{
		{"the same", notary, state, wanted, approval.StateTime - time.Second, nil},
		{"after a rotation", rotated, state, wanted, 0, nil},
		{"too late", notary, state, wanted, approval.StateTime, seal.ErrExpired},
		{"another person", notary, state, other(func(c *approval.Call) { c.Subject = "bob" }), 0, approval.ErrState},
		{"another client", notary, state, other(func(c *approval.Call) { c.ClientIDHash[0] ^= 1 }), 0, approval.ErrState},
		{"another tool", notary, state, other(func(c *approval.Call) { c.Tool = "get-github-token" }), 0, approval.ErrState},
		{"other arguments", notary, state, other(func(c *approval.Call) { c.Arguments[5] ^= 1 }), 0, approval.ErrState},
		{"another broker", elsewhere, state, wanted, 0, approval.ErrState},
		{"altered", notary, state[:len(state)-1] + "!", wanted, 0, approval.ErrState},
		{"made up", notary, "state", wanted, 0, approval.ErrState},
	} {
		if err := test.n.CheckState(test.state, test.c, start.Add(test.after)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

// FuzzDecode: what is read is written the same again, and nothing makes it panic.
func FuzzDecode(f *testing.F) {
	r := approval.Request{Call: wanted, Person: "alice", Facts: []approval.Fact{{Name: "Role", Value: "r", Claimed: true}}, Approvers: []string{"bob"}}
	f.Add(r.Encode())
	f.Add([]byte("\x01\x05alice"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := approval.Decode(data)
		if err != nil {
			return
		}
		again, err := approval.Decode(r.Encode())
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}

// FuzzVerify: a text that is not the code is none.
func FuzzVerify(f *testing.F) {
	code, err := notary.Code(wanted, "alice", start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Add("AAAA-AAAA-AAAA-AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		_, ok := notary.Verify(text, wanted, []string{"alice"}, start)
		plain := strings.NewReplacer("-", "", " ", "")
		if same := plain.Replace(strings.ToUpper(text)) == plain.Replace(code); ok && !same {
			t.Errorf("%q is taken", text)
		}
	})
}
