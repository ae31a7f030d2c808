package age

import "errors"

// The reasons for a refusal. No error of this package quotes its input: what was
// pasted may be the secret half of a key.
var (
	// ErrSecretKey says that the text holds an age identity, the half that opens
	// files. It is found before anything else is looked at.
	ErrSecretKey = errors.New("text is a secret age key")
	// ErrNotOne says that the text is more than one word: a list, several lines,
	// or a recipient with white space around it.
	ErrNotOne = errors.New("text is not one recipient")
	// ErrType says that the recipient is of a type that this package does not
	// write: post-quantum, of a plugin, or an SSH key.
	ErrType = errors.New("recipient type is not supported")
	// ErrUpperCase says that the text is not all in lower case, in which every
	// tool writes recipients.
	ErrUpperCase = errors.New("recipient is not in lower case")
	// ErrMalformed says that the text breaks the grammar of a recipient.
	ErrMalformed = errors.New("malformed recipient")
	// ErrChecksum says that a character was lost, added or changed.
	ErrChecksum = errors.New("checksum of the recipient does not match")
	// ErrWeakPoint says that the key is one to which anybody can open what is
	// encrypted, or a second spelling of another key.
	ErrWeakPoint = errors.New("recipient is not the key of anybody")
)
