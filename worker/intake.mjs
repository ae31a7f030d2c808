// What a request may take of what all requests share, before it is Go's. Only what has arrived is counted: a connection
// that announces much and sends nothing takes nothing from others.
import { busy, joined, refusal, within } from "./message.mjs";

export const maxHeadBytes = 16 * 1024;
const maxSmallBytes = 4 * 1024; // a body up to this comes in one piece and is not counted: it is there, or its request waits for nothing else
const maxHeldBytes = 12 * 2 ** 20; // of all larger bodies, while they are read or answered
const maxHeldOfOne = maxHeldBytes / 4; // from one address
const maxReaders = 256; // larger bodies that are being read
const maxWaiting = 512; // requests that wait for Vouch, STS or GitHub
const maxStrangers = 128; // of these, without a token: sign-ins, clients' documents
const maxWaitingOfOne = 256; // of these, from one address: a hosted client calls for all its people from a few
const idleMs = 5_000; // until the next part of a body
const bodyMs = 20_000; // until all of it is there
const late = "the request did not arrive in time; send it again";

const total = { bytes: 0, waiting: 0, strangers: 0 };
const shares = new Map(); // by network: what its requests take of the total
const readers = new Set(); // Visits whose larger body is being read; the one that has been idle for longest stands first

export const held = () => total.bytes; // for the test build

// networkOf is what one customer has of addresses: one of IPv4, or a /64 of IPv6.
function networkOf(address) {
  if (!address?.includes(":")) return address;
  const [left, right] = address.split("::").map((part) => (part ? part.split(":") : []));
  const zeros = right ? Array(Math.max(0, 8 - left.length - right.length)).fill("0") : [];
  return [...left, ...zeros, ...(right ?? [])].slice(0, 4).join(":");
}

// A Visit is one request's part of it.
export class Visit {
  bytes = 0;
  parts = [];

  constructor(request) {
    this.request = request;
    this.network = networkOf(request.headers.get("CF-Connecting-IP")); // null without Cloudflare in front: then no two are told apart
    this.hasToken = request.headers.has("Authorization"); // anybody can send one. It parts two crowds, and proves nothing
  }

  // share is what the requests of this network take.
  get share() {
    return shares.get(this.network) ?? { bytes: 0, waiting: 0 };
  }

  // crowded reports whether this request may not wait for anything.
  crowded() {
    return total.waiting >= maxWaiting || (!this.hasToken && total.strangers >= maxStrangers) || (this.network && this.share.waiting >= maxWaitingOfOne);
  }

  // read returns the body, cut off at one byte more than it may have, so that Go sees what is too large, or an answer that refuses it.
  async read(ctx) {
    const told = Number(this.request.headers.get("Content-Length"));
    if (!(told > 0 && told <= maxSmallBytes)) {
      const body = this.readParts(this.hasToken ? 256 * 1024 : 16 * 1024);
      ctx.waitUntil(body); // although the client has gone: what it held is given back
      return body;
    }
    const body = await within(idleMs, this.request.arrayBuffer());
    return body ? new Uint8Array(body) : refusal(408, late);
  }

  async readParts(maxBytes) {
    for (const idlest of readers) if (readers.size >= maxReaders) idlest.giveWay();
    readers.add(this);
    const reader = this.request.body.getReader();
    const end = Date.now() + bodyMs;
    for (let length = 0; length <= maxBytes; ) {
      const part = await within(Math.min(idleMs, end - Date.now()), reader.read());
      if (!part) {
        this.giveWay();
        return refusal(408, late);
      }
      if (part.done) break;
      length += part.value.length;
      if (readers.has(this)) this.keep(part.value); // else it is read on to its end, for its client to read the answer
    }
    reader.cancel().catch(() => {});
    return readers.delete(this) ? joined(this.parts, this.bytes) : busy();
  }

  // keep counts a part. When there is too much, those who have been idle for longest give way, this one last.
  keep(part) {
    this.parts.push(part);
    this.take(part.length, 0);
    readers.delete(this);
    readers.add(this);
    if (this.network && this.share.bytes > maxHeldOfOne) this.giveWay();
    for (const idlest of readers) if (total.bytes > maxHeldBytes) idlest.giveWay();
  }

  // giveWay forgets what has been read of a body.
  giveWay() {
    readers.delete(this);
    this.parts = [];
    this.take(-this.bytes, 0);
  }

  // wait counts a request that Go has not answered at once, until done.
  wait() {
    this.take(0, 1);
  }

  // done gives back all that a request has taken.
  done(waits) {
    this.take(-this.bytes, waits ? -1 : 0);
  }

  take(bytes, waiting) {
    if (bytes === 0 && waiting === 0) return;
    this.bytes += bytes;
    total.bytes += bytes;
    total.waiting += waiting;
    if (!this.hasToken) total.strangers += waiting;
    const share = { bytes: this.share.bytes + bytes, waiting: this.share.waiting + waiting };
    if (share.bytes + share.waiting > 0) shares.set(this.network, share);
    else shares.delete(this.network);
  }
}
