package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	startTime = 60 * time.Second
	stopTime  = 5 * time.Second
)

// A WorkerConfig says which Worker to run and how.
type WorkerConfig struct {
	// Entry is the built entry module, absolute or relative to the project's root.
	// Empty: build/worker.mjs.
	Entry string
	// Port on 127.0.0.1; 0 takes a free one.
	Port int
	// Vars are the Worker's variables. A variable of wrangler.toml that is not
	// among them keeps its value.
	Vars map[string]string
	// Output gets all that wrangler and the Worker print. It may be nil.
	Output io.Writer
	// Bare runs workerd without wrangler's proxy in front of it, which hides a
	// client's hanging up and costs more than the Worker itself.
	Bare bool
	// Unawaited leaves the waiting to the caller, who wants to ask the first
	// question and take its time.
	Unawaited bool
}

// A Worker is the built Worker in workerd, run by wrangler.
type Worker struct {
	// URL is its origin, such as http://127.0.0.1:3000.
	URL string

	process *exec.Cmd
	exited  chan struct{}
	printed fmt.Stringer // the last of it
	dir     string       // its configuration, and what it printed
}

// NotUp begins the error of a Worker that does not start.
const NotUp = "the Worker did not start"

// StartWorker runs the Worker and waits until it answers. The caller must Stop
// it. Errors are sentences for the person at the terminal.
func StartWorker(ctx context.Context, c WorkerConfig) (*Worker, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	port, err := choosePort(c.Port)
	if err != nil {
		return nil, err
	}
	entry := filepath.Join(root, filepath.FromSlash(c.Entry))
	if filepath.IsAbs(c.Entry) {
		entry = c.Entry
	}
	if c.Entry == "" {
		entry = filepath.Join(root, "build", "worker.mjs")
	}
	if _, err := os.Stat(entry); err != nil {
		return nil, errors.New("the Worker is not built yet: run make build first")
	}
	dir, err := os.MkdirTemp("", "mcp-credential-broker-*")
	if err != nil {
		return nil, err
	}
	w := &Worker{URL: "http://127.0.0.1:" + strconv.Itoa(port), exited: make(chan struct{}), dir: dir}
	command := wranglerDev
	if c.Bare {
		command = bareWorkerd
	}
	if w.process, err = command(root, dir, entry, port, c.Vars); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	out, err := w.keepOutput(c.Output)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	w.process.Stdout, w.process.Stderr = out, out
	err = w.process.Start()
	if file, ok := out.(*os.File); ok {
		_ = file.Close() // the process has its own
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, fmt.Errorf("the Worker could not be started: %w", err)
	}
	running.Store(w, nil)
	go func() {
		_ = w.process.Wait()
		close(w.exited)
		running.Delete(w)
	}()
	if c.Unawaited {
		return w, nil
	}
	if err := w.await(ctx); err != nil {
		w.Stop()
		return nil, err
	}
	return w, nil
}

// await asks for /healthz until the Worker answers, wrangler ends or time is up.
func (w *Worker) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			return nil // configuration faults are the caller's to find: they are an answer
		}
		select {
		case <-w.exited:
			return fmt.Errorf("%s: its process ended before it answered; it printed last:\n%s", NotUp, w.printed)
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errors.New("interrupted before the Worker was up")
			}
			return fmt.Errorf("%s: it did not answer within %s; its process printed last:\n%s", NotUp, startTime, w.printed)
		case <-tick.C:
		}
	}
}

// running are the Workers that StopAll has to stop.
var running sync.Map

// StopAll stops every Worker that is running, for a process that is about to be
// ended by a signal.
func StopAll() {
	running.Range(func(w, _ any) bool {
		w.(*Worker).Stop()
		return true
	})
}

// Exited is closed when wrangler has ended, by Stop or by itself.
func (w *Worker) Exited() <-chan struct{} { return w.exited }

// Stop ends wrangler and what it started, and waits for that.
func (w *Worker) Stop() {
	signalGroup(w.process.Process.Pid, syscall.SIGTERM)
	select {
	case <-w.exited:
	case <-time.After(stopTime):
	}
	// What is left of its process group, if anything, does not deserve more patience.
	signalGroup(w.process.Process.Pid, syscall.SIGKILL)
	<-w.exited
	_ = os.RemoveAll(w.dir)
}

func signalGroup(pid int, s syscall.Signal) { _ = syscall.Kill(-pid, s) }

// Root returns the project's root: the nearest folder upwards with a go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run this inside the project's folder")
		}
		dir = parent
	}
}

// choosePort returns port if it is free, or a free one for 0.
func choosePort(port int) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return 0, fmt.Errorf("port %d is taken: stop what uses it, or choose another, as in PORT=8787 make dev", port)
	}
	if err != nil {
		return 0, fmt.Errorf("port %d cannot be used: %w", port, err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// keepOutput returns what the process is to write to: a file if nobody wants to
// see it, since a pipe to here takes of the machine at each line.
func (w *Worker) keepOutput(reader io.Writer) (io.Writer, error) {
	if reader != nil {
		last := &tail{}
		w.printed = last
		return io.MultiWriter(last, reader), nil
	}
	path := filepath.Join(w.dir, "output")
	w.printed = endOf(path)
	return os.Create(path)
}

const tailBytes = 4096

// A tail keeps the last lines of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if extra := len(t.buf) - tailBytes; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
	}
	return len(p), nil
}

// String returns the lines, without the one that was cut.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buf
	if len(b) == tailBytes {
		_, b, _ = bytes.Cut(b, []byte("\n"))
	}
	return string(b)
}

// endOf names a file.
type endOf string

// String returns the file's last lines.
func (path endOf) String() string {
	f, err := os.Open(string(path))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd) // else it is all of it
	}
	last := &tail{}
	_, _ = io.Copy(last, f)
	return last.String()
}

// CPU returns the processor time that the Worker's process has used so far. It
// is told on Linux only, in steps of 10 ms, and without wrangler's own share
// only for a bare Worker.
func (w *Worker) CPU() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.process.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("this system does not tell a process's CPU time: %w", err)
	}
	// proc(5): the name in parentheses may hold spaces; utime and stime are fields 14 and 15.
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("/proc told no CPU time")
	}
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond, nil
}
