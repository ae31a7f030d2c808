// The official TypeScript SDK, version 2. options.mode is its version negotiation,
// and options.answer what its person answers when they are asked, if they can be.

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { run } from "./session.mjs";

const asked = [];
await run((options, authProvider, fetch) => {
  const capabilities = options.answer ? { elicitation: { form: {} } } : {};
  const client = new Client({ name: "test-app", version: "1" }, { capabilities, versionNegotiation: { mode: options.mode } });
  if (options.answer) {
    client.setRequestHandler("elicitation/create", ({ params }) => {
      asked.push(params.message);
      return options.answer;
    });
  }
  const transport = new StreamableHTTPClientTransport(new URL(options.mcp), { authProvider, fetch });
  return {
    client,
    transport,
    finish: (callback) => transport.finishAuth(callback),
    version: () => client.getNegotiatedProtocolVersion(),
    asked,
  };
}, UnauthorizedError);
