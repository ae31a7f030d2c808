// The Worker's entry module. It keeps one run of the Go program for the life of the isolate: to start Go for each request,
// as the stock module does, costs 7-10 ms of CPU and 5 MB. workerd ties I/O to the request that began it and stops one
// that waits for another's, so a request waits for its own only, and Go arms no timer.
import { Exchange } from "./exchange.mjs";
import { Visit, held, maxHeadBytes } from "./intake.mjs";
import { busy, formatHead, refusal } from "./message.mjs";
import { Program } from "./program.mjs";

const maxMemoryBytes = 40 * 2 ** 20; // a program past this takes no new request: an isolate has 128 MB for everything

let program; // takes new requests
let retiring; // past its memory bound, finishing what it has
const inspect = () => ({ programs: [program, retiring], heldBytes: held() }); // for the test build

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
  return program;
}

export default {
  async fetch(request, env, ctx) {
    const head = `${request.method}\n${request.url}\n${formatHead(request.headers)}`;
    if (head.length > maxHeadBytes) return refusal(431, "the headers of this request are larger than 16 KiB; send less in them");
    const visit = new Visit(request);
    const body = request.body && (await visit.read(ctx));
    if (body instanceof Response) return body;
    const admitted = visit.crowded() ? undefined : admit(env);
    if (!admitted) {
      visit.done();
      return busy();
    }
    const exchange = new Exchange(admitted, request, env);
    const answer = exchange.handle(head, body);
    if (answer) {
      visit.done();
      return answer;
    }
    visit.wait();
    const answered = exchange.answered().finally(() => visit.done(true));
    // Although the client has gone, what it held is given back, and a hop that mints is finished and audited.
    ctx.waitUntil(answered);
    return answered;
  },
};
