package memo

import (
	"fmt"
	"sync"
	"testing"
)

// TestBounded: it holds two generations, and keeps what is in use.
func TestBounded(t *testing.T) {
	var m Memo[string]
	used, want := IDOf([]byte("used")), "value"
	m.Keep(used, &want)
	for n := range 10 * Generation {
		m.Keep(IDOf(fmt.Append(nil, n)), new(string))
		if m.Find(used) != &want {
			t.Fatalf("forgotten after %d others", n)
		}
		if size := m.Len(); size > 2*Generation {
			t.Fatalf("%d values", size)
		}
	}
	if m.Find(IDOf([]byte("0"))) != nil {
		t.Error("the first of many is still there")
	}
}

func TestEmpty(t *testing.T) {
	var m Memo[string]
	if m.Find(IDOf(nil)) != nil || m.Len() != 0 {
		t.Error("something is in an empty memo")
	}
}

func TestConcurrentUse(t *testing.T) {
	var m Memo[int]
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range 2 * Generation {
				m.Keep(IDOf(fmt.Append(nil, worker, n)), &n)
				if got := m.Find(IDOf(fmt.Append(nil, worker, n))); got != nil && *got != n {
					t.Errorf("value %d of another text", *got)
				}
			}
		})
	}
	wg.Wait()
}
