// The official TypeScript SDK, version 1.

import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { run } from "./session.mjs";

await run((options, authProvider, fetch) => {
  const client = new Client({ name: "test-app", version: "1" });
  const transport = new StreamableHTTPClientTransport(new URL(options.mcp), { authProvider, fetch });
  return { client, transport, finish: (callback) => transport.finishAuth(callback.get("code")), version: () => transport.protocolVersion };
}, UnauthorizedError);
