// A session of either TypeScript SDK, from sign-in to the last tool call.

import { approve } from "./person.mjs";
import { Provider } from "./provider.mjs";

/**
 * Runs what the command line asks for: a JSON object of the MCP URL, calls
 * [{name, arguments}], and what Provider takes. open(options, provider, fetch)
 * returns a new {client, transport, finish(callback), version(), asked}, and
 * Unauthorized is what the SDK throws once it has sent the person to sign in.
 * With touch the person approves what is refused with a link, and the call is made
 * again.
 * Prints one line of JSON: what the server answered.
 */
export async function run(open, Unauthorized) {
  const options = JSON.parse(process.argv[2]);
  const provider = new Provider(options);
  if (options.document) await provider.publish();
  const challenges = [];
  const watched = async (...request) => {
    const response = await fetch(...request);
    const challenge = response.headers.get("www-authenticate");
    if (challenge) challenges.push(`${response.status} ${challenge}`);
    return response;
  };
  let session = open(options, provider, watched);
  // An app's loop: once the person has signed in, the same again.
  const signedIn = async (act, again = act) => {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof Unauthorized)) throw error;
      await session.finish(provider.callback);
      return again();
    }
  };
  const connect = () => session.client.connect(session.transport);
  await signedIn(connect, () => {
    session = open(options, provider, watched); // a transport starts once
    return connect();
  });
  const { tools } = await session.client.listTools();
  const results = [];
  for (const call of options.calls) {
    const result = await signedIn(() => session.client.callTool(call));
    results.push(result);
    const link = options.touch && result.isError && JSON.parse(result.content[0].text).approve_at;
    if (!link) continue;
    const again = { ...call, arguments: { ...call.arguments, approval: await approve(link) } };
    results.push(await signedIn(() => session.client.callTool(again)));
  }
  const version = session.version();
  await session.client.close();
  provider.close();
  console.log(
    JSON.stringify({
      version,
      tools: tools.map((tool) => tool.name),
      results,
      signIns: provider.signIns,
      challenges,
      asked: session.asked,
    }),
  );
}
