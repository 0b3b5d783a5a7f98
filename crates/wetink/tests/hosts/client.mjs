// Both lines of the TypeScript SDK: list the tools, propose, wait for the person, print what was released.
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.WETINK_HOSTS, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const first = process.argv[2] === "1";
const { Client, StreamableHTTPClientTransport } = first
  ? { ...(await load("@modelcontextprotocol/sdk/client/index.js")), ...(await load("@modelcontextprotocol/sdk/client/streamableHttp.js")) }
  : await load("@modelcontextprotocol/client");

const client = new Client({ name: "wetink-test", version: "1" });
const headers = { Authorization: `Bearer ${process.env.WETINK_TOKEN}` };
await client.connect(new StreamableHTTPClientTransport(new URL(process.env.WETINK_URL), { requestInit: { headers } }));
const tools = (await client.listTools()).tools.map((tool) => tool.name).sort();
let result = await client.callTool({ name: "propose", arguments: { target: "shop", body: process.env.WETINK_SQL, purpose: "refund", wait_s: 0 } });
while (["pending", "approved", "running", "held"].includes(result.structuredContent.status)) {
  const { proposal_id } = result.structuredContent;
  result = await client.callTool({ name: "get_proposal", arguments: { proposal_id, wait_s: 20 } });
}
console.log(JSON.stringify({ tools, answer: result.structuredContent }));
await client.close();
