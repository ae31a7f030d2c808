package fault

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

const (
	maxBodyBytes     = 256 << 10 // of any request, Vouch's global limit
	keptBodyBytes    = 16 << 10
	keptRequests     = 32  // of one path
	keptPaths        = 128 // then everything counts as otherPaths
	otherPaths       = "other"
	trapPath         = "/-/trap"
	trapAnswer       = `{"trapped":true}`
	contentTypeJSON  = "application/json"
	contentTypeField = "Content-Type"
)

// A Received is one request as it came in.
type Received struct {
	Method string
	// RawQuery is the query as sent, without the question mark.
	RawQuery string
	Header   http.Header
	// Body is the first 16 KiB of the body.
	Body []byte
	// ContentLength is -1 when the body came chunked.
	ContentLength int64
}

// A Tap stands in front of a server: it remembers the last requests of every
// path, and it spoils answers on demand. Its own path /-/trap is where the redirect
// fault leads; it answers 200 and is counted.
//
// The faults that break the connection panic with http.ErrAbortHandler, which a
// server understands: a test that sets one goes through a server.
type Tap struct {
	next http.Handler
	fail func(w http.ResponseWriter, r *http.Request, status int, code string)

	mu      sync.Mutex
	counts  map[string]int
	last    map[string][]Received
	faults  map[string]*Fault
	cleared chan struct{} // closed by ClearFaults, to end what hangs
}

// NewTap puts a tap before next. fail writes a failure in that server's own form; a
// code may be empty.
func NewTap(next http.Handler, fail func(w http.ResponseWriter, r *http.Request, status int, code string)) *Tap {
	return &Tap{
		next:    next,
		fail:    fail,
		counts:  map[string]int{},
		last:    map[string][]Received{},
		faults:  map[string]*Fault{},
		cleared: make(chan struct{}),
	}
}

// ServeHTTP records r, applies the fault that waits for it, and hands it on.
func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The body is read here and whole: only then does net/http watch for the
	// client hanging up, which the slow faults depend on.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	t.record(r, body)
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		writeText(w, status, http.StatusText(status))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.URL.Path == trapPath {
		w.Header().Set(contentTypeField, contentTypeJSON)
		_, _ = io.WriteString(w, trapAnswer)
		return
	}
	t.disturb(w, r)
}

func (t *Tap) record(r *http.Request, body []byte) {
	received := Received{
		Method: r.Method, RawQuery: r.URL.RawQuery, Header: r.Header.Clone(), ContentLength: r.ContentLength,
		Body: bytes.Clone(body[:min(len(body), keptBodyBytes)]),
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	path := r.URL.Path
	if _, known := t.counts[path]; !known && len(t.counts) >= keptPaths {
		path = otherPaths
	}
	t.counts[path]++
	kept := t.last[path]
	if len(kept) == keptRequests {
		kept = slices.Delete(kept, 0, 1)
	}
	t.last[path] = append(kept, received)
}

// Count returns how many requests came to a path.
func (t *Tap) Count(path string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[path]
}

// Counts returns how many requests came, by path.
func (t *Tap) Counts() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

// Requests returns the last 32 requests of a path, oldest first. They carry
// what the client sent, secrets included.
func (t *Tap) Requests(path string) []Received {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.last[path])
}
