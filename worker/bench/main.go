//go:build !js

// Command bench compares, in one run and round by round, the Worker with the
// same three tools on the official TypeScript SDK, with stock workers.Serve and
// with an empty Worker. What counts are the ratios: the machine's speed and noise
// are in all of them.
//
// OTHER=FOLDER/worker.mjs compares it with another build of itself instead, and
// JOB=TEXT leaves out the jobs whose title does not have the text.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// A length is how much is measured. BENCH=short only shows that all of it works.
type length struct {
	rounds  int
	warmUp  int // calls before the first round: V8 goes on compiling for thousands
	calls   int // in each round
	slow    int // of the two, for a side that takes ten times as long
	cold    int // fresh processes
	waiting int // calls that wait for their upstream, 200 at a time
}

var (
	long  = length{rounds: 7, warmUp: 4000, calls: 2000, slow: 10, cold: 7, waiting: 600}
	short = length{rounds: 1, warmUp: 20, calls: 60, slow: 3, cold: 1, waiting: 200}
)

const (
	concurrency    = 16
	waitingCalls   = 200
	upstreamDelay  = 200 * time.Millisecond
	ours           = "this Worker"
	typeScript     = "TypeScript broker"
	stock          = "stock workers.Serve"
	empty          = "empty Worker"
	oursInSignIn   = "this Worker, sign-in"
	oursWithPolicy = "this Worker, policy"
	toolsList      = "tools/list"
	other          = "other build"
	otherInSignIn  = "other build, sign-in"
	awsCredentials = "get-aws-credentials"
	coldTitle      = "a fresh process, from its start to its first answer"
	waitingTitle   = awsCredentials + ", 200 waiting 200ms"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx, os.Getenv("BENCH") == "short"); err != nil {
		fmt.Fprintln(os.Stderr, "bench failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, isShort bool) error {
	n := long
	if isShort {
		n = short
	}
	all := []*side{
		{name: ours, entry: "build/worker.mjs"},
		{name: typeScript, entry: "build/peer/worker.mjs"},
		{name: stock, entry: "build/stock/worker.mjs", slow: true},
		{name: empty, entry: "worker/bench/empty/worker.mjs"},
		{name: oursInSignIn, entry: "build/worker.mjs", signIn: true},
		{name: oursWithPolicy, entry: "build/worker.mjs", policy: largePolicy()},
	}
	jobs := []job{
		{title: toolsList, body: listRequest, sides: []string{ours, typeScript, stock, empty}},
		{title: awsCredentials, body: awsRequest, sides: []string{ours, typeScript, stock, empty}},
		{title: toolsList + ", signed in at the broker", body: listRequest, sides: []string{ours, oursInSignIn}},
		{title: awsCredentials + ", DPoP and signature", body: awsRequest, sides: []string{ours, oursInSignIn}},
		{title: awsCredentials + ", policy of 2,000 rules", body: awsRequest, sides: []string{ours, oursWithPolicy}},
		{title: waitingTitle, body: awsRequest, waits: true, sides: []string{ours, typeScript}},
	}
	fresh := []string{ours, typeScript, stock, empty}
	if entry := os.Getenv("OTHER"); entry != "" {
		all = []*side{
			all[0], {name: other, entry: entry},
			all[4], {name: otherInSignIn, entry: entry, signIn: true},
			all[5],
		}
		for _, i := range []int{0, 1, 5} {
			jobs[i].sides = []string{ours, other}
		}
		for _, i := range []int{2, 3} {
			jobs[i].sides = []string{oursInSignIn, otherInSignIn}
		}
		fresh = []string{ours, other}
	}
	return compare(ctx, all, jobs, fresh, n)
}

// compare starts the sides, checks them, and lets them do the jobs.
func compare(ctx context.Context, all []*side, jobs []job, fresh []string, n length) error {
	sides := map[string]*side{}
	for _, s := range all {
		sides[s.name] = s
		defer s.stop()
		if err := s.start(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if s.name == empty {
			continue
		}
		if err := s.check(ctx); err != nil {
			return fmt.Errorf("%s does not answer as a broker does: %w", s.name, err)
		}
	}
	fmt.Println("Each side refuses what the others refuse, and answers what they answer.")
	fmt.Printf("%d rounds of %d calls, %d at a time.%s\n", n.rounds, n.calls, concurrency, legend)
	only := os.Getenv("JOB")
	for _, j := range jobs {
		if !strings.Contains(j.title, only) {
			continue
		}
		if err := j.run(ctx, sides, n); err != nil {
			return err
		}
	}
	if !strings.Contains(coldTitle, only) {
		return nil
	}
	return cold(ctx, sides, fresh, n)
}

// largePolicy is 2,000 rules of which none matches before the last: the dearest
// policy of that size.
func largePolicy() string {
	var b strings.Builder
	b.WriteString(`{"version": 1, "rules": [`)
	for i := range 1999 {
		fmt.Fprintf(&b, `{"id": "r%d", "deny": {"who": {"email": ["*@team%d.example.com"]}, "aws": ["arn:aws:iam::111122223333:role/team%d-*"], "github": ["example/team%d-*"]}},`, i, i, i, i)
	}
	b.WriteString(`{"id": "last", "allow": {"aws": ["arn:aws:iam::123456789012:role/*"], "github": ["acme/*"]}}]}`)
	return b.String()
}
