// The person at the browser: signs in where an app sends them, and ticks what
// they like on the broker's consent page.

const maxPages = 10;

/**
 * Follows address as a browser with cookies does, until it is sent to end, and
 * returns the query it was sent there with. Of the boxes on the consent page it
 * leaves ticked those in tick; it returns the boxes too.
 */
export async function signIn(address, end, tick) {
  const cookies = new Map(); // by host and name: like a browser's, not by port
  let boxes = [];
  let next = { url: new URL(address) };
  for (let page = 0; page < maxPages; page++) {
    const response = await visit(next, cookies);
    const text = await response.text();
    const location = response.headers.get('location');
    if (location) {
      next = { url: new URL(location, next.url) };
      if (next.url.href.startsWith(end + '?')) return { query: next.url.searchParams, boxes };
      continue;
    }
    const sealed = /<input type="hidden" name="request" value="([^"]+)">/.exec(text);
    if (!response.ok || !sealed) throw new Error(`the sign-in ended with status ${response.status} at ${next.url.pathname}`);
    boxes = [...text.matchAll(/type="checkbox" name="scope" value="([\w:]+)"/g)].map((m) => m[1]);
    const form = new URLSearchParams({ request: sealed[1], decision: 'allow' });
    boxes.filter((box) => tick.includes(box)).forEach((box) => form.append('scope', box));
    next = { url: new URL(next.url.pathname, next.url), form };
  }
  throw new Error('the sign-in went round in circles');
}

async function visit({ url, form }, cookies) {
  const own = [...cookies].filter(([key]) => key.startsWith(url.hostname + ' '));
  const headers = { cookie: own.map(([key, value]) => key.split(' ')[1] + '=' + value).join('; ') };
  if (form) headers.origin = url.origin;
  const response = await fetch(url, { method: form ? 'POST' : 'GET', headers, body: form, redirect: 'manual' });
  for (const line of response.headers.getSetCookie()) {
    const [pair, ...attributes] = line.split(/;\s*/);
    const [name, value] = pair.split(/=(.*)/);
    const key = url.hostname + ' ' + name;
    if (attributes.some((a) => /^max-age=0$/i.test(a))) cookies.delete(key);
    else cookies.set(key, value);
  }
  return response;
}
