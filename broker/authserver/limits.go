package authserver

import "time"

// What a request may hold.
const (
	maxQueryBytes = 8 << 10
	maxFormBytes  = 16 << 10
	// maxRegistrationBytes bounds what may be sent, most of which is not kept.
	maxRegistrationBytes = 16 << 10
	// maxClientIDBytes bounds a client id, which travels in every request.
	maxClientIDBytes = 1536
	// maxRedirectURIBytes bounds a redirect URI, which is sealed into a cookie.
	maxRedirectURIBytes = 512
	// maxHostBytes is the DNS's own bound.
	maxHostBytes = 253
	// maxStateBytes bounds a client's state, which is sealed into a cookie.
	maxStateBytes = 1024
	// maxTransactions is how many sign-ins one browser may have under way. More
	// cookies would make its requests too long for servers to take.
	maxTransactions = 4
)

// What the other side may send.
const (
	documentTime     = 5 * time.Second
	maxDocumentBytes = 5 << 10
	// maxPendingDocuments bounds the strangers' servers that one isolate waits for.
	// Anybody can name one that never answers.
	maxPendingDocuments = 32
	// maxVouchCodeBytes bounds Vouch's code, which ours wraps.
	maxVouchCodeBytes = 1024
	// maxAccessTokenBytes bounds what clients must carry.
	maxAccessTokenBytes = 3 << 10
	// maxReasonBytes bounds the reason of a refusal in the log.
	maxReasonBytes = 300
)

// How long things take and last.
const (
	// signInTime is how long a person may take, on our page and again at Vouch.
	signInTime = 10 * time.Minute
	// codeTime is how long a client may take; Vouch's own code lives as long.
	codeTime = time.Minute
	// maxAuthSkew is how far Vouch's clock may be behind ours for a proof to be fresh.
	maxAuthSkew = 10 * time.Second
)
