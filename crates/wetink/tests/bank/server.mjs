// A small bank: accounts, and payments that move real cents between them. It keeps its books in integers, knows an idempotency key, and
// writes down every payment it carries out, with the bytes that asked for it.
//
//   TOKEN=... node server.mjs
//
// Prints a line of JSON with its port, then one for each payment carried out. A payment whose reference is "hang up" is carried out and not
// answered.
import { createServer } from "node:http";

const token = process.env.TOKEN;
const accounts = new Map([
  ["ACME", { name: "Acme GmbH", iban: "DE02120300000000202051", balance: 1_000_000_00n }],
]);
const seen = new Map();

const cents = (text) => {
  const found = /^(0|[1-9][0-9]{0,11})\.([0-9]{2})$/.exec(text);
  return found && BigInt(found[1]) * 100n + BigInt(found[2]);
};
const shown = (amount) => `${amount / 100n}.${String(amount % 100n).padStart(2, "0")}`;

const server = createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const answer = (status, body) => {
      const text = JSON.stringify(body);
      response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
      response.end(text);
    };
    if (request.headers.authorization !== `Bearer ${token}`) return answer(401, { error: "who are you?" });
    const account = accounts.get("ACME");
    if (request.method === "GET" && request.url === "/v1/accounts/ACME") {
      return answer(200, { name: account.name, iban: account.iban, balance: { amount: shown(account.balance), currency: "EUR" } });
    }
    if (request.method !== "POST" || request.url !== "/v1/payments") return answer(404, { error: "no such thing" });
    const text = Buffer.concat(parts).toString();
    let body;
    try {
      body = JSON.parse(text);
    } catch {
      return answer(400, { error: "no JSON" });
    }
    const key = request.headers["idempotency-key"];
    if (key && seen.has(key)) return answer(200, seen.get(key));
    const amount = cents(body.amount?.value ?? "");
    if (!amount || amount > account.balance || body.amount.currency !== "EUR") return answer(422, { error: "no such amount" });
    account.balance -= amount;
    const done = { id: `pay_${seen.size + 1}`, status: "done" };
    seen.set(key ?? Symbol("none"), done);
    console.log(JSON.stringify({ text, key, value: shown(amount), to: body.creditor, headers: request.headers }));
    if (body.reference === "hang up") return request.socket.destroy();
    answer(201, done);
  });
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
