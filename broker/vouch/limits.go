package vouch

import "time"

const (
	// maxRequestBytes is what Vouch takes.
	maxRequestBytes = 8 << 10
	// assertionLife is short: Vouch takes an assertion once, and 300 s at most.
	assertionLife = 60 * time.Second
	// nonceLife is for how long a DPoP nonce is used: Vouch keeps it for 300 s.
	nonceLife = 240 * time.Second
)

// What an answer may hold lies far above what Vouch sends.
const (
	maxTextBytes   = 1 << 10
	maxListItems   = 500
	maxPermissions = 100
)
