// Package p256test makes keys of nobody's, for tests.
package p256test

import "mcp-credential-broker/broker/p256"

// Key returns a new key.
func Key() *p256.Key {
	text, err := p256.Generate()
	if err != nil {
		panic(err)
	}
	key, err := p256.Parse(text)
	if err != nil {
		panic(err)
	}
	return key
}

// Text returns a new key as BROKER_KEY has it.
func Text() string {
	text, err := p256.Generate()
	if err != nil {
		panic(err)
	}
	return text.Reveal()
}
