package oauth

import "time"

// What a token, and the form that should not hold one, may be.
const (
	// maxTokenBytes is several times what Vouch issues, and small enough to parse.
	maxTokenBytes = 8 << 10
	// maxFormBytes is how far a form body is searched for a token.
	maxFormBytes = 16 << 10
	// maxSkew is how far the issuer's clock may be off.
	maxSkew = 60 * time.Second
)

// What a key set may be, and how long it serves.
const (
	maxKeySetBytes = 64 << 10
	// maxKeys is how many keys a key set may hold, usable or not.
	maxKeys = 32

	// Freshness, when the answer says nothing, too little or too much.
	defaultFresh = 5 * time.Minute
	minFresh     = time.Minute
	maxFresh     = 24 * time.Hour

	// staleLife is how long an expired set goes on serving while it cannot be
	// renewed. It bounds how long a key that Vouch withdrew may still be trusted.
	staleLife = time.Hour
)

// How often a key set is fetched.
const (
	// fetchTime bounds one fetch of the key set. After attemptLife a fetch that
	// has not come back is given up: its request was cancelled, and nobody will
	// ever report its end.
	fetchTime   = 5 * time.Second
	attemptLife = fetchTime + time.Second

	// missInterval is the least time between two fetches for the sake of kids
	// that a live set lacks.
	missInterval = 10 * time.Second

	// maxColdFetches bounds the fetches under way while there is no set at all.
	// Requests cannot wait for each other's I/O, so those that arrive together
	// in a new instance each make their own. The bound lies above what one
	// instance serves at a time and below what a flood of forged tokens could
	// ask for while Vouch hangs.
	maxColdFetches = 256

	// Waits after failed fetches double from one to the other.
	minBackoff = time.Second
	maxBackoff = 30 * time.Second

	// shortWait is what to wait for a fetch that another request has under way.
	shortWait = time.Second
)
