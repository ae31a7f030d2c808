package openssh

import "errors"

// The reasons for a refusal. No error of this package quotes its input: what
// was pasted may be a private key, and a comment is personal data.
var (
	// ErrPrivateKey says that the text holds a private key, or part of one.
	// It is found before anything else is looked at.
	ErrPrivateKey = errors.New("text is a private key")
	// ErrTooLong says that the line is longer than OpenSSH reads.
	ErrTooLong = errors.New("key line is too long")
	// ErrNotOneLine says that the text is a PEM or RFC 4716 public key, which
	// "ssh-keygen -i" turns into the one-line form.
	ErrNotOneLine = errors.New("key is not in the OpenSSH one-line form")
	// ErrMultipleLines says that something follows the first line.
	ErrMultipleLines = errors.New("text has more than one line")
	// ErrOptions says that options of an authorized_keys file stand before the
	// key.
	ErrOptions = errors.New("key has authorized_keys options")
	// ErrCertificate says that the line is a certificate where a key is wanted.
	ErrCertificate = errors.New("line is a certificate, not a key")
	// ErrUnsupported says that the type of the key is not one that this package
	// knows.
	ErrUnsupported = errors.New("key type is not supported")
	// ErrKeySize says that an RSA key is outside OpenSSH's 1024 to 16384 bits.
	ErrKeySize = errors.New("RSA key size is not supported")
	// ErrMalformed says that the line, its base64 or the data inside break the
	// grammar.
	ErrMalformed = errors.New("malformed key or certificate")
)
