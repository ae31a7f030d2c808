// An exchange is one request with its answer, and what Go may do on its behalf.
import { formatHead, headersOf, readAll, unavailable } from "./message.mjs";

const [succeeded, timedOut, canceled, failed] = [0, 1, 2, 3]; // why a call has no outcome, as in bridge_js.go
const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const maxKeys = 64;

let last = 0; // number of an exchange

export class Exchange {
  id = (last = (last + 1) | 0);
  response = null; // the answer, when there is one
  resolve = null;

  constructor(program, request, env) {
    this.program = program;
    this.request = request;
    this.env = env;
  }

  // handle hands the request to Go, and returns the answer if it is there at once.
  handle(head, body) {
    this.program.exchanges.set(this.id, this);
    this.program.inFlight++;
    this.program.enter(this, "handle", [this.id], head, body);
    return this.response;
  }

  // answered promises the answer that was not.
  answered() {
    return new Promise((resolve) => (this.resolve = resolve));
  }

  // answer ends the exchange.
  answer(status, head, body) {
    this.program.exchanges.delete(this.id);
    this.end(new Response(body, { status, headers: headersOf(head.split("\n"), 0) }));
  }

  // restart ends the exchange when the program has ended before it could answer.
  restart() {
    this.end(unavailable(this.request, "the broker is restarting; try again in a second"));
  }

  end(response) {
    if (this.response) return; // it has ended with its program, and now one more of its calls is done
    this.program.inFlight--;
    this.response = response;
    this.resolve?.(response);
  }

  // fetch makes one subrequest and settles call with its whole answer.
  fetch(call, cancellable, timeoutMs, maxBytes, head, body) {
    const deadline = AbortSignal.timeout(timeoutMs);
    const signal = cancellable ? AbortSignal.any([deadline, this.request.signal]) : deadline;
    const whole = async () => {
      const lines = head.split("\n");
      const response = await fetch(lines[1], { method: lines[0], headers: headersOf(lines, 2), body, redirect: "manual", signal });
      return [response.status, formatHead(response.headers), await readAll(response, maxBytes)];
    };
    this.settle(call, whole(), () => (deadline.aborted ? timedOut : signal.aborted ? canceled : failed));
  }

  // ecdsa settles call with the outcome of a verification, 1 or 0, or without a signature to verify, with the signature of
  // message. A promise for a key would tie a request to another one, so each imports a key that is not there yet.
  ecdsa(call, number, material, signature, message) {
    const keys = this.program.keys;
    const outcome = async () => {
      const key = keys.get(number) ?? (await importKey(material, signature ? "verify" : "sign"));
      if (keys.size >= maxKeys) keys.clear();
      keys.set(number, key);
      if (!signature) return [0, "", new Uint8Array(await crypto.subtle.sign(p256, key, message))];
      return [(await crypto.subtle.verify(p256, key, signature, message)) ? 1 : 0, "", null];
    };
    this.settle(call, outcome(), () => failed);
  }

  // limit settles call with 1, or with 0 when key has used up its share of a rate-limit binding.
  limit(call, binding, key) {
    const within = async () => [(await this.env[binding].limit({ key })).success ? 1 : 0, "", null];
    this.settle(call, within(), () => failed);
  }

  // settle hands Go the outcome of a call, status, head and body, and says whether the client has gone meanwhile. work is a
  // promise from its start on: what threw here would end the program that called.
  settle(call, work, failure) {
    const enter = (failure, [status, head, body]) =>
      this.program.enter(this, "settle", [this.id, call, this.request.signal.aborted, failure, status], head, body);
    work.then(
      (outcome) => enter(succeeded, outcome),
      (error) => enter(failure(), [0, `${error}`, null]),
    );
  }
}

// importKey takes what a verification or a signature needs: a point of the curve, or a private JWK.
function importKey(material, use) {
  const [form, key] = use === "verify" ? ["raw", material] : ["jwk", JSON.parse(new TextDecoder().decode(material))];
  return crypto.subtle.importKey(form, key, p256, false, [use]);
}
