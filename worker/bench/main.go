//go:build !js

// Command bench compares, in one run and round by round, the Worker with an
// empty JavaScript Worker and with the same broker under stock workers.Serve.
// What counts are the ratios: the machine's speed and noise are in all of them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mcp-credential-broker/broker/vouchtest"
	"mcp-credential-broker/worker/stack"
)

const (
	rounds      = 5
	concurrency = 16
	warmUp      = 200
)

// A contender is a Worker under load.
type contender struct {
	name   string
	entry  string
	calls  int // in each round; fewer for the slow one, so that rounds take alike
	stack  *stack.Stack
	token  string
	result map[string][]sample // by job
}

// A sample is one round.
type sample struct {
	perSecond float64
	cpu       time.Duration // of the Worker's process, for each request
}

// jobs are what is measured: the body of one POST to /mcp.
var jobs = []struct{ name, body string }{
	{"tools/list", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
	{"get-aws-credentials", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get-aws-credentials","arguments":{"role_arn":"` + vouchtest.DefaultRoleARN + `"}}}`},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench failed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	contenders := []*contender{
		{name: "this Worker", entry: "build/worker.mjs", calls: 2000},
		{name: "empty JavaScript Worker", entry: "worker/bench/empty/worker.mjs", calls: 2000},
		{name: "stock workers.Serve", entry: "build/stock/worker.mjs", calls: 200},
	}
	for _, c := range contenders {
		var err error
		c.stack, err = stack.Start(ctx, stack.Config{Worker: stack.WorkerConfig{Entry: c.entry, Bare: true}})
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		defer c.stack.Stop()
		c.token, c.result = c.stack.Token(), map[string][]sample{}
	}
	fmt.Printf("%d rounds, %d requests at a time, medians; CPU is the Worker's process\n", rounds, concurrency)
	for _, job := range jobs {
		for round := range rounds + 1 {
			for _, c := range contenders {
				n := c.calls
				if round == 0 {
					n = min(n, warmUp)
				}
				s, err := c.measure(ctx, job.body, n)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", c.name, job.name, err)
				}
				if round > 0 {
					c.result[job.name] = append(c.result[job.name], s)
				}
			}
		}
		report(job.name, contenders)
	}
	return nil
}

// measure sends n requests and takes the time and the process's CPU for them.
func (c *contender) measure(ctx context.Context, body string, n int) (sample, error) {
	before, err := c.stack.Worker.CPU()
	if err != nil {
		return sample{}, err
	}
	begin := time.Now()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for next.Add(1) <= int64(n) && failed.Load() == nil {
				if err := c.call(ctx, body); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return sample{}, *err
	}
	took := time.Since(begin)
	after, err := c.stack.Worker.CPU()
	return sample{float64(n) / took.Seconds(), (after - before) / time.Duration(n)}, err
}

var client = http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: concurrency}, Timeout: 30 * time.Second}

func (c *contender) call(ctx context.Context, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.stack.MCP, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || strings.Contains(string(text), `"isError":true`)) {
		err = errors.New("status " + strconv.Itoa(resp.StatusCode) + ": " + string(text))
	}
	return err
}

func report(job string, contenders []*contender) {
	fmt.Printf("\n%-22s %-26s %12s %8s %14s %8s\n", job, "", "requests/s", "ratio", "CPU/request", "ratio")
	ours := median(contenders[0].result[job])
	for _, c := range contenders {
		m := median(c.result[job])
		fmt.Printf("%-22s %-26s %12.0f %8.2f %14s %8.2f\n", "", c.name, m.perSecond, ours.perSecond/m.perSecond,
			m.cpu.Round(time.Microsecond), float64(m.cpu)/float64(ours.cpu))
	}
	fmt.Println("ratio: how many times more requests this Worker answers, and how many times its CPU the other takes")
}

func median(samples []sample) sample {
	rates, cpus := make([]float64, 0, len(samples)), make([]time.Duration, 0, len(samples))
	for _, s := range samples {
		rates, cpus = append(rates, s.perSecond), append(cpus, s.cpu)
	}
	slices.Sort(rates)
	slices.Sort(cpus)
	return sample{rates[len(rates)/2], cpus[len(cpus)/2]}
}
