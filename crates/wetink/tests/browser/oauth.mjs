// The official TypeScript client gets a pass by itself: it finds where to ask, a person allows it in the browser, and it proposes.
// What is not as it should be gets nothing.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(`@modelcontextprotocol/sdk/${name}`)).href);

// What a host keeps: nothing of it is known to the gateway.
class Provider {
  constructor(redirect, name) { this.redirectUrl = redirect; this.name = name; }
  get clientMetadata() {
    return { client_name: this.name, redirect_uris: [this.redirectUrl], grant_types: ["authorization_code", "refresh_token"], response_types: ["code"], token_endpoint_auth_method: "none", scope: "propose" };
  }
  clientInformation() { return this.information; }
  saveClientInformation(information) { this.information = information; }
  tokens() { return this.kept; }
  saveTokens(tokens) { this.kept = tokens; }
  state() { return "a state & more"; }
  redirectToAuthorization(url) { this.asked = url; }
  saveCodeVerifier(verifier) { this.verifier = verifier; }
  codeVerifier() { return this.verifier; }
}

export const play = async (desk, step) => {
  const { page } = desk;
  const { Client } = await load("client/index.js");
  const { StreamableHTTPClientTransport } = await load("client/streamableHttp.js");
  const { UnauthorizedError } = await load("client/auth.js");

  let came;
  const listener = createServer((request, response) => {
    const url = new URL(request.url, "http://127.0.0.1");
    // A browser asks for a picture of the place as well.
    if (url.pathname === "/callback") came = url;
    response.end("back at the program");
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const redirect = `http://127.0.0.1:${listener.address().port}/callback`;
  const provider = new Provider(redirect, "Robin <b>Editor</b>");
  const endpoint = new URL(`${desk.agents}/mcp`);
  const connect = async () => {
    const client = new Client({ name: "robin", version: "1" });
    const transport = new StreamableHTTPClientTransport(endpoint, { authProvider: provider });
    try {
      await client.connect(transport);
      return { client };
    } catch (error) {
      assert.ok(error instanceof UnauthorizedError, error);
      return { transport };
    }
  };
  const token = (fields) => fetch(`${desk.agents}/oauth/token`, { method: "POST", body: new URLSearchParams(fields) });
  const refused = async (why, fields) => {
    const answer = await token(fields);
    assert.equal(answer.status, 400, why);
    return (await answer.json()).error;
  };

  let first;
  await step("the host finds where to ask", async () => {
    first = (await connect()).transport;
    assert.equal(provider.asked.origin, new URL(desk.people).origin);
    assert.equal(provider.asked.searchParams.get("resource"), endpoint.href);
    assert.equal(provider.asked.searchParams.get("code_challenge_method"), "S256");
  });
  await step("the page says what it can and cannot", async () => {
    await desk.visit(provider.asked.href);
    const text = await desk.text();
    for (const said of ["Robin <b>Editor</b>", "can never approve", "never holds a credential", redirect]) assert.ok(text.includes(said), said);
    assert.match(text, /Refund the batch: robin on shop for Ada/);
    await desk.inspect("authorize");
  });
  await step("a no goes back as a no", async () => {
    await Promise.all([page.waitForURL((url) => url.pathname === "/callback"), desk.press("button[value=deny]")]);
    assert.equal(came.searchParams.get("error"), "access_denied");
    assert.equal(came.searchParams.get("state"), "a state & more");
  });
  await step("a person allows it, and it proposes", async () => {
    await desk.visit(provider.asked.href);
    await Promise.all([page.waitForURL((url) => url.pathname === "/callback"), desk.press("button[value=allow]")]);
    assert.equal(came.searchParams.get("iss"), desk.agents);
    await first.finishAuth(came.searchParams.get("code"));
    const { client } = await connect();
    assert.equal((await client.listTools()).tools.length, 7);
    const asked = await client.callTool({ name: "propose", arguments: { target: "shop", body: "UPDATE orders SET status = 'oauth' WHERE id = 9", purpose: "for the test", wait_s: 0 } });
    assert.equal(asked.structuredContent.status, "pending");
    await desk.withdraw(asked.structuredContent.proposal_id);
    await client.close();
  });
  await step("the pass is renewed in its session, and the old one ends", async () => {
    const [before, refresh] = [provider.kept.access_token, provider.kept.refresh_token];
    const fields = { grant_type: "refresh_token", refresh_token: refresh, client_id: provider.information.client_id, resource: endpoint.href };
    const other = await refused("another client", { ...fields, client_id: "wtc.e30" });
    assert.equal(other, "invalid_grant");
    // That try used it up; so the person is asked once more.
    assert.equal(await refused("used", fields), "invalid_grant");
    provider.kept = undefined;
    const { transport } = await connect();
    await desk.visit(provider.asked.href);
    await Promise.all([page.waitForURL((url) => url.pathname === "/callback"), desk.press("button[value=allow]")]);
    await transport.finishAuth(came.searchParams.get("code"));
    const old = provider.kept.access_token;
    assert.notEqual(old, before);
    const renewed = await (await token({ ...fields, refresh_token: provider.kept.refresh_token })).json();
    assert.ok(renewed.access_token && renewed.refresh_token !== provider.kept.refresh_token && renewed.expires_in <= 3600);
    const ask = (pass) => fetch(`${desk.agents}/v1/targets`, { headers: { authorization: `Bearer ${pass}` } });
    assert.equal((await ask(old)).status, 401);
    assert.equal((await ask(renewed.access_token)).status, 200);
    // Whoever copied the first refresh token ends all that came of it.
    assert.equal(await refused("a copy", { ...fields, refresh_token: provider.kept.refresh_token }), "invalid_grant");
    assert.equal((await ask(renewed.access_token)).status, 401);
    assert.equal(await refused("ended", { ...fields, refresh_token: renewed.refresh_token }), "invalid_grant");
  });

  const { client_id } = provider.information;
  const verifier = randomBytes(32).toString("base64url");
  const challenge = createHash("sha256").update(verifier).digest("base64url");
  const query = { response_type: "code", client_id, redirect_uri: redirect, code_challenge: challenge, code_challenge_method: "S256", state: "s", scope: "propose", resource: endpoint.href };
  const link = (changed = {}) => `/authorize?${new URLSearchParams({ ...query, ...changed })}`;
  const code = async () => {
    await desk.go(link());
    await Promise.all([page.waitForURL((url) => url.pathname === "/callback"), desk.press("button[value=allow]")]);
    return came.searchParams.get("code");
  };
  const exchange = { grant_type: "authorization_code", client_id, redirect_uri: redirect, code_verifier: verifier };
  await step("a code is for one client, one place, one verifier, once", async () => {
    for (const [why, changed] of Object.entries({
      "another verifier": { code_verifier: randomBytes(32).toString("base64url") },
      "no verifier": { code_verifier: "" },
      "another place": { redirect_uri: redirect.replace("callback", "other") },
      "another client": { client_id: "wtc.e30" },
      "another resource": { resource: "https://elsewhere.example/mcp" },
    })) {
      const error = await refused(why, { ...exchange, code: await code(), ...changed });
      assert.ok(["invalid_grant", "invalid_request", "invalid_target"].includes(error), `${why}: ${error}`);
    }
    const good = await code();
    const given = await (await token({ ...exchange, code: good })).json();
    assert.equal(given.token_type, "Bearer");
    assert.equal(await refused("twice", { ...exchange, code: good }), "invalid_grant");
    const after = await fetch(`${desk.agents}/v1/targets`, { headers: { authorization: `Bearer ${given.access_token}` } });
    assert.equal(after.status, 401, "a code that was used twice takes its pass along");
  });
  await step("a client that proves a key gets a pass that is bound to it", async () => {
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const { kty, crv, x } = publicKey.export({ format: "jwk" });
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const proof = (nonce) => {
      const claims = { jti: randomBytes(12).toString("hex"), htm: "POST", htu: `${desk.agents}/oauth/token`, iat: Math.floor(Date.now() / 1000), nonce };
      const signing = `${part({ typ: "dpop+jwt", alg: "EdDSA", jwk: { kty, crv, x } })}.${part(claims)}`;
      return `${signing}.${sign(null, Buffer.from(signing), privateKey).toString("base64url")}`;
    };
    const body = new URLSearchParams({ ...exchange, code: await code() });
    const ask = (dpop) => fetch(`${desk.agents}/oauth/token`, { method: "POST", headers: { dpop }, body });
    assert.equal((await (await ask("x.y.z")).json()).error, "invalid_dpop_proof");
    const first = await ask(proof());
    assert.equal((await first.json()).error, "use_dpop_nonce");
    const given = await (await ask(proof(first.headers.get("dpop-nonce")))).json();
    assert.equal(given.token_type, "DPoP");
    const stolen = await fetch(`${desk.agents}/v1/targets`, { headers: { authorization: `Bearer ${given.access_token}` } });
    assert.equal(stolen.status, 401, "without the key it is nothing");
    assert.equal(await refused("renewed without the key", { grant_type: "refresh_token", refresh_token: given.refresh_token, client_id }), "invalid_grant");
  });
  await step("requests that are not as they should be lead nowhere", async () => {
    for (const changed of [
      { redirect_uri: "https://evil.example/callback" },
      { redirect_uri: "javascript:alert(1)" },
      { client_id: "wtc.e30" },
      { client_id: "https://127.0.0.1:1/client.json" },
      { client_id: "https://localhost/client.json" },
      { response_type: "token" },
      { code_challenge_method: "plain" },
      { code_challenge: "short" },
      { scope: "approve" },
      { resource: "https://elsewhere.example/mcp" },
    ]) {
      const answer = await page.goto(desk.people + link(changed));
      assert.equal(answer.status(), 400, JSON.stringify(changed));
      assert.equal(await page.locator("form[action='/authorize']").count(), 0);
    }
    const stranger = await fetch(desk.people + link(), { redirect: "manual" });
    assert.equal(stranger.status, 303, "whoever is not signed in is asked to");
    assert.match(stranger.headers.get("location"), /^\/login\?next=/);
    for (const redirect_uris of [[], ["http://evil.example/"], ["javascript:alert(1)"]]) {
      const answer = await fetch(`${desk.agents}/oauth/register`, { method: "POST", body: JSON.stringify({ client_name: "x", redirect_uris }) });
      assert.equal(answer.status, 400);
    }
  });
  await step("signing in leads back to the program's question", async () => {
    const fresh = await desk.context.browser().newContext();
    const other = await fresh.newPage();
    await other.goto(desk.people + link());
    assert.match(await other.locator("input[name=next]").first().inputValue(), /^\/authorize\?response_type=code/);
    await fresh.close();
  });
  listener.close();
};
