// The Worker's entry module. It keeps one run of the Go program for the life of the isolate: to start Go for each request,
// as the stock module does, costs 7-10 ms of CPU and 5 MB. workerd ties I/O to the request that began it and stops one
// that waits for another's, so a request waits for its own only, and Go arms no timer.
import "./wasm_exec.js";
import app from "./app.wasm";
import policy from "./policy.txt"; // policy.json byte for byte, or nothing: its hash is the policy's id
import { drain, formatHead, parseHead, readAll, readRequest, unavailable } from "./message.mjs";

const maxMemoryBytes = 40 * 2 ** 20; // a program past this takes no new request: an isolate has 128 MB for everything
const maxInFlight = 512;
const maxHeldBytes = 12 * 2 ** 20; // of the bodies of all requests that are being read or answered
const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const keys = new WeakMap(); // key material, held by Go -> CryptoKey

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
    // A timer of the Go runtime's own (its scavenger) must not fire inside a stranger's request. Go looks at its timers whenever it is entered.
    this.go.importObject.gojs["runtime.scheduleTimeoutEvent"] = (sp) => this.go.mem.setInt32((sp >>> 0) + 16, 1, true);
    this.go.importObject.gojs["runtime.clearTimeoutEvent"] = () => {};
    const instance = new WebAssembly.Instance(app, { ...this.go.importObject, workers: { ready: () => (ready = true) } });
    this.memory = instance.exports.mem;
    const context = { env: { ...env, POLICY: env.POLICY || policy }, binding: this.binding, ecdsa: (...args) => this.current.ecdsa(...args), inspect };
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

  // ecdsa settles call with the outcome of "verify", 1 or 0, or of "sign", the signature. key is a raw point or a JWK.
  ecdsa(call, operation, key, ...rest) {
    const outcome = async () => {
      if (!keys.has(key)) keys.set(key, await crypto.subtle.importKey(key instanceof Uint8Array ? "raw" : "jwk", key, p256, false, [operation]));
      const result = await crypto.subtle[operation](p256, keys.get(key), ...rest);
      return [result ? 1 : 0, "", result instanceof ArrayBuffer ? new Uint8Array(result) : null];
    };
    this.settle(call, outcome(), () => "failed");
  }

  // limit settles call with 1, or with 0 when key has used up its share of a rate-limit binding.
  limit(call, limiter, key) {
    const within = async () => [(await limiter.limit({ key })).success ? 1 : 0, "", null];
    this.settle(call, within(), () => "failed");
  }

  settle(call, work, failure) {
    const outcome = work.then((values) => ["", ...values], (error) => [failure(), 0, `${error}`, null]);
    outcome.then((values) => this.program.enter(this, "settle", call, ...values));
  }
}

let program; // takes new requests
let retiring; // past its memory bound, finishing what it has
let heldBytes = 0;
const inspect = () => ({ programs: [program, retiring], heldBytes }); // for the test build

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

async function answer(request, env, maxBytes) {
  const body = await readRequest(request, maxBytes);
  if (body === undefined) return unavailable("the request did not arrive in time; send it again");
  const head = `${request.method} ${request.url}\n${formatHead(request.headers)}`;
  const admitted = admit(env);
  if (!admitted) return unavailable("the broker is busy; try again in a second");
  admitted.inFlight++;
  return new Promise((resolve) => {
    const exchange = new Exchange(admitted, request.signal, resolve);
    admitted.enter(exchange, "handle", exchange, exchange.id, head, body);
  }).finally(() => admitted.inFlight--);
}

export default {
  // What a request may hold of memory is set aside before its body is read: a client without a token is not read far.
  async fetch(request, env, ctx) {
    const maxBytes = request.headers.has("Authorization") ? 256 * 1024 : 16 * 1024;
    const told = Number(request.headers.get("Content-Length") ?? maxBytes);
    const held = request.body ? Math.min(told >= 0 ? told : maxBytes, maxBytes) : 0;
    if (heldBytes + held > maxHeldBytes) {
      await drain(request);
      return unavailable("the broker is busy; try again in a second");
    }
    heldBytes += held;
    const answered = answer(request, env, maxBytes).finally(() => (heldBytes -= held));
    // Although the client has gone, what it held is given back, and a hop that mints is finished and audited.
    ctx.waitUntil(answered);
    return answered;
  },
};
