//go:build !js

package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"time"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/worker/stack"
)

// coldTime bounds the wait for one fresh process.
const coldTime = 30 * time.Second

// cold measures the first answer of a fresh process: workerd's own start, the
// compilation of the code, the start of the program, and one tools/list whose
// token is verified with keys that have to be fetched.
func cold(ctx context.Context, sides map[string]*side, names []string, n length) error {
	starts := job{title: coldTitle, sides: names}
	answers := job{title: "its first answer, from the request on", sides: names}
	fromStart, fromRequest := make(map[string][]sample), make(map[string][]sample)
	for range n.cold {
		for _, name := range names {
			s := sides[name]
			start, answer, err := s.firstAnswer(ctx)
			if err != nil {
				return fmt.Errorf("first answer of %s: %w", s.name, err)
			}
			fromStart[s.name] = append(fromStart[s.name], start)
			fromRequest[s.name] = append(fromRequest[s.name], answer)
		}
	}
	report(starts, fromStart)
	report(answers, fromRequest)
	return nil
}

// firstAnswer starts the side's Worker a second time and asks it one question.
func (s *side) firstAnswer(ctx context.Context) (fromStart, fromRequest sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, coldTime)
	defer cancel()
	port, err := freePort()
	if err != nil {
		return fromStart, fromRequest, err
	}
	endpoint := fmt.Sprintf("http://127.0.0.1:%d/mcp", port)
	config := s.config
	config.Port, config.Unawaited = port, true
	config.Vars = maps.Clone(config.Vars)
	config.Vars["BROKER_MODE"], config.Vars["VOUCH_AUDIENCE"] = "relay", endpoint
	token := s.stack.Vouch.MintAccessToken(vouchtest.TokenOptions{Audience: endpoint, Scope: "openid email"})
	begin := time.Now()
	w, err := stack.StartWorker(ctx, config)
	if err != nil {
		return fromStart, fromRequest, err
	}
	defer w.Stop()
	if err := listening(ctx, port); err != nil {
		return fromStart, fromRequest, err
	}
	idle, err := w.CPU()
	if err != nil {
		return fromStart, fromRequest, err
	}
	fresh := side{stack: &stack.Stack{Worker: w, MCP: endpoint}, token: token}
	sent := time.Now()
	if err := fresh.call(ctx, listRequest); err != nil {
		return fromStart, fromRequest, err
	}
	done := time.Now()
	used, err := w.CPU()
	return once(done.Sub(begin), used), once(done.Sub(sent), used-idle), err
}

func once(took, cpu time.Duration) sample {
	return sample{perSecond: 1 / took.Seconds(), cpu: cpu, p50: took, p99: took}
}

// listening waits until somebody takes connections, and asks nothing.
func listening(ctx context.Context, port int) error {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
