package broker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"filippo.io/age"

	"mcp-credential-broker/broker/age/agetest"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/broker/vouchtest/ststest"
)

// secretsOf finds what is secret in an answer of an upstream server.
var secretsOf = regexp.MustCompile(`"(?:token|id_token|access_token|certificate)": ?"([^"]+)"|<(?:SecretAccessKey|SessionToken)>([^<]+)<`)

// wordy is a secret that would pass for a name.
const wordy = "wjalrxutnfemik7mdengbpxrficyexamplekey99"

const plainToken = `{"token": "` + wordy + `", "expires_at": "2099-01-01T00:00:00Z", "expires_in": 3600, "permissions": `

// A spoiler is a way out on which answers are changed: it notes the secrets of each
// true answer first.
type spoiler struct {
	upstream.NetHTTP
	path    string // of the requests whose answers are spoiled
	spoil   func(resp *upstream.Response, secret string)
	secrets []string
}

func (s *spoiler) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	resp, err := s.NetHTTP.Fetch(ctx, r)
	if err != nil || resp.Status != http.StatusOK {
		return resp, err
	}
	last := ""
	for _, found := range secretsOf.FindAllSubmatch(resp.Body, -1) {
		last = string(found[1]) + string(found[2])
		s.secrets = append(s.secrets, last)
	}
	if s.spoil != nil && strings.HasSuffix(r.URL, s.path) {
		s.spoil(resp, last)
	}
	return resp, nil
}

// sealable is a policy under which all that credentialCalls ask for is had, on these
// terms.
func sealable(terms string) map[string]string {
	return map[string]string{"POLICY": `{"version": 1, "mode": "enforce", "rules": [{"id": "sealed", "level": "write",
		"allow": {"aws": ["` + ststest.RoleARN + `"], "github": ["acme/*"], "ssh": true}` + terms + `}]}`}
}

// credentialCalls are a call of each kind, and where the answer with its secret
// comes from.
var credentialCalls = []struct{ tool, arguments, path string }{
	{"get-aws-credentials", `{` + role, ""}, // of STS, whose path is none
	{"get-aws-write-credentials", `{` + role, ""},
	{"get-github-token", `{"owner":"acme","repositories":["web"]`, "/v1/credentials/github/token"},
	{"get-github-token", `{"owner":"acme"`, "/v1/credentials/github/token"},
	{"get-ssh-certificate", `{"public_key":"` + sshKey + `"`, "/v1/credentials/ssh"},
}

// A refusal is what the text of an error says.
type refusal struct {
	Error  string
	Status int
	Link   string `json:"approve_at"`
}

func (r result) failure() (f refusal) {
	if r.IsError {
		_ = json.Unmarshal([]byte(r.Content[0].Text), &f) // what is no JSON has no sentence
	}
	return f
}

// leaks returns what of the secrets is in a text, in the spelling of JSON too.
func leaks(text string, secrets []string) []string {
	var found []string
	for _, secret := range secrets {
		quoted, _ := json.Marshal(secret)
		for _, form := range []string{secret, strings.Trim(string(quoted), `"`)} {
			if strings.Contains(text, form) {
				found = append(found, form[:min(len(form), 6)]+"...")
			}
		}
	}
	return found
}

// TestSealedTools: each tool's answer, in relay mode, which seals without a key of its
// own. What is sealed opens to what would have been the answer; nothing else that
// leaves holds a secret.
func TestSealedTools(t *testing.T) {
	identity := agetest.NewIdentity(t)
	recipient := identity.Recipient().String()
	way := &spoiler{}
	b := newBenchBy(t, way, vouchtest.Options{}, sealable(`, "delivery": "sealed", "recipients": ["`+recipient+`"]`))
	outputs := outputSchemas(t)
	for _, call := range credentialCalls {
		for _, refused := range []string{`}`, `,"seal_to":"` + agetest.NewIdentity(t).Recipient().String() + `"}`} {
			before := total(b.Vouch.Counts())
			r := b.call(t, call.tool, call.arguments+refused)
			if f := r.failure(); !r.IsError || f.Status != 403 || !strings.Contains(f.Error, "seal_to") {
				t.Errorf("%s%s: %+v, want 403 that names seal_to", call.tool, refused, r)
			}
			if rule := b.lastRecord(t)["rule"]; rule != "sealed" {
				t.Errorf("%s%s: refused by %v, want the rule sealed", call.tool, refused, rule)
			}
			explained := b.call(t, "explain-access", `{"tool":"`+call.tool+`","arguments":`+call.arguments+refused+`}`).StructuredContent
			if explained["decision"] != "deny" || explained["rule"] != "sealed" || explained["reason"] != r.failure().Error {
				t.Errorf("%s%s: explained %v", call.tool, refused, explained)
			}
			if n := total(b.Vouch.Counts()) - before; n > 1 { // the keys of the first token
				t.Errorf("%s%s: %d requests left", call.tool, refused, n)
			}
		}
		way.secrets = nil
		r := b.call(t, call.tool, call.arguments+`,"seal_to":"`+recipient+`"}`)
		if r.IsError || len(way.secrets) == 0 {
			t.Fatalf("%s: %+v", call.tool, r)
		}
		if err := outputs[strings.Replace(call.tool, "-write", "", 1)].Validate(r.StructuredContent); err != nil {
			t.Errorf("%s: the result breaks the output schema: %v", call.tool, err)
		}
		file, _ := r.StructuredContent["sealed"].(string)
		var opened map[string]any
		if err := json.Unmarshal([]byte(agetest.MustOpen(t, file, identity)), &opened); err != nil || file != r.Content[0].Text || r.StructuredContent["sealed_to"] != recipient {
			t.Errorf("%s: %v, %+v", call.tool, err, r)
		}
		secret := way.secrets[len(way.secrets)-1]
		if text, _ := json.Marshal(opened); len(leaks(string(text), []string{secret})) == 0 {
			t.Errorf("%s: what was sealed is not the credential", call.tool)
		}
		for name, value := range r.StructuredContent {
			if text, _ := json.Marshal(value); name != "sealed" && name != "sealed_to" && string(text) != string(must(json.Marshal(opened[name]))) {
				t.Errorf("%s: %s is %s outside the seal", call.tool, name, text)
			}
		}
		if found := leaks(everything(t, b, r), way.secrets); len(found) > 0 {
			t.Errorf("%s: outside the seal is %q", call.tool, found)
		}
		if record := b.lastRecord(t); record["sealed_to"] != recipient || record["outcome"] != "issued" || record["issued"] == nil {
			t.Errorf("%s: logged %v", call.tool, record)
		}
	}
}

func must(text []byte, _ error) []byte { return text }

// everything is all that leaves of a call: the answer and what was logged so far.
func everything(t *testing.T, b *bench, r result) string {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(text) + strings.Join(b.log, "\n")
}

// TestSpoiledAnswersLeakNothing: an upstream server's answer that holds the credential
// and cannot be used, or holds it in the wrong place too, is neither handed out nor
// repeated, sealed or not.
func TestSpoiledAnswersLeakNothing(t *testing.T) {
	replace := func(old, with string) func(*upstream.Response, string) {
		return func(resp *upstream.Response, secret string) {
			resp.Body = regexp.MustCompile(old).ReplaceAllLiteral(resp.Body, []byte(strings.ReplaceAll(with, "SECRET", secret)))
		}
	}
	any := map[string]func(resp *upstream.Response, secret string){
		"cut off":          func(resp *upstream.Response, _ string) { resp.Body = resp.Body[:len(resp.Body)-2] },
		"twice":            func(resp *upstream.Response, _ string) { resp.Body = append(resp.Body, resp.Body...) },
		"not UTF-8":        func(resp *upstream.Response, _ string) { resp.Body = append(resp.Body, 0xff) },
		"behind a status":  func(resp *upstream.Response, _ string) { resp.Status = http.StatusInternalServerError },
		"refused":          func(resp *upstream.Response, _ string) { resp.Status = http.StatusForbidden },
		"only the secret":  func(resp *upstream.Response, secret string) { resp.Body = []byte(secret) },
		"secret as member": func(resp *upstream.Response, secret string) { resp.Body = []byte(`{"` + secret + `": 1}`) },
		"secret in an error": func(resp *upstream.Response, secret string) {
			resp.Status, resp.Body = http.StatusBadRequest, []byte(`{"error": "invalid_request", "error_description": "`+secret+`", "message": "`+secret+`"}`)
		},
		"secret as a code": func(resp *upstream.Response, secret string) {
			resp.Status, resp.Body = http.StatusBadRequest, []byte(`{"code": "`+secret+`", "error": "`+secret+`"}`)
		},
		"secret in an error of STS": func(resp *upstream.Response, secret string) {
			resp.Status, resp.Body = http.StatusBadRequest, []byte(`<ErrorResponse><Error><Code>`+secret+`</Code><Message>`+secret+`</Message></Error></ErrorResponse>`)
		},
		"plain secret as a code": func(resp *upstream.Response, _ string) {
			resp.Status, resp.Body = http.StatusBadRequest, []byte(`{"code": "`+wordy+`", "error": "`+wordy+`"}`)
		},
		"plain secret as a code of STS": func(resp *upstream.Response, _ string) {
			resp.Status, resp.Body = http.StatusBadRequest, []byte(`<ErrorResponse><Error><Code>`+wordy+`</Code></Error></ErrorResponse>`)
		},
		"secret in headers": func(resp *upstream.Response, secret string) {
			resp.Status, resp.Header = http.StatusTooManyRequests, http.Header{"Retry-After": {secret}, "Location": {"https://x.example/" + secret}, "Content-Type": {secret}}
		},
		"secret in a redirect": func(resp *upstream.Response, secret string) {
			resp.Status, resp.Header = http.StatusFound, http.Header{"Location": {"https://x.example/?" + secret}}
		},
	}
	own := map[string]map[string]func(resp *upstream.Response, secret string){
		"get-aws-credentials": {
			"session of somebody else": replace(`(?s)<AssumedRoleUser>.*</AssumedRoleUser>`, `<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/a/SECRET</Arn></AssumedRoleUser>`),
			"secret as key id":         replace(`<AccessKeyId>[^<]*<`, `<AccessKeyId>SECRET<`),
			"key as key id":            replace(`(?s)<AccessKeyId>.*</SecretAccessKey>`, `<AccessKeyId>`+wordy+`</AccessKeyId><SecretAccessKey>`+wordy+`</SecretAccessKey>`),
			"token as key id":          replace(`(?s)<AccessKeyId>.*</SessionToken>`, `<AccessKeyId>x`+wordy+`</AccessKeyId><SecretAccessKey>/</SecretAccessKey><SessionToken>`+wordy+`</SessionToken>`),
			"secret as expiration":     replace(`<Expiration>[^<]*<`, `<Expiration>SECRET<`),
			"another element":          replace(`<SessionToken>`, `<SessionToken>SECRET</SessionToken><SessionToken>`),
		},
		"get-github-token": {
			"other repositories":        replace(`(?s).*`, plainToken+`{"contents": "write"}, "repositories": ["evil/`+wordy+`"]}`),
			"secret as time":            replace(`"expires_at": ?"[^"]*"`, `"expires_at": "SECRET"`),
			"secret as permission":      replace(`"permissions": ?\{`, `"permissions": {"SECRET": "write", `),
			"secret as level":           replace(`"contents": ?"[^"]*"`, `"contents": "SECRET"`),
			"plain token as level":      replace(`(?s).*`, plainToken+`{"metadata": "`+wordy+`"}, "repositories": ["acme/web"]}`),
			"plain token as name":       replace(`(?s).*`, plainToken+`{"`+wordy+`": "read"}, "repositories": ["acme/web"]}`),
			"plain token as repository": replace(`(?s).*`, plainToken+`{"contents": "write"}, "repositories": ["acme/`+wordy+`"]}`),
			"secret as another name":    replace(`"token":`, `"token": "SECRET", "token":`),
		},
		"get-ssh-certificate": {
			"secret as principal": replace(`"principals": ?\[[^]]*\]`, `"principals": ["SECRET"]`),
			"secret as serial":    replace(`"serial": ?[0-9]+`, `"serial": "SECRET"`),
			"another certificate": replace(`"certificate": ?"`, `"certificate": "x SECRET`),
		},
	}
	own["get-aws-write-credentials"] = own["get-aws-credentials"]
	recipient := agetest.NewIdentity(t).Recipient().String()
	way := &spoiler{}
	b := newBenchBy(t, way, vouchtest.Options{}, sealable(""))
	for _, call := range credentialCalls {
		for _, how := range []map[string]func(*upstream.Response, string){any, own[call.tool]} {
			for name, spoil := range how {
				for _, sealed := range []string{`}`, `,"seal_to":"` + recipient + `"}`} {
					way.secrets, way.spoil, way.path = nil, nil, call.path
					if call.path == "" {
						way.path = b.STSURL
					}
					changed := false
					way.spoil = func(resp *upstream.Response, secret string) {
						before := resp.Body
						was := resp.Status
						spoil(resp, secret)
						changed = resp.Status != was || !bytes.Equal(before, resp.Body)
					}
					r := b.call(t, call.tool, call.arguments+sealed)
					if len(way.secrets) == 0 || !changed {
						t.Fatalf("%s, %s: nothing was spoiled", call.tool, name)
					}
					if !r.IsError {
						t.Errorf("%s, %s%s: it was handed out", call.tool, name, sealed)
					}
					if found := leaks(everything(t, b, r), append(way.secrets, wordy)); len(found) > 0 {
						t.Errorf("%s, %s%s: %q got out", call.tool, name, sealed, found)
					}
				}
			}
		}
	}
}

// TestRecipientsAreCheckedFirst: what is no X25519 recipient is refused with a sentence
// that does not repeat it, and no request leaves because of it.
func TestRecipientsAreCheckedFirst(t *testing.T) {
	identity := agetest.NewIdentity(t)
	good, private := identity.Recipient().String(), identity.String()
	hybrid, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, vouchtest.Options{}, sealable(""))
	b.call(t, "get-github-token", `{"owner":"acme"}`) // the keys are fetched
	before := total(b.Vouch.Counts()) + total(b.STS.Counts())
	for _, call := range credentialCalls {
		for _, tt := range []struct{ name, sealTo, says string }{
			{"zero", "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z", "belongs to nobody"},
			{"a changed character", good[:30] + map[bool]string{true: "p", false: "q"}[good[30] == 'q'] + good[31:], "checksum"},
			{"a lost character", good[:30] + good[31:], "age1 and 58 characters"},
			{"no bech32", good[:30] + "b" + good[31:], "age1 and 58 characters"},
			{"mixed case", "AGE1" + good[4:], "lower case"},
			{"upper case", strings.ToUpper(good), "lower case"},
			{"post-quantum", hybrid.Recipient().String(), "X25519 recipients alone"},
			{"a plugin's", "age1yubikey1q2w7u3vpya839jxxuq8g0sedh3d740d4xvn639sqhr95ejj8vu3hyfumptt", "X25519 recipients alone"},
			{"an SSH key", sshKey, "X25519 recipients alone"},
			{"two", good + "," + good, "one recipient"},
			{"two lines", good + `\n` + good, "one recipient"},
			{"nothing", "", "age1 and 58 characters"},
			{"a secret key", private, "secret age key"},
			{"a secret key in small letters", strings.ToLower(private), "secret age key"},
		} {
			r := b.call(t, call.tool, call.arguments+`,"seal_to":"`+tt.sealTo+`"}`)
			if f := r.failure(); !r.IsError || f.Status != 400 || !strings.Contains(f.Error, tt.says) {
				t.Errorf("%s, %s: %+v", call.tool, tt.name, r)
			}
			if found := leaks(everything(t, b, r), []string{private[20:], strings.ToLower(private)[20:]}); len(found) > 0 {
				t.Errorf("%s, %s: a secret key is repeated", call.tool, tt.name)
			}
			if record := b.lastRecord(t); record["outcome"] != "refused" || record["sealed_to"] != nil {
				t.Errorf("%s, %s: logged %v", call.tool, tt.name, record)
			}
		}
		for _, whole := range []string{`{"owner":"acme","repositories":["` + private + `"]}`, `{"public_key":"` + private + `"}`, `{"profile":"` + private + `"}`, `{"region":{"x":"` + private + `"}}`} {
			r := b.call(t, call.tool, whole)
			if found := leaks(everything(t, b, r), []string{private[20:]}); !r.IsError || r.failure().Status != 400 || len(found) > 0 {
				t.Errorf("%s, a secret key as another argument: %q got out of %v", call.tool, found, r.IsError)
			}
		}
		r := b.call(t, call.tool, call.arguments+`,"seal_to":["`+good+`"]}`)
		if !r.IsError || r.failure().Status != 400 {
			t.Errorf("%s, a list: %+v", call.tool, r)
		}
	}
	if n := total(b.Vouch.Counts()) + total(b.STS.Counts()) - before; n != 0 {
		t.Errorf("%d requests left because of a wrong recipient", n)
	}
}
