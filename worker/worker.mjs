// The Worker's entry module. It keeps one run of the Go program for the life of the isolate: to start Go for each request,
// as the stock module does, costs 7-10 ms of CPU and 5 MB. workerd ties I/O to the request that began it and stops one
// that waits for another's, so a request waits for its own only, and Go arms no timer.
import { Exchange } from "./exchange.mjs";
import { Visit, held, lifeMs } from "./intake.mjs";
import { busy } from "./message.mjs";
import { Program } from "./program.mjs";

const maxMemoryBytes = 40 * 2 ** 20; // a program past this takes no new request: an isolate has 128 MB for everything

let program; // takes new requests
let retiring; // past its memory bound, finishing what it has
const inspect = () => ({ programs: [program, retiring], heldBytes: held() }); // for the test build

// admit returns the program for a new request, or undefined when there is no room for it.
function admit(env) {
  // What the platform has given up never ends, and would keep a program here for good.
  if (retiring?.isDead() || retiring?.inFlight === 0 || Date.now() - retiring?.retired > lifeMs) retiring = undefined;
  if (program?.isDead()) program = undefined;
  if (program?.memory.buffer.byteLength > maxMemoryBytes) {
    if (retiring) return undefined;
    [retiring, program] = [program, undefined];
    retiring.retired = Date.now();
  }
  try {
    program ??= new Program(env, inspect);
  } catch (error) {
    console.error(JSON.stringify({ event: "panic", time: new Date(), reason: `${error}` }));
  }
  return program;
}

async function answer(request, env) {
  const visit = new Visit(request);
  try {
    const body = await visit.read();
    if (body instanceof Response) return body;
    const admitted = visit.crowded() ? undefined : admit(env);
    if (!admitted) return busy(request);
    const exchange = new Exchange(admitted, request, env);
    const answer = exchange.handle(visit.head, body);
    if (answer) return answer;
    visit.wait();
    return await exchange.answered();
  } finally {
    visit.done();
  }
}

export default {
  fetch(request, env, ctx) {
    const answered = answer(request, env);
    // Although the client has gone, what it held is given back, and a hop that mints is finished and audited.
    ctx.waitUntil(answered);
    return answered;
  },
};
