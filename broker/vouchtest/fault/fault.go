// Package fault stands before a server of the tests: it remembers what came in, and
// spoils answers on demand. It knows no server's routes and, but for the text of
// Vouch's 401, no server's forms.
package fault

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	hugeBytes      = 10 << 20
	faultRetry     = 7                               // seconds in Retry-After, unless the fault names some
	signatureText  = "signature verification failed" // Vouch's
	garbageBody    = "\x00\xff\xfe{\"token\": <not json, not xml> \x80"
	maxFaultStatus = 599
)

// A Kind is a way to spoil an answer.
type Kind string

// The kinds of faults. Those marked "minted" do the request's work first, so
// that a credential exists which the client never gets.
const (
	Status      Kind = "status"       // Status (500 if 0) and Code in the server's own form
	RateLimited Kind = "rate-limited" // 429 with Retry-After in seconds, or as a date
	Slow        Kind = "slow"         // the right answer, Delay later; minted at the end
	Hang        Kind = "hang"         // no answer until the client goes or faults are cleared
	Cut         Kind = "cut"          // the connection breaks in mid-body; minted
	Garbage     Kind = "garbage"      // 200 with a body in no known format
	Huge        Kind = "huge"         // 200 with a JSON body of 10 MiB
	Redirect    Kind = "redirect"     // 307 to /-/trap
	Empty       Kind = "empty"        // 200 without a body
	ContentType Kind = "content-type" // the right body as text/html; minted
	Text401     Kind = "text-401"     // 401 text/plain, Vouch's signature refusal
)

// A Fault spoils the answers of a path.
type Fault struct {
	// Path is the request path, or a prefix of it followed by "*". An exact
	// path comes before a prefix, and a longer prefix before a shorter one.
	Path string
	Kind Kind
	// Times is how many requests meet the fault; 0 means until cleared.
	Times int
	// Status and Code shape Status.
	Status int
	Code   string
	// RetryAfter is the wait of RateLimited in seconds; 0 means 7.
	RetryAfter int
	// RetryAtDate sends that wait as an HTTP date.
	RetryAtDate bool
	// Delay is how late Slow is.
	Delay time.Duration
}

var errFault = errors.New("fault is not usable")

func (f *Fault) check() error {
	if !strings.HasPrefix(f.Path, "/") {
		return fmt.Errorf("%w: path %q does not start with a slash", errFault, f.Path)
	}
	if f.Times < 0 || f.Delay < 0 || f.RetryAfter < 0 {
		return fmt.Errorf("%w: a number is negative", errFault)
	}
	if f.Status != 0 && (f.Status < 200 || f.Status > maxFaultStatus) {
		return fmt.Errorf("%w: status %d", errFault, f.Status)
	}
	switch f.Kind {
	case Status, RateLimited, Slow, Hang, Cut, Garbage,
		Huge, Redirect, Empty, ContentType, Text401:
		return nil
	}
	return fmt.Errorf("%w: kind %q is unknown", errFault, f.Kind)
}

// SetFault spoils the next answers of a path, in place of the fault that the
// path had before. It fails when the fault makes no sense.
func (t *Tap) SetFault(f Fault) error {
	if err := f.check(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults[f.Path] = &f
	return nil
}

// ClearFaults ends all faults, and what hangs because of one.
func (t *Tap) ClearFaults() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.faults)
	close(t.cleared)
	t.cleared = make(chan struct{})
}

// takeFault returns the fault that waits for a path, counting it down, and the
// channel that ends it.
func (t *Tap) takeFault(path string) (*Fault, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.faults[path]
	for pattern, candidate := range t.faults {
		prefix, ok := strings.CutSuffix(pattern, "*")
		if ok && strings.HasPrefix(path, prefix) && (f == nil || f.Path != path && len(f.Path) < len(pattern)) {
			f = candidate
		}
	}
	if f == nil {
		return nil, nil
	}
	found := *f
	if f.Times > 0 {
		if f.Times--; f.Times == 0 {
			delete(t.faults, f.Path)
		}
	}
	return &found, t.cleared
}

func (t *Tap) disturb(w http.ResponseWriter, r *http.Request) {
	f, cleared := t.takeFault(r.URL.Path)
	if f == nil {
		t.next.ServeHTTP(w, r)
		return
	}
	switch f.Kind {
	case Slow:
		if waitFor(r, f.Delay, cleared) {
			t.next.ServeHTTP(w, r)
		}
	case Hang:
		select {
		case <-r.Context().Done():
		case <-cleared:
		}
		panic(http.ErrAbortHandler) // closes the connection without an answer
	case Cut:
		cut(w, t.answer(r))
	case ContentType:
		a := t.answer(r)
		a.header.Set(contentTypeField, "text/html; charset=utf-8")
		a.copyTo(w)
	default:
		t.spoil(w, r, f)
	}
}

// waitFor reports whether the client is still there after d, or when the fault
// was cleared.
func waitFor(r *http.Request, d time.Duration, cleared <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-cleared:
	case <-r.Context().Done():
		return false
	}
	return true
}

// spoil writes the answers that have nothing to do with the request.
func (t *Tap) spoil(w http.ResponseWriter, r *http.Request, f *Fault) {
	h := w.Header()
	switch f.Kind {
	case Status:
		status := f.Status
		if status == 0 {
			status = http.StatusInternalServerError
		}
		t.fail(w, r, status, f.Code)
	case RateLimited:
		seconds := f.RetryAfter
		if seconds == 0 {
			seconds = faultRetry
		}
		wait := strconv.Itoa(seconds)
		if f.RetryAtDate {
			at := time.Now().Add(time.Duration(seconds) * time.Second)
			wait = at.UTC().Format(http.TimeFormat)
		}
		h.Set("Retry-After", wait)
		writeText(w, http.StatusTooManyRequests, "Too Many Requests")
	case Garbage:
		h.Set(contentTypeField, contentTypeJSON)
		_, _ = w.Write([]byte(garbageBody))
	case Huge:
		writeHuge(w)
	case Redirect:
		h.Set("Location", trapPath)
		w.WriteHeader(http.StatusTemporaryRedirect)
	case Empty:
		h.Set(contentTypeField, contentTypeJSON)
		w.WriteHeader(http.StatusOK)
	case Text401:
		writeText(w, http.StatusUnauthorized, signatureText)
	}
}

// writeHuge streams valid JSON, so that only a cap on the size stops a reader.
func writeHuge(w http.ResponseWriter) {
	w.Header().Set(contentTypeField, contentTypeJSON)
	chunk := bytes.Repeat([]byte("a"), 64<<10)
	_, err := w.Write([]byte(`{"token":"`))
	for sent := 0; sent < hugeBytes && err == nil; sent += len(chunk) {
		_, err = w.Write(chunk)
	}
	if err == nil {
		_, _ = w.Write([]byte(`"}`))
	}
}

// cut announces one byte more than the whole answer, so that an empty one can
// be cut too, sends the first half and breaks off.
func cut(w http.ResponseWriter, a *answer) {
	a.header.Set("Content-Length", strconv.Itoa(a.body.Len()+1))
	a.body.Truncate(a.body.Len() / 2)
	a.copyTo(w)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

func writeText(w http.ResponseWriter, status int, body string) {
	w.Header().Set(contentTypeField, "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body) // the client may have gone
}

// An answer is a response kept in memory.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// answer lets the server do the request's work.
func (t *Tap) answer(r *http.Request) *answer {
	a := &answer{header: http.Header{}, status: http.StatusOK}
	t.next.ServeHTTP(a, r)
	return a
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

func (a *answer) copyTo(w http.ResponseWriter) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes())
}
