// HTTP messages as they pass between JavaScript and Go: a head of lines, and a body in bytes.

const bodyTimeMs = 10_000; // for a request's body to arrive

// readRequest reads a request's body, cut off at one byte more than maxBytes, so that Go sees what is too large. It is
// null for a request without one, and undefined when the body does not arrive, or not in time.
export async function readRequest(request, maxBytes) {
  if (!request.body) return null;
  return Promise.race([readAll(request, maxBytes).catch(() => undefined), scheduler.wait(bodyTimeMs)]);
}

// drain reads a request's body and forgets it, so that its client gets to read the answer.
export function drain(request) {
  return Promise.race([request.body.pipeTo(new WritableStream()).catch(() => {}), scheduler.wait(bodyTimeMs)]);
}

// readAll reads a body whole, or until it is longer than maxBytes; a length that is told makes it one cheaper read.
export async function readAll(message, maxBytes) {
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

// formatHead writes headers as lines, name and value in turn.
export function formatHead(headers) {
  let head = "";
  for (const [name, value] of headers) head += `${name}\n${value}\n`;
  return head;
}

// headersOf reads them back, as pairs: a name may come twice.
export function headersOf(lines) {
  const pairs = [];
  for (let i = 0; i + 1 < lines.length; i += 2) pairs.push([lines[i], lines[i + 1]]);
  return pairs;
}

// unavailable is an answer without Go. It holds nothing of the request, so any page may read it.
export function unavailable(error) {
  const headers = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After",
    "Cache-Control": "no-store",
    "Retry-After": "1",
  };
  return Response.json({ error, status: 503 }, { status: 503, headers });
}
