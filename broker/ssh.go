package broker

import (
	"context"
	"strconv"

	"mcp-credential-broker/broker/openssh"
	"mcp-credential-broker/broker/vouch"
)

// sshCertificate is the result of get-ssh-certificate. Serial is a string: a
// full uint64 would be rounded by clients in JavaScript.
type sshCertificate struct {
	Certificate     string   `json:"certificate"`
	ValidForSeconds int      `json:"valid_for_seconds"`
	Principals      []string `json:"principals"`
	Serial          string   `json:"serial"`
}

// getSSHCertificate has Vouch's certificate authority sign a public key.
func (b *Broker) getSSHCertificate(ctx context.Context, c *call) (any, error) {
	line, err := c.text("public_key")
	if err != nil {
		return nil, err
	}
	key, err := openssh.ParsePublicKey(line)
	if err != nil {
		return nil, inputOf(err)
	}
	c.record.Target.KeyFingerprint = key.Fingerprint()
	var got *vouch.Certificate
	err = c.hop(ctx, hopVouch, true, func(ctx context.Context) (err error) {
		got, err = b.vouch.SSHCertificate(ctx, c.visit.auth, key)
		return err
	})
	if err != nil {
		return nil, err
	}
	serial := strconv.FormatUint(got.Serial, 10)
	c.record.Issued = &issued{CertificateSerial: serial}
	return sshCertificate{got.Line.Reveal(), got.ValidForSeconds, got.Principals, serial}, nil
}
