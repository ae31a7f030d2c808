// The Worker's entry module. It keeps one run of the Go program for the life of the isolate: to start Go for each request,
// as the stock module does, costs 7-10 ms of CPU and 5 MB. workerd ties I/O to the request that began it and stops one
// that waits for another's, so a request waits for its own only, and Go arms no timer.
import { Exchange } from "./exchange.mjs";
import { drain, formatHead, readRequest, unavailable } from "./message.mjs";
import { Program } from "./program.mjs";

const maxMemoryBytes = 40 * 2 ** 20; // a program past this takes no new request: an isolate has 128 MB for everything
const maxInFlight = 512;
const maxHeldBytes = 12 * 2 ** 20; // of the bodies of all requests that are being read or answered

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
    program ??= new Program(env, inspect);
  } catch (error) {
    console.error(`${error}`);
  }
  return program?.inFlight < maxInFlight ? program : undefined;
}

async function answer(request, env, maxBytes) {
  const body = await readRequest(request, maxBytes);
  if (body === undefined) return unavailable("the request did not arrive in time; send it again");
  const head = `${request.method}\n${request.url}\n${formatHead(request.headers)}`;
  const admitted = admit(env);
  if (!admitted) return unavailable("the broker is busy; try again in a second");
  admitted.inFlight++;
  return new Promise((resolve) => {
    new Exchange(admitted, request, env, resolve).handle(head, body);
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
