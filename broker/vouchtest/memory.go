package vouchtest

import (
	"sync"
	"time"
)

const maxRemembered = 4096 // then what has expired is dropped

// memory remembers texts until they expire, by their digests. Its zero value is
// empty.
type memory struct {
	mu    sync.Mutex
	until map[digest]time.Time
}

// add remembers a text and reports whether it is new. It is the replay check:
// of two holders of one text, one is told.
func (m *memory) add(text string, until, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil {
		m.until = map[digest]time.Time{}
	}
	if len(m.until) >= maxRemembered {
		for id, at := range m.until {
			if !now.Before(at) {
				delete(m.until, id)
			}
		}
	}
	id := digestOf(text)
	if now.Before(m.until[id]) {
		return false
	}
	m.until[id] = until
	return true
}

// has reports whether a text is remembered.
func (m *memory) has(text string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Before(m.until[digestOf(text)])
}

// take forgets a text and reports whether it was remembered.
func (m *memory) take(text string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := digestOf(text)
	known := now.Before(m.until[id])
	delete(m.until, id)
	return known
}

const nonceLifetime = 300 * time.Second

// newNonce returns a nonce that DPoP proofs may carry until it expires, and one
// request signature once: Vouch keeps both kinds in one store.
func (v *Vouch) newNonce() string {
	now := v.now()
	nonce := newSecret()
	v.nonces.add(nonce, now.Add(nonceLifetime), now)
	return nonce
}
