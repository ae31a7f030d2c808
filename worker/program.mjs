// One run of the Go program: JavaScript's half of the bridge, whose protocol and rules bridge_js.go tells.
import "./wasm_exec.js";
import app from "./app.wasm";
import policy from "./policy.txt"; // policy.json byte for byte, or nothing: its hash is the policy's id

const imports = ["inbox", "handle", "settle", "resume"]; // what JavaScript calls of the program
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Program {
  go = new Go();
  exchanges = new Map(); // by number: what is in flight
  keys = new Map(); // CryptoKey, by Go's number for it
  current = null; // the exchange on whose behalf Go is running
  inFlight = 0;
  dead = false;
  retired = 0; // when it took its last request
  inboxAt = 0;
  inboxBytes = 0;

  // Runs Go's start to its end at once: a promise for it would tie later requests to the first. inspect is for the test build.
  constructor(env, inspect) {
    let ready = false;
    // A timer of the Go runtime's own (its scavenger) must not fire inside a stranger's request. Go looks at its timers whenever it is entered.
    this.go.importObject.gojs["runtime.scheduleTimeoutEvent"] = (sp) => this.go.mem.setInt32((sp >>> 0) + 16, 1, true);
    this.go.importObject.gojs["runtime.clearTimeoutEvent"] = () => {};
    this.go.env.GODEBUG = "gcshrinkstackoff=1"; // each collection would make the stacks small that wait for requests
    const instance = new WebAssembly.Instance(app, {
      ...this.go.importObject,
      workers: { ready: () => (ready = true) },
      bridge: this.bridge(),
    });
    this.exports = instance.exports;
    for (const name of imports)
      if (typeof this.exports[name] !== "function")
        throw new Error(`the Go program exports no ${name}: it was built with a Go that the bridge does not know`);
    this.memory = this.exports.mem;
    this.bytes = new Uint8Array(this.memory.buffer);
    const context = { env: { ...env, POLICY: env.POLICY || policy }, binding: {}, inspect }; // binding is what package workers wants
    this.go.run(instance, context).catch(() => {}); // ends when the program does, maybe inside a request that is long over
    if (!ready || this.go.exited) throw new Error("the Go program did not start");
  }

  // What Go calls. Strings come as pointer and length.
  bridge() {
    const text = (at, length) => decoder.decode(this.view().subarray(at, at + length));
    const copy = (at, length) => (length > 0 ? this.view().slice(at, at + length) : null);
    return {
      answer: (id, status, head, headLength, body, bodyLength) =>
        this.exchanges.get(id)?.answer(status, text(head, headLength), copy(body, bodyLength)),
      fetch: (id, call, cancellable, timeoutMs, maxBytes, head, headLength, body, bodyLength) =>
        this.exchanges.get(id).fetch(call, cancellable, timeoutMs, maxBytes, text(head, headLength), copy(body, bodyLength)),
      ecdsa: (call, key, material, materialLength, signature, signatureLength, message, messageLength) =>
        this.current.ecdsa(call, key, copy(material, materialLength), copy(signature, signatureLength), copy(message, messageLength)),
      limit: (id, call, binding, bindingLength, key, keyLength) =>
        this.exchanges.get(id).limit(call, text(binding, bindingLength), text(key, keyLength)),
      log: (line, length) => console.log(text(line, length)),
    };
  }

  // view is linear memory as it is now: when it grows, what was one before is detached, and has no length.
  view() {
    return this.bytes.length > 0 ? this.bytes : (this.bytes = new Uint8Array(this.memory.buffer));
  }

  // isDead reports whether the program may not be entered again: it has ended, has trapped, or is still in an entry. A request
  // that has used up its CPU is given up without unwinding anything, and the isolate is sent others (cloudflare/workerd#7276).
  isDead() {
    return (this.dead ||= this.current !== null);
  }

  // enter calls handle or settle on behalf of an exchange, with a message in the inbox, and lets Go run until all of it waits.
  enter(exchange, name, numbers, head, body) {
    if (!this.isDead()) {
      this.current = exchange;
      try {
        this.exports[name](...numbers, ...this.post(head, body), Date.now());
        this.exports.resume();
        this.dead = this.go.exited;
      } catch (error) {
        this.dead = true;
        console.error(JSON.stringify({ event: "panic", time: new Date(), reason: `the Go program trapped: ${error}` }));
      }
      this.current = null;
    }
    if (!this.dead) return;
    this.go = this.exports = this.memory = this.bytes = this.exchanges = this.keys = null; // requests in flight still hold on to this, and must not to its memory
    exchange.restart();
  }

  // post writes a message, its body as text or in bytes, into the inbox and returns its two lengths. A character takes three
  // bytes at most.
  post(head, body) {
    const isText = typeof body === "string";
    const most = 3 * head.length + (isText ? 3 : 1) * (body?.length ?? 0);
    if (most > this.inboxBytes) [this.inboxAt, this.inboxBytes] = [this.exports.inbox(most), most];
    const inbox = this.view().subarray(this.inboxAt, this.inboxAt + this.inboxBytes);
    const { written } = encoder.encodeInto(head, inbox);
    if (isText) return [written, encoder.encodeInto(body, inbox.subarray(written)).written];
    if (body) inbox.set(body, written);
    return [written, body?.length ?? 0];
  }
}
