// What a request may take of what all requests share, until it is answered. Only what has arrived is counted: a connection
// that announces much and sends nothing takes next to nothing from others.
import { Bytes, busy, formatHead, refusal, within } from "./message.mjs";

const maxHeadBytes = 16 * 1024; // method, URL and headers
const maxCallBytes = 256 * 1024; // the body of a call
const maxOtherBytes = 16 * 1024; // of any other request
const smallBytes = 4 * 1024; // a body up to this comes in one piece, and its own bytes are not counted
const ownBytes = 4 * 1024; // what a request takes beside head and larger body, about
const maxHeldBytes = 12 * 2 ** 20; // of all requests that are being read or wait
const maxHeldOfOne = maxHeldBytes / 4; // of one network's
const maxWaiting = 512; // requests that wait for Vouch, STS or GitHub
const maxWaitingOfOne = 256; // of one network: a hosted client calls for all its people from a few addresses
const maxStrangers = 128; // requests that wait and are no calls: sign-ins, clients' documents
const maxStrangersOfOne = 32; // of one network
const idleMs = 5_000; // until the next part of a body
const bodyMs = 15_000; // until all of it is there
const lifeMs = 60_000; // of a request, and more than one can take: a body's time and a call's

const isEndpoint = /^https?:\/\/[^/?#]*\/mcp\/?(?:\?|$)/; // another spelling of the path may be served, and counts as a stranger's

const total = { bytes: 0, waiting: 0, strangers: 0 };
const shares = new Map(); // by network: how many requests it has here, and what they take of the total
const visits = new Set(); // in the order in which they came
const readers = new Set(); // Visits whose body is being read

export const held = () => total.bytes; // for the test build
export { lifeMs };

// relieve makes readers give way until bytes have come free: first whose bytes, times the time for which nothing has come of
// it, are most. So it is neither who arrives with a large body nor who sends one slowly, but who sends much and then idles.
// It takes bytes from other requests and touches none of their promises.
function relieve(readers, bytes) {
  const now = Date.now();
  const cost = (visit) => visit.bytes * (now - visit.heard + 1);
  for (const visit of readers.sort((a, b) => cost(b) - cost(a))) {
    if (bytes <= 0) return;
    bytes -= visit.bytes;
    visit.giveWay();
  }
}

const late = (request) => refusal(request, 408, "the request did not arrive in time; send it again", { "Retry-After": "1" });

// networkOf is what one customer has of addresses: one of IPv4, or a /64 of IPv6. Without Cloudflare in front there is
// no address, and all are one network, which has no bound of its own.
export function networkOf(address) {
  if (!address?.includes(":")) return address ?? "";
  const [left, right] = address.split("::").map((part) => (part ? part.split(":") : []));
  const zeros = right ? Array(Math.max(0, 8 - left.length - right.length)).fill("0") : [];
  return [...left, ...zeros, ...(right ?? [])].slice(0, 4).join(":");
}

// A Visit is one request's part of it. Who made it must say when it is done. Who cannot, because the platform has given the
// request up (see program.mjs), would take for good what it has: one that is too old is done.
export class Visit {
  bytes = 0;
  waits = false;
  body = new Bytes(0);
  heard = 0; // when the last part came
  end = Infinity; // of reading
  begun = Date.now();

  constructor(request) {
    for (const visit of visits) {
      if (this.begun - visit.begun < lifeMs) break;
      visit.done();
    }
    visits.add(this);
    this.request = request;
    this.head = `${request.method}\n${request.url}\n${formatHead(request.headers)}`;
    // Anybody can send a token that is none. What a stranger can make the broker wait for by it is a verification, and the
    // keys for that; the sign-in waits for other people's servers, so a token alone makes no call.
    this.isCall = isEndpoint.test(request.url) && request.headers.has("Authorization");
    this.network = networkOf(request.headers.get("CF-Connecting-IP"));
    this.share = shares.get(this.network) ?? { visits: 0, bytes: 0, waiting: 0, strangers: 0 };
    if (this.share.visits++ === 0) shares.set(this.network, this.share);
  }

  // read returns the body, cut off soon after the most that it may have, so that Go sees what is too large; null for none; or
  // an answer that refuses the request.
  async read() {
    if (this.head.length > maxHeadBytes)
      return refusal(this.request, 431, "the headers of this request are larger than 16 KiB; send less in them");
    const told = Number(this.request.headers.get("Content-Length"));
    if (!told && !this.request.body) return null;
    readers.add(this);
    this.count(ownBytes + this.head.length);
    if (told > 0 && told <= smallBytes) {
      const body = await within(idleMs, this.request.arrayBuffer());
      if (!body) return late(this.request);
      return readers.delete(this) ? new Uint8Array(body) : busy(this.request);
    }
    this.body = new Bytes(Math.min(told || maxCallBytes, maxCallBytes));
    if (!(await this.readParts())) return late(this.request);
    return readers.delete(this) ? this.body.whole() : busy(this.request);
  }

  // readParts reads on when this has given way, for its client to get to read the answer.
  async readParts() {
    this.end = Date.now() + bodyMs;
    const reader = this.request.body.getReader();
    try {
      for (let length = 0; length <= (this.isCall ? maxCallBytes : maxOtherBytes);) {
        const part = await within(Math.min(idleMs, this.end - Date.now()), reader.read());
        if (!part) return false;
        if (part.done) break;
        length += part.value.length;
        this.keep(part.value);
      }
      return true;
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  keep(part) {
    if (!readers.has(this)) return; // it has given way
    this.count(this.body.add(part));
  }

  // count counts what has arrived. When that is too much, an eighth is made free, so that it need not be done again at once.
  count(bytes) {
    this.heard = Date.now();
    this.take(bytes);
    if (this.network && this.share.bytes > maxHeldOfOne)
      relieve(
        [...readers].filter((visit) => visit.share === this.share),
        this.share.bytes - maxHeldOfOne * 0.875,
      );
    if (total.bytes > maxHeldBytes) relieve([...readers], total.bytes - maxHeldBytes * 0.875);
  }

  // giveWay forgets what has been read.
  giveWay() {
    readers.delete(this);
    this.take(-this.bytes);
    this.body = new Bytes(0);
    this.end = Math.min(this.end, Date.now() + idleMs);
  }

  // crowded reports whether there is no room for this request to wait for anything.
  crowded() {
    if (total.waiting >= maxWaiting || total.bytes > maxHeldBytes) return true;
    if (!this.isCall && total.strangers >= maxStrangers) return true;
    if (!this.network) return false;
    return this.share.waiting >= maxWaitingOfOne || (!this.isCall && this.share.strangers >= maxStrangersOfOne);
  }

  // wait counts a request that Go has not answered at once, until it is done.
  wait() {
    this.waits = true;
    if (this.bytes === 0) this.take(ownBytes + this.head.length);
    this.countWaiting(1);
  }

  // done gives back all that the request has taken.
  done() {
    if (!visits.delete(this)) return;
    readers.delete(this);
    this.take(-this.bytes);
    if (this.waits) this.countWaiting(-1);
    if (--this.share.visits === 0) shares.delete(this.network);
  }

  take(bytes) {
    this.bytes += bytes;
    this.share.bytes += bytes;
    total.bytes += bytes;
  }

  countWaiting(n) {
    for (const count of [total, this.share]) {
      count.waiting += n;
      if (!this.isCall) count.strangers += n;
    }
  }
}
