package authserver_test

import (
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"mcp-credential-broker/broker/authserver"
	"mcp-credential-broker/broker/upstream"
)

// silence is a Fetcher whose servers do not answer before they are told to.
type silence struct {
	asked  chan struct{}
	answer chan struct{}
}

func (s silence) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	s.asked <- struct{}{}
	<-s.answer
	return nil, upstream.ErrTimeout
}

// TestPendingDocuments: servers that never answer hold so many requests, and not
// one more; who needs no document is served meanwhile.
func TestPendingDocuments(t *testing.T) {
	const most = 32
	f := newFixture(t)
	world := silence{make(chan struct{}), make(chan struct{})}
	f.Upstream.Fetcher = world
	f.Documents = &authserver.Slots{}
	a, app := f.documentApp(), f.newApp()
	ask := func(a string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest("GET", f.url+authserver.AuthorizePath+"?"+a, nil))
		return w
	}
	for range 2 { // the slots come back
		var held sync.WaitGroup
		for range most {
			held.Go(func() { ask(f.query(a).Encode()) })
			<-world.asked
		}
		w := ask(f.query(a).Encode())
		if w.Code != 503 || w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "try again in 5 s") {
			t.Errorf("one more: status %d, %v", w.Code, w.Header())
		}
		if w := ask(f.query(app).Encode()); w.Code != 200 {
			t.Errorf("without a document: status %d", w.Code)
		}
		for range most {
			world.answer <- struct{}{}
		}
		held.Wait()
	}
	// A host may drop a request for good: its slot is not lost for longer than the
	// document could have taken.
	for range most {
		go ask(f.query(a).Encode())
		<-world.asked
	}
	f.wait(10 * time.Second)
	go ask(f.query(a).Encode())
	<-world.asked
	for range most + 1 {
		world.answer <- struct{}{}
	}
}
