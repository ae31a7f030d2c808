// HTTP messages as they pass between JavaScript and Go: a head of lines, and a body in bytes.

// within returns what comes of work, or undefined when it fails or takes longer than ms.
export function within(ms, work) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const end = (value) => {
      clearTimeout(timer);
      resolve(value);
    };
    work.then(end, () => end(undefined));
  });
}

const notUTF8 = new Uint8Array([0xff]);

// readAll reads a response's body whole, or until it is longer than maxBytes. A length that is told makes it one read, and that
// of text, which is cheaper than one of bytes. A byte order mark is gone then, and what is no UTF-8 comes as U+FFFD, which no
// answer has reason to hold.
export async function readAll(response, maxBytes) {
  const told = response.headers.get("Content-Length");
  if (told && told <= maxBytes && !response.headers.has("Content-Encoding")) {
    const text = await response.text();
    return text.includes("\ufffd") ? notUTF8 : text;
  }
  const body = new Bytes(maxBytes);
  const reader = response.body?.getReader();
  for (let part; reader && body.length <= maxBytes && !(part = await reader.read()).done;) body.add(part.value);
  if (body.length > maxBytes) reader.cancel().catch(() => {});
  return body.whole();
}

// Bytes are what has come of a body so far. The parts themselves are not kept: workerd reads each into a buffer of 4 KiB,
// all of which a byte that comes alone would hold.
export class Bytes {
  buffer = new Uint8Array(0);
  length = 0;

  // Of most bytes nothing more is set aside than that, however it comes in parts.
  constructor(most) {
    this.most = most;
  }

  // add puts a part behind the others, and returns how much more memory all of them take.
  add(part) {
    const before = this.buffer.length;
    const length = this.length + part.length;
    if (length > before) {
      const larger = new Uint8Array(Math.max(length, Math.min(2 * before, this.most)));
      larger.set(this.whole());
      this.buffer = larger;
    }
    this.buffer.set(part, this.length);
    this.length = length;
    return this.buffer.length - before;
  }

  whole() {
    return this.buffer.subarray(0, this.length);
  }
}

// formatHead writes headers as lines, name and value in turn.
export function formatHead(headers) {
  let head = "";
  for (const [name, value] of headers) head += `${name}\n${value}\n`;
  return head;
}

// headersOf reads them back from lines[from] on, as an object; as pairs, which take longer, when a name comes twice.
export function headersOf(lines, from) {
  const headers = { __proto__: null };
  for (let i = from; i + 1 < lines.length; i += 2) {
    if (lines[i] in headers) return pairsOf(lines, from);
    headers[lines[i]] = lines[i + 1];
  }
  return headers;
}

function pairsOf(lines, from) {
  const pairs = [];
  for (let i = from; i + 1 < lines.length; i += 2) pairs.push([lines[i], lines[i + 1]]);
  return pairs;
}

// refusal is an answer without Go. Of the request it holds the name that Cloudflare gave it, so any page may read it.
export function refusal(request, status, error, retry = {}) {
  const headers = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After, X-Request-Id",
    "Cache-Control": "no-store",
    ...retry,
  };
  const ray = request.headers.get("CF-Ray");
  if (ray) headers["X-Request-Id"] = ray;
  return Response.json({ error, status }, { status, headers });
}

// unavailable is the answer to a request that may come again in a second.
export function unavailable(request, error) {
  return refusal(request, 503, error, { "Retry-After": "1" });
}

export const busy = (request) => unavailable(request, "the broker is busy; try again in a second");
