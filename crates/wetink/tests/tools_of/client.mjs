// The official client of MCP: lists the tools, then calls those of standard input one after the other. Prints a line of JSON for each.
//
// Standard input: [{"name", "arguments"}, ...]
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { text } from "node:stream/consumers";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const client = new Client({ name: "wetink-test", version: "1" });
const headers = { Authorization: `Bearer ${process.env.WETINK_TOKEN}` };
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.WETINK_URL), { requestInit: { headers } }));
console.log(JSON.stringify((await client.listTools()).tools));
for (const call of JSON.parse(await text(process.stdin))) {
  const answer = await client.callTool(call).catch((error) => ({ failed: String(error) }));
  console.log(JSON.stringify(answer));
}
await client.close();
