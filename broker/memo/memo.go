// Package memo remembers what was found out about texts that come again and
// again, such as the tokens of clients.
//
// It promises to hold no text, only its SHA-256, and never more than two
// generations of values. What may be remembered, and what has to be asked again
// all the same, is its user's business.
package memo

import (
	"crypto/sha256"
	"sync"
)

// Generation is how many values a generation holds, far more than one isolate
// meets before the other is over.
const Generation = 256

// An ID is the SHA-256 of a text: nobody can make a second text with it.
type ID [sha256.Size]byte

// IDOf returns the ID of a text.
func IDOf(text []byte) ID { return sha256.Sum256(text) }

// A Memo is a memo of values that do not change. The zero Memo is empty and ready
// to use, also concurrently. When the younger generation is full, what nobody
// asked for since the last time that it was goes.
type Memo[V any] struct {
	mu         sync.Mutex
	young, old map[ID]*V
}

// Find returns the value of a text, or nil if it is not remembered.
func (m *Memo[V]) Find(id ID) *V {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.young[id]; v != nil {
		return v
	}
	v := m.old[id]
	if v != nil {
		m.put(id, v)
	}
	return v
}

// Keep remembers the value of a text. Whatever may be kept can push out the rest:
// keep nothing that anybody could make up.
func (m *Memo[V]) Keep(id ID, v *V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(id, v)
}

func (m *Memo[V]) put(id ID, v *V) {
	if len(m.young) >= Generation || m.young == nil {
		m.young, m.old = make(map[ID]*V), m.young
	}
	m.young[id] = v
}

// Len returns how many values there are, those twice that are in both generations.
func (m *Memo[V]) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.young) + len(m.old)
}
