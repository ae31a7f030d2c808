package upstream

import "time"

// What holds for every call and every hop, whichever package makes it.
const (
	// CallTime is what one request to the broker may take, all its hops together.
	CallTime = 14 * time.Second
	// minHopTime is what must be left of a call's time for a hop to start.
	minHopTime = 2 * time.Second
	// HopTime is what one hop to Vouch or STS may take.
	HopTime = 8 * time.Second
	// MaxAnswerBytes bounds the answer of such a hop.
	MaxAnswerBytes = 64 << 10
	// MaxCodeBytes bounds an error's code, which is logged: no credential of Vouch's
	// is as short, and a secret access key of AWS has 40 characters, which may all
	// pass for those of a code.
	MaxCodeBytes = 39
	// MaxClockSkew is how far the clock of an upstream and ours may be apart.
	MaxClockSkew = 5 * time.Minute

	// maxRetryAfter bounds the wait that an answer may ask for.
	maxRetryAfter = time.Hour
)
