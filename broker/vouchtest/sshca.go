package vouchtest

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

var errPublicKey = errors.New("not a public key in OpenSSH's one-line form")

// sshCertificate serves POST /v1/credentials/ssh.
func (v *Vouch) sshCertificate(w http.ResponseWriter, r *http.Request, c call) {
	members, ok := readJSON(w, r, c.body)
	if !ok {
		return
	}
	var line *string
	if !member(members, "public_key", &line) || line == nil {
		refuseShape(w)
		return
	}
	key, err := parsePublicKey(*line)
	if err != nil {
		v.refuse(w, apiError{http.StatusBadRequest, "signing_failed", err.Error()})
		return
	}
	certificate, err := v.certify(key)
	if err != nil {
		v.refuse(w, apiError{http.StatusInternalServerError, "signing_failed", "the certificate could not be signed"})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"certificate":       strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(certificate)), "\n"),
		"valid_for_seconds": int64(sessionLife.Seconds()),
		"principals":        certificate.ValidPrincipals,
		"serial":            certificate.Serial,
	})
}

// parsePublicKey reads one key and nothing besides. The parser that it uses is
// laxer than a certificate authority may be: it skips lines, accepts options
// and certificates, and leaves a rest.
func parsePublicKey(line string) (ssh.PublicKey, error) {
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return nil, errPublicKey
	}
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil || len(options) > 0 || len(rest) > 0 {
		return nil, errPublicKey
	}
	kind, _, _ := strings.Cut(line, " ")
	if _, certified := key.(*ssh.Certificate); certified || kind != key.Type() || kind == ssh.InsecureKeyAlgoDSA {
		return nil, errPublicKey
	}
	return key, nil
}

// certify signs a user certificate for the person.
func (v *Vouch) certify(key ssh.PublicKey) (*ssh.Certificate, error) {
	email := v.person().Email
	lower := strings.ToLower(email)
	local, _, _ := strings.Cut(lower, "@")
	now := v.now()
	var serial [8]byte
	_, _ = rand.Read(serial[:]) // never fails: it ends the program instead
	certificate := &ssh.Certificate{
		Key: key,
		// At least 2^53 and odd: such a number does not survive float64, so that
		// a client which reads it as one is always caught.
		Serial:          binary.BigEndian.Uint64(serial[:]) | 1<<53 | 1,
		CertType:        ssh.UserCert,
		KeyId:           email + "@" + v.host,
		ValidPrincipals: slices.Compact([]string{lower, local}),
		ValidAfter:      uint64(now.Unix()),
		ValidBefore:     uint64(now.Add(sessionLife).Unix()),
		Permissions: ssh.Permissions{Extensions: map[string]string{
			"permit-X11-forwarding": "", "permit-agent-forwarding": "", "permit-port-forwarding": "",
			"permit-pty": "", "permit-user-rc": "",
		}},
	}
	return certificate, certificate.SignCert(rand.Reader, v.sshCA)
}

// serveSSHCA serves GET /v1/credentials/ssh/ca, which is public.
func (v *Vouch) serveSSHCA(w http.ResponseWriter, _ *http.Request) {
	comment := "vouch-ca@" + v.host
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(v.sshCA.PublicKey())), "\n")
	writeJSON(w, http.StatusOK, map[string]any{"public_key": line, "comment": comment})
}
