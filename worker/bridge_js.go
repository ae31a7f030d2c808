//go:build js && wasm

package main

import (
	"bytes"
	"net/http"
	"runtime"
	"time"
	"unsafe"
)

// The bridge to JavaScript: this file and exchange_js.go here, program.mjs and
// exchange.mjs there. It is our own instead of workers.Serve, which is made for
// one request to each start of the Go program: its response closes the program's
// only done channel, its promises and body streams keep some 20 KB a fetch in a
// program that lives on, and its header conversion splits at commas.
//
// # Protocol
//
// Both sides pass numbers and bytes of linear memory, and no JavaScript value:
// syscall/js would make an object, a table entry and a finalizer of each.
//
//	JavaScript calls  inbox(n)                where the next message goes, of up to n bytes
//	                  handle(exchange, ...)   a request is in the inbox
//	                  settle(call, ...)       what Go asked for is done; its outcome is in the inbox
//	Go calls          answer(exchange, ...)   once for each exchange; it ends with it
//	                  fetch, ecdsa, limit     start work and return at once; settle follows
//	                  log(line)
//
// An exchange is a request with its answer, a call is work of JavaScript's that
// one of its goroutines waits for. Both have a number of their own. A head is
// lines, name and value in turn, since no value can hold a line end; before them
// stand method and URL where it is a request's. Head and body lie one behind the
// other in the inbox, or come as two strings, of which JavaScript gets pointer
// and length and makes copies before it returns.
//
// # Rules, and what breaks without them
//
//   - handle and settle wake a goroutine and return; then JavaScript calls the
//     runtime's own export resume, which runs Go until every goroutine waits. On
//     this platform an export runs without the scheduler, on the stack of whatever
//     goroutine was the last to pause: one that blocked would return with the
//     stack pointer of another. So exports take no lock and wait for no channel.
//   - The inbox belongs to the goroutine that an entry wakes, until it waits: it
//     copies first. No other entry can come before.
//   - JavaScript asks inbox before it looks at the memory's buffer, and looks again
//     after each entry: memory that has grown is a new buffer, and the old one is
//     detached.
//   - What Go does inside an entry it does for that entry's exchange, whose I/O
//     workerd lets it use. So a goroutine waits for its own calls only.
//   - workerd's clock stands still while code runs, so an entry brings its time with
//     it: to ask JavaScript for it dozens of times would bring no other.
//   - Go runs inside entries only, so there is nothing to tell it of a client that
//     hangs up before the next one: settle says whether the client has gone.
//   - A program that has ended, trapped, or been stopped in the middle of an entry
//     is never entered again. JavaScript answers its exchanges, each when the next
//     of its calls is done.
//
// What is converted to an interface in this package holds no bridge and no
// http.Handler: the linker keeps every type that could be reached from there by
// reflection, and from http.Request that is all of X.509.
type bridge struct {
	serve     http.HandlerFunc
	logPanic  func(requestID string, value any, stack []byte)
	now       time.Time // of the entry
	inbox     []byte
	exchanges map[int32]*exchange
	calls     map[int32]chan<- settled
	lastCall  int32
	arrivals  chan arrival      // to the goroutines that wait for a request
	idling    int               // how many they are
	names     map[string]string // canonical forms of header names, by name
	head      []byte            // for the next head that JavaScript copies
	body      []byte            // for the next answer's, unless one is being written
}

// program is this program's one bridge. Exports can reach no other value.
var program = &bridge{
	exchanges: map[int32]*exchange{},
	calls:     map[int32]chan<- settled{},
	names:     map[string]string{},
	arrivals:  make(chan arrival, 1),
}

const (
	maxIdle      = 16  // goroutines that are kept for requests; each has a stack of 64 KiB
	maxNames     = 128 // canonical forms of header names that are kept,
	maxNameBytes = 40  // each of at most that length
)

// An arrival is a request in the inbox.
type arrival struct{ exchange, head, body int32 }

// settled is the end of a call, with its head and body in the inbox.
type settled struct {
	exchange           int32
	gone               bool // the exchange's client
	failure            failure
	status, head, body int32
}

// A failure is why a call has no outcome, in exchange.mjs's numbers.
type failure int32

const (
	succeeded failure = iota
	timedOut
	canceled
	failed
)

// An outcome is what came of a call. Its head is an error's text when it failed.
type outcome struct {
	failure failure
	status  int
	head    string
	body    []byte
}

//lint:ignore U1000 JavaScript calls it
//go:wasmexport inbox
func exportInbox(n int32) unsafe.Pointer {
	if int(n) > len(program.inbox) {
		program.inbox = make([]byte, n)
	}
	return unsafe.Pointer(unsafe.SliceData(program.inbox))
}

//lint:ignore U1000 JavaScript calls it
//go:wasmexport handle
func exportHandle(exchange, head, body int32, now float64) {
	program.now = time.UnixMilli(int64(now))
	if program.idling > 0 {
		program.idling--
	} else {
		go program.work(growStack[[12 << 10]byte]) // what most requests take
	}
	program.arrivals <- arrival{exchange, head, body} // has room: somebody waits for it, or is about to
}

//lint:ignore U1000 JavaScript calls it
//go:wasmexport settle
func exportSettle(exchange, call int32, gone bool, failure failure, status, head, body int32, now float64) {
	program.now = time.UnixMilli(int64(now))
	done := program.calls[call]
	delete(program.calls, call)
	done <- settled{exchange, gone, failure, status, head, body} // has room for its only value
}

//go:wasmimport bridge answer
func hostAnswer(exchange, status int32, head, body string)

//go:wasmimport bridge fetch
func hostFetch(exchange, call int32, cancellable bool, timeoutMs, maxBytes int32, head, body string)

//go:wasmimport bridge ecdsa
func hostECDSA(call, key int32, material, signature, message string)

//go:wasmimport bridge limit
func hostLimit(exchange, call int32, binding, key string)

//go:wasmimport bridge log
func hostLog(line string)

// clock is the time of the entry, or before the first one that of the start.
func (b *bridge) clock() time.Time {
	if b.now.IsZero() {
		return time.Now()
	}
	return b.now
}

// view lends bytes to an import, which copies them before it returns.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// start makes the goroutines that are kept, each with as much stack as any request
// takes. So their memory is the same from the first request on.
func (b *bridge) start() {
	for range maxIdle {
		go b.work(growStack[[34 << 10]byte])
	}
	b.idling = maxIdle
}

// work answers requests until enough other goroutines wait for one.
func (b *bridge) work(grow func()) {
	grow()
	for {
		b.handle(<-b.arrivals)
		if b.idling == maxIdle {
			return
		}
		b.idling++
	}
}

// growStack gives a new goroutine at once a stack with room for a T, which makes it
// the next power of two. To grow in steps would copy it at each, from deep down.
// program.mjs keeps the collector from making it smaller.
//
//go:noinline
func growStack[T any]() {
	var room T
	runtime.KeepAlive(&room)
}

// received copies a message out of the inbox.
func (b *bridge) received(head, body int32) (string, []byte) {
	return string(b.inbox[:head]), bytes.Clone(b.inbox[head : head+body])
}

// call starts work on the JavaScript side and waits for settle. start gets the
// number to settle.
func (b *bridge) call(start func(call int32)) outcome {
	done := make(chan settled, 1)
	b.lastCall++
	id := b.lastCall
	b.calls[id] = done
	start(id)
	s := <-done
	head, body := b.received(s.head, s.body)
	if x := b.exchanges[s.exchange]; s.gone && x != nil {
		x.cancel()
	}
	return outcome{s.failure, int(s.status), head, body}
}
