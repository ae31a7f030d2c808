// The official TypeScript SDK, version 2. options.mode is its version negotiation.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { run } from './session.mjs';

await run((options, authProvider, fetch) => {
  const client = new Client({ name: 'test-app', version: '1' }, { versionNegotiation: { mode: options.mode } });
  const transport = new StreamableHTTPClientTransport(new URL(options.mcp), { authProvider, fetch });
  return { client, transport, finish: (callback) => transport.finishAuth(callback), version: () => client.getNegotiatedProtocolVersion() };
}, UnauthorizedError);
