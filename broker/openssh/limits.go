package openssh

const (
	// maxKeyLine is OpenSSH's own bound of a line (sshd(8), authorized_keys).
	maxKeyLine = 8 << 10
	minRSABits = 1024
	maxRSABits = 16384
	// maxCertificateLine holds the largest RSA key, signed by the largest RSA
	// key, with room for principals and options.
	maxCertificateLine = 32 << 10
	maxPrincipals      = 256
	// maxEncoded bounds what is searched for base64, which takes several rounds. What
	// is longer is refused in any case.
	maxEncoded = 32 << 10
)
