package oauth

import (
	"crypto/sha256"
	"sync"
)

// memoGeneration is how many tokens a generation of the memo holds, far more than
// one isolate sees in the life of a key set.
const memoGeneration = 256

// A statement is what a token says, and after its signature was checked the key
// that signed it. It does not change once it is in a memo, and it does not hold
// the token.
type statement struct {
	kid    string
	claims accessClaims
	key    *Key // nil: nothing vouches for the claims yet
	// resource is one that the token was found to be for; empty for none. The
	// answer depends on nothing else that could change.
	resource string
}

// A memo remembers tokens whose signature was verified, by their SHA-256. That
// spares a client that calls again the parsing and the signature, and nothing
// else: times, issuer, audience, binding and key are asked again at each use.
//
// Only verified tokens come in, so that forged ones cannot push them out, and it
// holds two generations at most: when the younger one is full, what nobody asked
// for since the last time goes.
type memo struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]*statement
}

// find returns what a token says, or nil if it is not remembered.
func (m *memo) find(id [sha256.Size]byte) *statement {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.young[id]; s != nil {
		return s
	}
	s := m.old[id]
	if s != nil {
		m.put(id, s)
	}
	return s
}

// keep remembers a token that was verified just now.
func (m *memo) keep(id [sha256.Size]byte, s *statement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(id, s)
}

func (m *memo) put(id [sha256.Size]byte, s *statement) {
	if len(m.young) >= memoGeneration || m.young == nil {
		m.young, m.old = make(map[[sha256.Size]byte]*statement), m.young
	}
	m.young[id] = s
}
