package vouchtest

// A Version says which Vouch server a Vouch stands for.
type Version string

const (
	// RelayEra is a Vouch before v2026.6.3, whose credential API takes a plain
	// Bearer token and does not look at its audience.
	RelayEra Version = ""
	// Latest is v2026.10.1: signed requests, the audience enforced, DPoP,
	// private_key_jwt, pushed authorization requests and token exchange.
	Latest Version = "v2026.10.1"
)

func (v *Vouch) latest() bool { return v.options.Version == Latest }
