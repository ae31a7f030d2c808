// mcp-remote: an MCP client of the broker that serves a client of stdio, here
// that of the official TypeScript SDK. It registers by itself and wants to open
// a browser; the person takes the address that it prints instead. options.home is
// where it keeps its tokens, options.mode its version negotiation.

import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { signIn } from "./person.mjs";

const options = JSON.parse(process.argv[2]);
const { home } = options;
const transport = new StdioClientTransport({
  command: process.execPath,
  args: [
    fileURLToPath(import.meta.resolve("mcp-remote/dist/proxy.js")),
    options.mcp,
    "--transport",
    "http-only",
    "--protocol",
    options.mode,
  ],
  // Without a PATH no browser is found, and with a home of its own nobody's tokens are.
  env: { HOME: home, MCP_REMOTE_CONFIG_DIR: home, PATH: home, BROWSER: "" },
  stderr: "pipe",
});

const signIns = [];
const log = [];
createInterface({ input: transport.stderr }).on("line", async (line) => {
  log.push(line);
  if (!line.startsWith(new URL(options.mcp).origin) || !URL.canParse(line)) return;
  const url = new URL(line);
  const asked = url.searchParams;
  // mcp-remote asks for what the 401 names, or for the same less each time.
  if (options.ask && signIns.length === 0) asked.set("scope", options.ask);
  try {
    const end = asked.get("redirect_uri");
    const { query, boxes } = await signIn(url, end, options.tick);
    signIns.push({ clientID: asked.get("client_id"), asked: asked.get("scope"), boxes });
    await deliver(`${end}?${query}`);
  } catch (error) {
    console.error(error);
    await transport.close();
  }
});

// At a step-up mcp-remote listens only once it has given up on a browser: a
// person is not as fast as this one, and would reload.
async function deliver(callback) {
  for (let attempt = 0; attempt < 100; attempt++) {
    try {
      return await fetch(callback);
    } catch {
      await setTimeout(100);
    }
  }
  throw new Error("mcp-remote does not listen at its redirect URI");
}

const client = new Client({ name: "test-app", version: "1" });
try {
  await client.connect(transport);
  const { tools } = await client.listTools();
  const results = [];
  for (const call of options.calls) results.push(await client.callTool(call));
  console.log(JSON.stringify({ tools: tools.map((tool) => tool.name), results, signIns }));
} catch (error) {
  console.error(log.join("\n"));
  throw error;
} finally {
  await client.close();
}
