// A session of either TypeScript SDK, from sign-in to the last tool call.

import { Provider } from './provider.mjs';

/**
 * Runs what the command line asks for: a JSON object of the MCP URL, calls
 * [{name, arguments}], and what Provider takes. open(options, provider, fetch)
 * returns a new {client, transport, finish(callback), version()}, and
 * Unauthorized is what the SDK throws once it has sent the person to sign in.
 * Prints one line of JSON: what the server answered.
 */
export async function run(open, Unauthorized) {
  const options = JSON.parse(process.argv[2]);
  const provider = new Provider(options);
  if (options.document) await provider.publish();
  const challenges = [];
  const watched = async (...request) => {
    const response = await fetch(...request);
    const challenge = response.headers.get('www-authenticate');
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
  for (const call of options.calls) results.push(await signedIn(() => session.client.callTool(call)));
  const version = session.version();
  await session.client.close();
  provider.close();
  console.log(JSON.stringify({ version, tools: tools.map((tool) => tool.name), results, signIns: provider.signIns, challenges }));
}
