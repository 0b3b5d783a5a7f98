// A server that speaks OpenBao's HTTP API as far as Wetink does, over a real PostgreSQL: tokens with parents and accessors, AppRole,
// a key-value store, logins at the database with leases that end, are renewed and taken back. Prints its port, then each request.
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";

const { PSQL, PG_SOCKET, ROOT_TOKEN, ROLE_ID, SECRET_ID, LEASE_S, DENY } = process.env;
const denied = new Set((DENY ?? "").split(",").filter(Boolean));
const word = () => randomBytes(12).toString("hex");
const sql = (text) => execFileSync(PSQL, ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "boss", "-h", PG_SOCKET, "-d", "postgres", "-c", text]);
const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const tokens = new Map([[ROOT_TOKEN, { accessor: word(), leases: new Set(), ends: Infinity }]]);
const leases = new Map();
const end = (id) => {
  const lease = leases.get(id);
  if (!lease) return;
  leases.delete(id);
  clearTimeout(lease.timer);
  tokens.get(lease.token)?.leases.delete(id);
  sql(`REVOKE ALL ON ALL TABLES IN SCHEMA public FROM "${lease.user}"; REVOKE ALL ON SCHEMA public FROM "${lease.user}"; DROP ROLE IF EXISTS "${lease.user}"`);
};
const arm = (id) => {
  const lease = leases.get(id);
  clearTimeout(lease.timer);
  lease.timer = setTimeout(() => end(id), LEASE_S * 1000);
};
const revoke = (value) => {
  for (const id of [...tokens.get(value).leases]) end(id);
  for (const [child, token] of [...tokens]) if (token.parent === value) revoke(child);
  tokens.delete(value);
};
const issue = (parent, ttl) => {
  const [value, accessor] = [`s.${word()}`, word()];
  tokens.set(value, { accessor, parent, leases: new Set(), ends: Date.now() + ttl * 1000 });
  return { auth: { client_token: value, accessor, lease_duration: ttl, renewable: false, token_policies: ["default"] } };
};
const refuse = (status, why) => Object.assign(new Error(why), { status });

const answer = (method, path, token, body) => {
  if (method === "POST" && path === "/v1/auth/approle/login") {
    if (body.role_id !== ROLE_ID || body.secret_id !== SECRET_ID) throw refuse(400, "invalid role or secret ID");
    return issue(undefined, 1200);
  }
  const held = tokens.get(token);
  if (!held || held.ends < Date.now()) throw refuse(403, "permission denied");
  if ([...denied].some((part) => path.includes(part))) throw refuse(403, "1 error occurred: permission denied");
  if (method === "POST" && path === "/v1/auth/token/create") return issue(token, parseInt(body.ttl));
  if (method === "POST" && path === "/v1/auth/token/revoke-self") return void revoke(token);
  if (method === "POST" && path === "/v1/auth/token/revoke-accessor") {
    const found = [...tokens].find(([, one]) => one.accessor === body.accessor);
    if (!found) throw refuse(400, "1 error occurred: invalid accessor");
    return void revoke(found[0]);
  }
  if (method === "POST" && path === "/v1/sys/leases/revoke") {
    if (!leases.has(body.lease_id)) throw refuse(400, "invalid lease");
    return void end(body.lease_id);
  }
  if (method === "POST" && path === "/v1/sys/leases/renew") {
    if (!leases.has(body.lease_id)) throw refuse(400, "lease not found");
    arm(body.lease_id);
    return { lease_id: body.lease_id, renewable: true, lease_duration: Number(LEASE_S) };
  }
  if (method === "GET" && path === "/v1/secret/data/shop/token") {
    return { data: { data: { value: "kv-4eC39HqLyjWDarj", number: 7 }, metadata: { version: 1 } } };
  }
  if (method === "GET" && path === "/v1/database/creds/shop") {
    const [user, password, id] = [`v-approle-shop-${word()}`, word(), `database/creds/shop/${word()}`];
    sql(`CREATE ROLE "${user}" LOGIN PASSWORD '${password}'; GRANT USAGE ON SCHEMA public TO "${user}"; GRANT SELECT, UPDATE ON goods TO "${user}"`);
    leases.set(id, { user, token });
    held.leases.add(id);
    arm(id);
    return { lease_id: id, renewable: true, lease_duration: Number(LEASE_S), data: { username: user, password } };
  }
  throw refuse(404, "no handler for route");
};

createServer((request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    say({ method: request.method, path: request.url });
    const text = Buffer.concat(parts).toString();
    try {
      const found = answer(request.method, request.url, request.headers["x-vault-token"], text ? JSON.parse(text) : {});
      response.writeHead(found ? 200 : 204, { "content-type": "application/json" }).end(found ? JSON.stringify(found) : "");
    } catch (error) {
      response.writeHead(error.status ?? 500, { "content-type": "application/json" }).end(JSON.stringify({ errors: [error.message] }));
    }
  });
}).listen(0, "127.0.0.1", function () { say({ port: this.address().port }); });
