package vouchtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	maxBodyBytes     = 256 << 10 // of any request, Vouch's global limit
	keptBodyBytes    = 16 << 10
	keptRequests     = 32  // of one path
	keptPaths        = 128 // then everything counts as otherPaths
	otherPaths       = "other"
	maxControlBytes  = 4 << 10
	controlFault     = "/-/fault"
	controlCounts    = "/-/counts"
	trapPath         = "/-/trap"
	trapAnswer       = `{"trapped":true}`
	contentTypeJSON  = "application/json"
	contentTypeField = "Content-Type"
)

// A Received is one request as it came in.
type Received struct {
	Time   time.Time
	Method string
	Path   string
	// RawQuery is the query as sent, without the question mark.
	RawQuery string
	Host     string
	Header   http.Header
	// Body is the first 16 KiB of the body.
	Body []byte
	// ContentLength is -1 when the body came chunked.
	ContentLength int64
}

// A Tap stands in front of a server: it remembers the last requests of every
// path, and it spoils answers on demand. A Vouch and an STS each have one.
//
// A running server is driven through three routes of the Tap, which are not
// remembered:
//
//	POST   /-/fault   with a Fault as JSON: as SetFault
//	DELETE /-/fault   as ClearFaults
//	GET    /-/counts  requests by path, as JSON
//
// They refuse requests that come from a web page. /-/trap is where the redirect
// fault leads; it answers 200 and is counted.
//
// The faults that break the connection panic with http.ErrAbortHandler, which a
// server understands: a test that sets one goes through a server.
type Tap struct {
	options tapOptions

	mu      sync.Mutex
	counts  map[string]int
	last    map[string][]Received
	faults  map[string]*Fault
	cleared chan struct{} // closed by ClearFaults, to end what hangs
}

type tapOptions struct {
	now  func() time.Time
	logf func(format string, args ...any)
	next http.Handler
	// fail writes a failure in the server's own form. A code may be empty.
	fail func(w http.ResponseWriter, r *http.Request, status int, code string)
}

func newTap(o tapOptions) *Tap {
	if o.logf == nil {
		o.logf = func(string, ...any) {}
	}
	return &Tap{
		options: o,
		counts:  map[string]int{},
		last:    map[string][]Received{},
		faults:  map[string]*Fault{},
		cleared: make(chan struct{}),
	}
}

// ServeHTTP records r, applies the fault that waits for it, and hands it on.
func (t *Tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case controlFault, controlCounts:
		t.serveControl(w, r)
		return
	}
	// The body is read here and whole: only then does net/http watch for the
	// client hanging up, which the slow faults depend on.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	t.record(r, body)
	seen := &statusWriter{ResponseWriter: w}
	defer func() { t.options.logf("%s %s %d", r.Method, r.URL.Path, seen.status) }()
	if err != nil {
		status := http.StatusBadRequest
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			status = http.StatusRequestEntityTooLarge
		}
		writeText(seen, status, http.StatusText(status))
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.URL.Path == trapPath {
		seen.Header().Set(contentTypeField, contentTypeJSON)
		_, _ = io.WriteString(seen, trapAnswer)
		return
	}
	t.disturb(seen, r)
}

func (t *Tap) record(r *http.Request, body []byte) {
	received := Received{
		Time: t.options.now(), Method: r.Method, Path: r.URL.Path, RawQuery: r.URL.RawQuery,
		Host: r.Host, Header: r.Header.Clone(), ContentLength: r.ContentLength,
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

// Forget drops what was recorded, counts included.
func (t *Tap) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.counts)
	clear(t.last)
}

func (t *Tap) serveControl(w http.ResponseWriter, r *http.Request) {
	// A browser names its page on every cross-origin request: no site that a
	// developer visits may steer a server on the developer's loopback.
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		writeText(w, http.StatusForbidden, "not from a web page")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "GET " + controlCounts:
		writeJSON(w, http.StatusOK, t.Counts())
	case "DELETE " + controlFault:
		t.ClearFaults()
		w.WriteHeader(http.StatusNoContent)
	case "POST " + controlFault:
		var f Fault
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControlBytes))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&f)
		if err == nil {
			err = t.SetFault(f)
		}
		if err != nil {
			writeText(w, http.StatusBadRequest, err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		writeText(w, http.StatusMethodNotAllowed, "method not allowed")
	}
}

// statusWriter remembers the status for the log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
