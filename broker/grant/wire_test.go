package grant

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"mcp-credential-broker/broker/secret"
	"mcp-credential-broker/broker/upstream"
)

// theToken is an ID token whose subject is ada@example.com.
var theToken = "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"ada@example.com"}`)) + ".c2ln"

// theBearer is the caller's token at Vouch.
var theBearer = secret.New("t0ken-of-ada")

const (
	theSession    = "IQoJb3JpZ2luX2VjEXAMPLE"
	theGitHub     = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"
	theKeyLine    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIU8WiQ3N5pgVFR96r2X2vc7olsv4mZHF/BnL2jH3gvw"
	theSerial     = 18446744073709551557
	vouchOfTests  = "https://vouch.example"
	lifeOfSSH     = 8 * 3600
	accessKeyOfIt = "ASIAQ3EGEXAMPLEKEYID"
)

// What left for upstream servers and made a credential there.
type mintedThere struct {
	role, seconds, inline string
	arns                  []string
	owner                 string
	repositories          []string
	key                   string
}

// A wire is Vouch and STS in this process: fast, and the same each time. What the
// broker takes of their answers it checks as ever.
type wire struct {
	now    func() time.Time
	minted []mintedThere
	asked  int
	pinned string // the role of the last ID token
	// watch sees each request's context. It may be nil.
	watch func(ctx context.Context, r upstream.Request)
	// refuse answers in place of all that, if it returns something.
	refuse func(r upstream.Request) (*upstream.Response, error)
}

func (w *wire) Fetch(ctx context.Context, r upstream.Request) (*upstream.Response, error) {
	w.asked++
	if w.watch != nil {
		w.watch(ctx, r)
	}
	if w.refuse != nil {
		if answer, err := w.refuse(r); answer != nil || err != nil {
			return answer, err
		}
	}
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, err
	}
	var in struct {
		Owner        string
		Repositories []string
		PublicKey    string `json:"public_key"`
	}
	if u.Host == "vouch.example" && r.Method == http.MethodPost {
		if err := json.Unmarshal(r.Body, &in); err != nil {
			return nil, err
		}
	}
	switch {
	case strings.HasPrefix(u.Host, "sts."):
		return w.assumeRole(string(r.Body))
	case u.Path == "/v1/credentials/aws/token":
		w.pinned = u.Query().Get("role_arn")
		return answerOf(map[string]any{"id_token": theToken, "expires_in": 3600}), nil
	case u.Path == "/v1/credentials/github/token":
		w.minted = append(w.minted, mintedThere{owner: in.Owner, repositories: in.Repositories})
		answer := map[string]any{"token": theGitHub, "expires_at": w.now().Add(time.Hour).UTC().Format(time.RFC3339), "expires_in": 3600, "permissions": map[string]string{"contents": "write", "metadata": "read"}}
		if in.Repositories != nil {
			answer["repositories"] = in.Repositories
		}
		return answerOf(answer), nil
	case u.Path == "/v1/credentials/ssh":
		w.minted = append(w.minted, mintedThere{key: in.PublicKey})
		return w.certificate(in.PublicKey)
	}
	return nil, errors.New("nobody is asked at " + r.URL)
}

func (w *wire) assumeRole(form string) (*upstream.Response, error) {
	in, err := url.ParseQuery(form)
	if err != nil {
		return nil, err
	}
	m := mintedThere{role: in.Get("RoleArn"), seconds: in.Get("DurationSeconds"), inline: in.Get("Policy")}
	for i := 1; in.Has(fmt.Sprintf("PolicyArns.member.%d.arn", i)); i++ {
		m.arns = append(m.arns, in.Get(fmt.Sprintf("PolicyArns.member.%d.arn", i)))
	}
	if m.role != w.pinned {
		return nil, errors.New("the ID token is for another role")
	}
	w.minted = append(w.minted, m)
	seconds, err := time.ParseDuration(m.seconds + "s")
	if m.seconds == "" {
		seconds, err = time.Hour, nil
	}
	if err != nil {
		return nil, err
	}
	session := strings.Replace(m.role, ":iam:", ":sts:", 1)
	before, path, _ := strings.Cut(session, ":role/")
	session = before + ":assumed-role/" + path[strings.LastIndexByte(path, '/')+1:] + "/" + in.Get("RoleSessionName")
	return &upstream.Response{Status: http.StatusOK, Body: fmt.Appendf(nil, "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn>%s</Arn></AssumedRoleUser>"+
		"<Credentials><AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey><SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>"+
		"</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>", session, accessKeyOfIt, theKey, theSession, w.now().Add(seconds).UTC().Format(time.RFC3339))}, nil
}

func (w *wire) certificate(line string) (*upstream.Response, error) {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return nil, err
	}
	authority, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		return nil, err
	}
	cert := &ssh.Certificate{
		Key: key, Serial: theSerial, CertType: ssh.UserCert, KeyId: "ada", ValidPrincipals: []string{"ada"},
		ValidAfter: uint64(w.now().Unix()), ValidBefore: uint64(w.now().Unix()) + lifeOfSSH,
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		return nil, err
	}
	return answerOf(map[string]any{
		"certificate": strings.TrimSpace(string(ssh.MarshalAuthorizedKey(cert))), "valid_for_seconds": lifeOfSSH, "principals": cert.ValidPrincipals, "serial": cert.Serial,
	}), nil
}

func answerOf(v any) *upstream.Response {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return &upstream.Response{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}
