// The person at the browser: signs in where an app sends them, and ticks what
// they like on the broker's consent page.

const maxPages = 10;

/**
 * Follows address as a browser with cookies does, until it is sent to end, and
 * returns the query it was sent there with. Of the boxes on the consent page it
 * leaves ticked those in tick; it returns the boxes too.
 */
export async function signIn(address, end, tick) {
  let boxes = [];
  const query = await walk(
    address,
    (url) => (url?.href.startsWith(end + "?") ? url.searchParams : undefined),
    (text) => {
      boxes = [...text.matchAll(/type="checkbox" name="scope" value="([\w:]+)"/g)].map((m) => m[1]);
      return boxes.filter((box) => tick.includes(box)).map((box) => ["scope", box]);
    },
  );
  return { query, boxes };
}

/** Opens the link of an approval, touches the key, and returns the code. */
export function approve(link) {
  return walk(
    link,
    (_, text) => /<pre class="code">([A-Z2-7-]+)<\/pre>/.exec(text)?.[1],
    () => [],
  );
}

/**
 * Goes from page to page, agreeing on each form with what fill(page) adds to it,
 * until arrived(where a redirect leads, page) returns something.
 */
async function walk(address, arrived, fill) {
  const cookies = new Map(); // by host and name: like a browser's, not by port
  let next = { url: new URL(address) };
  for (let page = 0; page < maxPages; page++) {
    const response = await visit(next, cookies);
    const text = await response.text();
    const location = response.headers.get("location");
    const target = location ? new URL(location, next.url) : undefined;
    const found = arrived(target, text);
    if (found) return found;
    if (target) {
      next = { url: target };
      continue;
    }
    const sealed = /<input type="hidden" name="request" value="([^"]+)">/.exec(text);
    if (!response.ok || !sealed) throw new Error(`the way ended with status ${response.status} at ${next.url.pathname}`);
    const form = new URLSearchParams({ request: sealed[1], decision: "allow" });
    fill(text).forEach(([name, value]) => form.append(name, value));
    next = { url: new URL(next.url.pathname, next.url), form };
  }
  throw new Error("the way went round in circles");
}

async function visit({ url, form }, cookies) {
  const own = [...cookies].filter(([key]) => key.startsWith(url.hostname + " "));
  const headers = { cookie: own.map(([key, value]) => key.split(" ")[1] + "=" + value).join("; ") };
  if (form) headers.origin = url.origin;
  const response = await fetch(url, { method: form ? "POST" : "GET", headers, body: form, redirect: "manual" });
  for (const line of response.headers.getSetCookie()) {
    const [pair, ...attributes] = line.split(/;\s*/);
    const [name, value] = pair.split(/=(.*)/);
    const key = url.hostname + " " + name;
    if (attributes.some((a) => /^max-age=0$/i.test(a))) cookies.delete(key);
    else cookies.set(key, value);
  }
  return response;
}
