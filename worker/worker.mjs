// The Worker's entry module. It keeps one run of the Go program for the life of the isolate and hands every request to
// it: to start Go for each one, as the stock entry module does, costs 7-10 ms of CPU and 5 MB. workerd ties I/O to the
// request that began it, and stops one that waits for another's: a request waits for its own only, Go arms no timer.
import "./wasm_exec.js";
import app from "./app.wasm";

const maxMemoryBytes = 40 * 2 ** 20; // a program past this takes no new request: an isolate has 128 MB for everything
const maxInFlight = 512;
const maxBodyBytes = 256 * 1024; // of a request; one byte more is passed on, so that Go sees what is too large
const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const keys = new WeakMap(); // public key bytes, held by Go -> CryptoKey

// Program is one run of the Go program with its linear memory.
class Program {
  go = new Go();
  binding = {}; // handle, settle, hangUp: set by Go
  inFlight = 0;
  exchanges = 0;
  current = null; // the exchange on whose behalf Go is running
  dead = false;

  // Runs Go's start to its end at once: a promise for it would tie later requests to the first.
  constructor(env) {
    let ready = false;
    const { gojs } = this.go.importObject;
    // A timer of the Go runtime's own (its scavenger) must not fire inside a stranger's request. Go looks at its timers whenever it is entered.
    gojs["runtime.scheduleTimeoutEvent"] = (sp) => this.go.mem.setInt32((sp >>> 0) + 16, 1, true);
    gojs["runtime.clearTimeoutEvent"] = () => {};
    const instance = new WebAssembly.Instance(app, { ...this.go.importObject, workers: { ready: () => (ready = true) } });
    this.memory = instance.exports.mem;
    const context = { env, binding: this.binding, verify: (...args) => this.current.verify(...args), programs };
    this.go.run(instance, context).catch(() => {}); // ends when the program does, maybe inside a request that is long over
    if (!ready || this.go.exited) throw new Error("the Go program did not start");
  }

  // enter calls into Go on behalf of an exchange. All that Go does before it returns belongs to that exchange.
  enter(exchange, name, ...args) {
    this.current = exchange;
    try {
      if (!this.dead) this.binding[name](...args);
      this.dead ||= this.go.exited;
    } catch (error) {
      this.dead = true;
      console.error(`the Go program trapped: ${error}`);
    }
    this.current = null;
    if (!this.dead) return;
    this.go = this.memory = this.binding = null; // requests in flight still hold on to this, and must not to its memory
    exchange.resolve(unavailable("the broker is restarting; try again in a second"));
  }
}

// Exchange is one request with its answer, and what Go may do on its behalf.
class Exchange {
  constructor(program, signal, resolve) {
    Object.assign(this, { program, signal, resolve, id: ++program.exchanges });
    signal.addEventListener("abort", () => program.enter(this, "hangUp", this.id));
  }

  // answer ends the exchange. A head is a line "name: value" for each header.
  answer(status, head, body) {
    this.resolve(new Response(body.length > 0 ? body : null, { status, headers: parseHead(head) }));
  }

  // fetch makes one subrequest and settles call with its whole answer.
  fetch(call, cancellable, timeoutMs, maxBytes, method, url, head, body) {
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = cancellable ? AbortSignal.any([deadline, this.signal]) : deadline;
    const whole = async () => {
      const response = await fetch(url, { method, headers: parseHead(head), body, redirect: "manual", signal });
      return [response.status, formatHead(response.headers), await readAll(response, maxBytes)];
    };
    this.settle(call, whole(), () => (deadline.aborted ? "timeout" : signal.aborted ? "canceled" : "unreachable"));
  }

  // verify checks an ES256 signature; point is the uncompressed public key. It settles call with 1 or 0.
  verify(call, point, signature, data) {
    const verdict = async () => {
      if (!keys.has(point)) keys.set(point, await crypto.subtle.importKey("raw", point, ecdsa, false, ["verify"]));
      return [(await crypto.subtle.verify(ecdsa, keys.get(point), signature, data)) ? 1 : 0, "", null];
    };
    this.settle(call, verdict(), () => "failed");
  }

  settle(call, work, failure) {
    const outcome = work.then((values) => ["", ...values], (error) => [failure(), 0, `${error}`, null]);
    outcome.then((values) => this.program.enter(this, "settle", call, ...values));
  }
}

// readAll reads a message's body whole, or until it is longer than maxBytes. A length that is told, and not that of
// compressed bytes, makes it one read: a tenth less CPU for a small request.
async function readAll(message, maxBytes) {
  const told = message.headers.get("Content-Length");
  if (told && told <= maxBytes && !message.headers.has("Content-Encoding")) return new Uint8Array(await message.arrayBuffer());
  const chunks = [];
  let length = 0;
  const reader = message.body?.getReader();
  for (let part; reader && length <= maxBytes && !(part = await reader.read()).done; ) {
    chunks.push(part.value);
    length += part.value.length;
  }
  if (length > maxBytes) reader.cancel().catch(() => {});
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

const formatHead = (headers) => Array.from(headers, ([name, value]) => `${name}: ${value}\n`).join("");

const parseHead = (head) => new Headers(Array.from(head.matchAll(/^(.*?): (.*)$/gm), ([, name, value]) => [name, value]));

const unavailable = (error) =>
  Response.json({ error, status: 503 }, { status: 503, headers: { "Cache-Control": "no-store", "Retry-After": "1" } });

let program; // takes new requests
let retiring; // past its memory bound, finishing what it has

const programs = () => [program, retiring]; // for the test build, which looks into them

// admit returns the program for a new request, or undefined when there is no room for it.
function admit(env) {
  if (retiring?.dead || retiring?.inFlight === 0) retiring = undefined;
  if (program?.dead) program = undefined;
  if (program?.memory.buffer.byteLength > maxMemoryBytes) {
    if (retiring) return undefined;
    [retiring, program] = [program, undefined];
  }
  try {
    program ??= new Program(env);
  } catch (error) {
    console.error(`${error}`);
  }
  return program?.inFlight < maxInFlight ? program : undefined;
}

export default {
  async fetch(request, env, ctx) {
    const body = request.body && (await readAll(request, maxBodyBytes));
    const head = `${request.method} ${request.url}\n${formatHead(request.headers)}`;
    const admitted = admit(env);
    if (!admitted) return unavailable("the broker is busy; try again in a second");
    admitted.inFlight++;
    const answer = new Promise((resolve) => {
      const exchange = new Exchange(admitted, request.signal, resolve);
      admitted.enter(exchange, "handle", exchange, exchange.id, head, body);
    }).finally(() => admitted.inFlight--);
    ctx.waitUntil(answer); // a hop that mints is finished and audited although the client has gone
    return answer;
  },
};
