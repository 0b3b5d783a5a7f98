// A model that is a script: it asks for the tools it was told to, and ends when it has what it wants. It speaks the
// streaming forms of Anthropic's Messages and of OpenAI's Responses, and writes down every tool result it is given.
import fs from "node:fs";
import http from "node:http";

const sql = process.env.WETINK_SQL;
const seen = process.env.WETINK_SEEN;
const propose = { target: "shop", body: sql, purpose: "refund", wait_s: 0 };

// What to do next, from the results that came back so far.
const next = (results) => {
  const last = results.at(-1) ?? "";
  const id = /p-[0-9a-hjkmnp-tv-z]{12}/.exec(results.join(" "))?.[0];
  if (!id) return results.length === 0 ? ["propose", propose] : null;
  if (/"status":\s*"(pending|approved|running|held)"/.test(last.replaceAll('\\"', '"'))) return ["get_proposal", { proposal_id: id, wait_s: 20 }];
  return null;
};

const texts = (content) => (typeof content === "string" ? content : JSON.stringify(content));

const anthropic = (request, write) => {
  const blocks = (request.messages ?? []).flatMap((m) => (Array.isArray(m.content) ? m.content : []));
  const results = blocks.filter((b) => b.type === "tool_result").map((b) => texts(b.content));
  fs.writeFileSync(seen, results.join("\n"));
  // Requests without tools are the host's own small questions. A host may keep back the list of a server's tools.
  const tools = (request.tools ?? []).map((t) => t.name);
  const step = tools.length ? next(results) : null;
  const event = (type, data) => write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  event("message_start", { message: { id: `msg_${results.length}`, type: "message", role: "assistant", model: request.model, content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } });
  if (step) {
    const name = `mcp__wetink__${step[0]}`;
    event("content_block_start", { index: 0, content_block: { type: "tool_use", id: `toolu_${results.length}`, name, input: {} } });
    event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json: JSON.stringify(step[1]) } });
  } else {
    event("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    event("content_block_delta", { index: 0, delta: { type: "text_delta", text: `done ${results.at(-1) ?? ""}` } });
  }
  event("content_block_stop", { index: 0 });
  event("message_delta", { delta: { stop_reason: step ? "tool_use" : "end_turn", stop_sequence: null }, usage: { output_tokens: 1 } });
  event("message_stop", {});
};

const openai = (request, write) => {
  const results = (request.input ?? []).filter((i) => i.type === "function_call_output").map((i) => texts(i.output));
  fs.writeFileSync(seen, results.join("\n"));
  const step = next(results);
  const event = (type, data) => write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  const id = `resp_${results.length}`;
  event("response.created", { response: { id } });
  const flat = (request.tools ?? []).find((t) => t.type === "function" && step && t.name.endsWith(step[0]) && t.name.includes("wetink"));
  const call = step && { type: "function_call", id: `fc_${results.length}`, call_id: `call_${results.length}`, arguments: JSON.stringify(step[1]) };
  const item = step
    ? flat ? { ...call, name: flat.name } : { ...call, name: step[0], namespace: "mcp__wetink" }
    : { type: "message", role: "assistant", id: `m_${results.length}`, content: [{ type: "output_text", text: `done ${results.at(-1) ?? ""}` }] };
  event("response.output_item.done", { output_index: 0, item });
  event("response.completed", { response: { id, usage: { input_tokens: 1, input_tokens_details: null, output_tokens: 1, output_tokens_details: null, total_tokens: 2 } } });
};

const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (bytes) => { body += bytes; });
  request.on("end", () => {
    const asked = (() => { try { return JSON.parse(body); } catch { return {}; } })();
    const speak = request.url.includes("/responses") ? openai : request.url.includes("/messages") && asked.stream ? anthropic : null;
    if (process.env.WETINK_TRACE) fs.appendFileSync(process.env.WETINK_TRACE, `${request.method} ${request.url}\n${body}\n`);
    if (!speak) {
      response.writeHead(request.url.includes("count_tokens") ? 200 : 404, { "content-type": "application/json" });
      return response.end(JSON.stringify({ input_tokens: 1 }));
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    speak(asked, (text) => response.write(text));
    response.end();
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
