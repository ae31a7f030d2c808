package vouch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/openssh"
	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
	"mcp-credential-broker/broker/vouch"
)

const roleARN = "arn:aws:iam::123456789012:role/team/Deploy"

var bearer = secret.New("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln")

var relayed = vouch.Bearer{Token: bearer}

// A server answers every request with one answer and keeps the last request.
type server struct {
	*httptest.Server
	status int
	body   string
	header http.Header // added to the answer

	calls   int
	request *http.Request
	sent    string
}

func newServer(t testing.TB, status int, body string) *server {
	t.Helper()
	s := &server{status: status, body: body, header: http.Header{"Content-Type": {"application/json"}}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.calls, s.request, s.sent = s.calls+1, r, string(sent)
		maps.Copy(w.Header(), s.header)
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

// now is a fixed time, for dates in Retry-After.
func now() time.Time { return time.Date(2026, 11, 22, 19, 4, 5, 0, time.UTC) }

func (s *server) client() vouch.Client {
	return vouch.Client{Issuer: s.URL, Upstream: upstream.Client{Fetcher: upstream.NetHTTP{}, Now: now}}
}

// checkRequest checks what every call has in common.
func (s *server) checkRequest(t *testing.T, method, uri string) {
	t.Helper()
	if s.calls != 1 {
		t.Fatalf("%d calls", s.calls)
	}
	if s.request.Method != method || s.request.RequestURI != uri {
		t.Errorf("%s %s, want %s %s", s.request.Method, s.request.RequestURI, method, uri)
	}
	if got := s.request.Header.Values("Authorization"); !slices.Equal(got, []string{"Bearer " + bearer.Reveal()}) {
		t.Errorf("Authorization %q", got)
	}
	if got := s.request.Header.Get("Accept"); got != "application/json" {
		t.Errorf("Accept %q", got)
	}
	if method == http.MethodPost {
		if got := s.request.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("Content-Type %q", got)
		}
		if s.request.ContentLength != int64(len(s.sent)) {
			t.Errorf("Content-Length %d", s.request.ContentLength)
		}
	}
}

// callAWS, callGitHub and callSSH make one call each, with arguments that pass.
func (s *server) callAWS() (any, error) {
	issued, err := s.client().AWSToken(context.Background(), relayed, roleARN)
	return result(issued, err)
}

func (s *server) callGitHub() (any, error) {
	issued, err := s.client().GitHubToken(context.Background(), relayed, vouch.GitHubRequest{Owner: "acme"})
	return result(issued, err)
}

func (s *server) callSSH(key *openssh.PublicKey) (any, error) {
	issued, err := s.client().SSHCertificate(context.Background(), relayed, key)
	return result(issued, err)
}

// result keeps a nil pointer nil.
func result[T any](issued *T, err error) (any, error) {
	if issued == nil {
		return nil, err
	}
	return issued, err
}

func TestAWSToken(t *testing.T) {
	s := newServer(t, http.StatusOK, `{"id_token":"eyJ.eyJ.c2ln","expires_in":28800,"new":[1]}`)
	issued, err := s.client().AWSToken(context.Background(), relayed, roleARN)
	if err != nil {
		t.Fatal(err)
	}
	if issued.Token.Reveal() != "eyJ.eyJ.c2ln" || issued.ExpiresIn != 28800 {
		t.Errorf("got %+v", issued)
	}
	s.checkRequest(t, http.MethodGet, "/v1/credentials/aws/token?role_arn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fteam%2FDeploy")
}

func TestAWSTokenEscapesTheRole(t *testing.T) {
	const odd = "arn:aws:iam::123456789012:role/a&role_arn=x#y?z/D+1"
	s := newServer(t, http.StatusOK, `{"id_token":"a","expires_in":1}`)
	if _, err := s.client().AWSToken(context.Background(), relayed, odd); err != nil {
		t.Fatal(err)
	}
	if got := s.request.URL.Query(); len(got) != 1 || len(got["role_arn"]) != 1 || got.Get("role_arn") != odd {
		t.Errorf("query %q", s.request.URL.RawQuery)
	}
}

const gitHubAnswer = `{"token":"ghs_123_eyJ.eyJ.c2-ln_","expires_at":"2026-11-22T20:04:05+00:00","expires_in":3600,` +
	`"permissions":{"contents":"write","metadata":"read"}`

func TestGitHubToken(t *testing.T) {
	tests := []struct {
		name, tail string
		request    vouch.GitHubRequest
		wantSent   string
		want       []string
	}{
		{"nothing asked", `}`, vouch.GitHubRequest{}, `{}`, nil},
		{"owner", `,"repositories":null}`, vouch.GitHubRequest{Owner: "acme"}, `{"owner":"acme"}`, nil},
		{"repositories", `,"repositories":["acme/api","acme/web"]}`,
			vouch.GitHubRequest{Owner: "acme", Repositories: []string{"api", "web"}},
			`{"owner":"acme","repositories":["api","web"]}`, []string{"acme/api", "acme/web"}},
		{"none named", `,"repositories":[]}`, vouch.GitHubRequest{}, `{}`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newServer(t, http.StatusOK, gitHubAnswer+test.tail)
			got, err := s.client().GitHubToken(context.Background(), relayed, test.request)
			if err != nil {
				t.Fatal(err)
			}
			s.checkRequest(t, http.MethodPost, "/v1/credentials/github/token")
			if s.sent != test.wantSent {
				t.Errorf("sent %s, want %s", s.sent, test.wantSent)
			}
			if token := got.Token.Reveal(); token != "ghs_123_eyJ.eyJ.c2-ln_" {
				t.Errorf("the token is %q", token)
			}
			if got.ExpiresAt != "2026-11-22T20:04:05+00:00" || got.ExpiresIn != 3600 {
				t.Errorf("expires at %s, in %d s", got.ExpiresAt, got.ExpiresIn)
			}
			if want := map[string]string{"contents": "write", "metadata": "read"}; !maps.Equal(got.Permissions, want) {
				t.Errorf("permissions %v, want %v", got.Permissions, want)
			}
			if !slices.Equal(got.Repositories, test.want) {
				t.Errorf("repositories %q, want %q", got.Repositories, test.want)
			}
		})
	}
}

// A token may reach less than was asked for, never more.
func TestRepositoriesOfAToken(t *testing.T) {
	ask := func(names ...string) vouch.GitHubRequest {
		return vouch.GitHubRequest{Owner: "acme", Repositories: names}
	}
	tests := []struct {
		name, list string
		request    vouch.GitHubRequest
		ok         bool
	}{
		{"all of them", `["acme/api","acme/web"]`, ask("api", "web"), true},
		{"in another case", `["Acme/API"]`, ask("api"), true},
		{"asked in another case", `["acme/api"]`, ask("Api"), true},
		{"bare", `["api"]`, ask("api"), true},
		{"fewer", `["acme/web"]`, ask("api", "web"), true},
		{"nothing asked", `["acme/api"]`, vouch.GitHubRequest{}, true},
		{"owner asked", `["ACME/api"]`, vouch.GitHubRequest{Owner: "acme"}, true},

		{"no list", `null`, ask("api"), false},
		{"empty list", `[]`, ask("api"), false},
		{"one more", `["acme/api","acme/web"]`, ask("api"), false},
		{"another", `["acme/web"]`, ask("api"), false},
		{"of another owner", `["evil/api"]`, ask("api"), false},
		{"of another owner, none asked", `["acme/api","evil/api"]`, vouch.GitHubRequest{Owner: "acme"}, false},
		{"name that starts alike", `["acme/api2"]`, ask("api"), false},
		{"path", `["acme/api/.."]`, ask("api"), false},
		{"letter that only looks alike", `["acme/\u212aernel"]`, ask("Kernel"), false},
		{"no owner", `["/api"]`, ask("api"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, http.StatusOK, gitHubAnswer+`,"repositories":`+tt.list+`}`)
			got, err := s.client().GitHubToken(context.Background(), relayed, tt.request)
			if tt.ok != (err == nil) || tt.ok != (got != nil) || !tt.ok && !errors.Is(err, vouch.ErrMalformed) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestMiscountedLife(t *testing.T) {
	s := newServer(t, http.StatusOK, strings.Replace(gitHubAnswer, "3600", "0", 1)+`}`)
	if got, err := s.client().GitHubToken(context.Background(), relayed, vouch.GitHubRequest{}); err != nil || got.ExpiresIn != 3600 {
		t.Errorf("GitHub: got %+v, %v", got, err)
	}
	s = newServer(t, http.StatusOK, `{"id_token":"a.b.c","expires_in":0}`)
	if got, err := s.client().AWSToken(context.Background(), relayed, roleARN); err != nil || got.Token.Reveal() != "a.b.c" {
		t.Errorf("AWS: got %+v, %v", got, err)
	}
}

func TestRequestsThatAreNotSent(t *testing.T) {
	ctx := context.Background()
	aws := func(token, role string) func(vouch.Client) error {
		return func(c vouch.Client) error {
			_, err := c.AWSToken(ctx, vouch.Bearer{Token: secret.New(token)}, role)
			return err
		}
	}
	gitHub := func(r vouch.GitHubRequest) func(vouch.Client) error {
		return func(c vouch.Client) error { _, err := c.GitHubToken(ctx, relayed, r); return err }
	}
	tests := map[string]struct {
		call func(vouch.Client) error
		want error
	}{
		"no role":               {aws(bearer.Reveal(), ""), vouch.ErrRequest},
		"no token":              {aws("", roleARN), vouch.ErrRequest},
		"padding only":          {aws("==", roleARN), vouch.ErrRequest},
		"header in the token":   {aws("a\r\nX-Evil: 1", roleARN), vouch.ErrRequest},
		"space in the token":    {aws("a b", roleARN), vouch.ErrRequest},
		"comma in the token":    {aws("a,b", roleARN), vouch.ErrRequest},
		"padding in the middle": {aws("a=b", roleARN), vouch.ErrRequest},
		"token not ASCII":       {aws("ä", roleARN), vouch.ErrRequest},
		"empty list":            {gitHub(vouch.GitHubRequest{Owner: "acme", Repositories: []string{}}), vouch.ErrRequest},
		"body above 8 KiB":      {gitHub(vouch.GitHubRequest{Repositories: []string{strings.Repeat("a", 8<<10)}}), vouch.ErrRequestTooLarge},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, http.StatusOK, `{}`)
			if err := test.call(s.client()); !errors.Is(err, test.want) || s.calls > 0 {
				t.Errorf("got %v after %d calls, want %v", err, s.calls, test.want)
			}
		})
	}
}

func TestSuccessThatIsNone(t *testing.T) {
	key, line := certified(t, nil)
	ssh := func(s *server) (any, error) { return s.callSSH(key) }
	const aws = `{"id_token":"a.b.c","expires_in":1}`
	gitHub := gitHubAnswer + `}`
	sshAnswer := sshBody(t, line, nil)
	tests := []struct {
		call      func(*server) (any, error)
		good      string
		old, with string // one change that makes it bad
	}{
		{(*server).callAWS, aws, aws, ``},
		{(*server).callAWS, aws, aws, `null`},
		{(*server).callAWS, aws, aws, `[` + aws + `]`},
		{(*server).callAWS, aws, aws, `"a.b.c"`},
		{(*server).callAWS, aws, aws, `<html>`},
		{(*server).callAWS, aws, `}`, ``},
		{(*server).callAWS, aws, `}`, `}{}`},
		// Which of two counts differs between readers.
		{(*server).callAWS, aws, `}`, `,"id_token":"d.e.f"}`},
		{(*server).callAWS, aws, `}`, `,"\u0069d_token":"d.e.f"}`},
		{(*server).callAWS, aws, `}`, `,"new":{"a":1,"a":1}}`},
		// A reader that recurses would pay for this with its stack.
		{(*server).callAWS, aws, `}`, `,"new":` + strings.Repeat("[", 30<<10) + strings.Repeat("]", 30<<10) + `}`},
		{(*server).callAWS, aws, `"id_token"`, `"token"`},
		{(*server).callAWS, aws, `"a.b.c"`, `""`},
		{(*server).callAWS, aws, `"a.b.c"`, `null`},
		{(*server).callAWS, aws, `"a.b.c"`, `7`},
		{(*server).callAWS, aws, `"a.b.c"`, `["a"]`},
		{(*server).callAWS, aws, `a.b.c`, `a b`},
		{(*server).callAWS, aws, `a.b.c`, `a\r\nb`},
		{(*server).callAWS, aws, `a.b.c`, `ä`},
		{(*server).callAWS, aws, `a.b.c`, "a\xff"},
		{(*server).callAWS, aws, `,"expires_in":1`, ``},
		{(*server).callAWS, aws, `:1`, `:-1`},
		{(*server).callAWS, aws, `:1`, `:1.5`},
		{(*server).callAWS, aws, `:1`, `:1e3`},
		{(*server).callAWS, aws, `:1`, `:"1"`},
		{(*server).callAWS, aws, `:1`, `:99999999999`},

		{(*server).callGitHub, gitHub, gitHub, `{}`},
		{(*server).callGitHub, gitHub, `"token"`, `"tokens"`},
		{(*server).callGitHub, gitHub, `ghs_`, `ghs \n`},
		{(*server).callGitHub, gitHub, `"expires_at"`, `"expires"`},
		{(*server).callGitHub, gitHub, `2026-11-22T`, `tomorrow `},
		{(*server).callGitHub, gitHub, `"2026-11-22T20:04:05+00:00"`, `1790000000`},
		{(*server).callGitHub, gitHub, `,"expires_in":3600`, ``},
		{(*server).callGitHub, gitHub, `"permissions"`, `"rights"`},
		{(*server).callGitHub, gitHub, `{"contents":"write","metadata":"read"}`, `"write"`},
		{(*server).callGitHub, gitHub, `{"contents":"write","metadata":"read"}`, `[]`},
		{(*server).callGitHub, gitHub, `"metadata":"read"`, `"contents":"read"`},
		{(*server).callGitHub, gitHub, `"write"`, `true`},
		{(*server).callGitHub, gitHub, `"write"`, `{"a":"b"}`},
		{(*server).callGitHub, gitHub, `"write"`, `"a sentence"`},
		{(*server).callGitHub, gitHub, `"contents"`, `"a sentence"`},
		{(*server).callGitHub, gitHub, `"metadata":"read"`, manyPermissions(100)},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":"acme/api"}`},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":{"0":"acme/api"}}`},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":[1]}`},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":[""]}`},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":["a\nb"]}`},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":["` + strings.Repeat("a", 1025) + `"]}`},
		{(*server).callGitHub, gitHub, `}}`, `},"repositories":["a"` + strings.Repeat(`,"a"`, 500) + `]}`},

		{(*server).callGitHub, gitHub, `"expires_in":3600`, `"expires_in":-1`},
		{(*server).callGitHub, gitHub, `20:04:05+00:00","expires_in":3600`, `19:04:05Z","expires_in":0`}, // dead
		{(*server).callGitHub, gitHub, `20:04:05+00:00`, `19:04:05Z`},
		{(*server).callGitHub, gitHub, `2026-11-22T20:04:05+00:00`, `0000-01-01T00:00:00Z`},

		{ssh, sshAnswer, `28800`, `0`},
		{ssh, sshAnswer, `28800`, `29101`},
		{ssh, sshAnswer, `["alice@example.com","alice"]`, `["alice@example.com","alice","root"]`},
		{ssh, sshAnswer, `["alice@example.com","alice"]`, `["alice"]`},
		{ssh, sshAnswer, `"certificate"`, `"cert"`},
		{ssh, sshAnswer, line, ``},
		{ssh, sshAnswer, `"` + line + `"`, `["` + line + `"]`},
		{ssh, sshAnswer, `"valid_for_seconds":28800,`, ``},
		{ssh, sshAnswer, `28800`, `"28800"`},
		{ssh, sshAnswer, `,"serial":18446744073709551615`, ``},
		{ssh, sshAnswer, `18446744073709551615`, `18446744073709551616`},
		{ssh, sshAnswer, `18446744073709551615`, `1.8446744073709552e19`},
		{ssh, sshAnswer, `18446744073709551615`, `"18446744073709551615"`},
		{ssh, sshAnswer, `18446744073709551615`, `-1`},
		{ssh, sshAnswer, `"principals"`, `"names"`},
		{ssh, sshAnswer, `["alice@example.com","alice"]`, `[]`},
		{ssh, sshAnswer, `["alice@example.com","alice"]`, `"alice"`},
		{ssh, sshAnswer, `"alice"`, `7`},
		{ssh, sshAnswer, `"alice"`, "\"al\xffice\""},
		{ssh, sshAnswer, `"alice"`, `"\u0007"`},
	}
	for _, test := range tests {
		t.Run(test.old+" becomes "+test.with[:min(len(test.with), 99)], func(t *testing.T) {
			if _, err := test.call(newServer(t, http.StatusOK, test.good)); err != nil {
				t.Fatalf("good answer: %v", err)
			}
			bad := strings.Replace(test.good, test.old, test.with, 1)
			if bad == test.good {
				t.Fatal("nothing changed")
			}
			issued, err := test.call(newServer(t, http.StatusOK, bad))
			if !errors.Is(err, vouch.ErrMalformed) || issued != nil {
				t.Errorf("got %+v, %v", issued, err)
			}
		})
	}
}

func manyPermissions(n int) string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("p%d", i)] = "read"
	}
	encoded, _ := json.Marshal(all)
	return strings.Trim(string(encoded), "{}")
}

func TestSerialIsExact(t *testing.T) {
	for _, serial := range []uint64{0, 1<<53 + 1, math.MaxInt64 + 1, math.MaxUint64} {
		key, line := certified(t, func(c *ssh.Certificate) { c.Serial = serial })
		s := newServer(t, http.StatusOK, sshBody(t, line, func(body map[string]any) { body["serial"] = serial }))
		issued, err := s.client().SSHCertificate(context.Background(), relayed, key)
		if err != nil || issued.Serial != serial {
			t.Errorf("serial %d: got %+v, %v", serial, issued, err)
		}
	}
}

func TestNothingSecretIsPrinted(t *testing.T) {
	key, line := certified(t, nil)
	var printed strings.Builder
	for _, call := range []func() (any, error){
		newServer(t, http.StatusOK, `{"id_token":"hunter2","expires_in":1}`).callAWS,
		newServer(t, http.StatusOK, `{"id_token":"hunter2","expires_in":-1}`).callAWS,
		newServer(t, http.StatusOK, gitHubAnswer+"}").callGitHub,
		newServer(t, http.StatusBadRequest, `{"code":"x","message":"hunter2"}`).callGitHub,
		func() (any, error) { return newServer(t, http.StatusOK, sshBody(t, line, nil)).callSSH(key) },
		func() (any, error) { return newServer(t, http.StatusOK, sshBody(t, "hunter2", nil)).callSSH(key) },
	} {
		issued, err := call()
		fmt.Fprintf(&printed, "%+v %v\n", issued, err)
	}
	for _, text := range []string{"hunter2", "ghs_", line, bearer.Reveal()} {
		if strings.Contains(printed.String(), text) {
			t.Errorf("%q is in %s", text, printed.String())
		}
	}
}
