//go:build !js

package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A job is one request that some sides answer again and again.
type job struct {
	title string
	body  request
	waits bool // many at once, for a slow upstream
	sides []string
}

// A sample is what one round of one side took.
type sample struct {
	perSecond float64
	cpu       time.Duration // of the Worker's process, for each request
	p50, p99  time.Duration
}

// run measures the job: first everybody warms up, then the sides take turns, in
// the same order in each round.
func (j job) run(ctx context.Context, sides map[string]*side, n length) error {
	rounds := make(map[string][]sample)
	for round := range n.rounds + 1 {
		for _, name := range j.sides {
			s := sides[name]
			calls, atATime := n.calls, concurrency
			if round == 0 {
				calls = n.warmUp
			}
			if s.slow {
				calls = max(calls/n.slow, concurrency)
			}
			if j.waits {
				calls, atATime = n.waiting, waitingCalls
				s.delay(upstreamDelay)
			}
			took, err := s.measure(ctx, j.body, calls, atATime)
			if j.waits {
				s.delay(0)
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", j.title, name, err)
			}
			if round > 0 {
				rounds[name] = append(rounds[name], took)
			}
		}
	}
	report(j, rounds)
	return nil
}

// measure sends n requests, some at a time. The first one that fails ends it: a
// side that refuses would be the fastest.
func (s *side) measure(ctx context.Context, r request, n, atATime int) (sample, error) {
	lines := make([]*line, atATime)
	for i := range lines {
		var err error
		if lines[i], err = s.dial(ctx, r); err != nil {
			return sample{}, err
		}
		defer lines[i].conn.Close()
	}
	before, err := s.stack.Worker.CPU()
	if err != nil {
		return sample{}, err
	}
	times := make([]time.Duration, n)
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	begin := time.Now()
	for _, l := range lines {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n) && failed.Load() == nil; i = next.Add(1) {
				sent := time.Now()
				if err := l.call(); err != nil {
					failed.Store(&err)
				}
				times[i-1] = time.Since(sent)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if err := failed.Load(); err != nil {
		return sample{}, *err
	}
	after, err := s.stack.Worker.CPU()
	slices.Sort(times)
	return sample{
		perSecond: float64(n) / took.Seconds(),
		cpu:       (after - before) / time.Duration(n),
		p50:       times[n/2], p99: times[n*99/100],
	}, err
}
