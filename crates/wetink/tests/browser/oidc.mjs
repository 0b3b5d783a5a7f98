// People sign in at a certified OpenID provider, with groups for roles; the provider ends their sessions; what is forged gets nothing.
import assert from "node:assert/strict";
import fs from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Stage, until } from "../pages/stage.mjs";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { default: Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

// Its address has to be known before the gateway starts, and the gateway's before the provider does.
let handler = (_, response) => response.writeHead(503).end();
const tampered = {};
const listener = createServer((request, response) => handler(request, response));
await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
const issuer = `http://127.0.0.1:${listener.address().port}`;

const folder = join(process.env.WETINK_FOLDER, "gateway", "desk");
fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
fs.chmodSync(join(process.env.WETINK_FOLDER, "gateway"), 0o700);
fs.writeFileSync(join(folder, "client-secret"), "a secret & more\n", { mode: 0o600 });
fs.writeFileSync(join(folder, "oidc.toml"), `issuer = "${issuer}"
client_id = "wetink"
client_secret_file = "${join(folder, "client-secret")}"
scopes = ["groups"]
[roles]
"db reviewers" = ["reviewer"]
audit = ["auditor"]
`);

const stage = await Stage.open();
process.on("exit", () => stage.gateway.kill("SIGINT"));
const people = {
  ada: { email: "ada@example.test", email_verified: true, groups: ["db reviewers", "others"] },
  bo: { email: "bo@example.test", email_verified: true, groups: ["audit"] },
  cy: { email: "cy@example.test", email_verified: false, groups: ["db reviewers"] },
  di: { email: "di@example.test", email_verified: true, groups: ["strangers"] },
};
const provider = new Provider(issuer, {
  clients: [{
    client_id: "wetink", client_secret: "a secret & more", redirect_uris: [`${stage.people}/login/provider/callback`],
    backchannel_logout_uri: `${stage.people}/login/provider/logout`, backchannel_logout_session_required: true,
  }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], groups: ["groups"] },
  scopes: ["openid", "email", "groups"],
  // So that the claims stand in the identity token.
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: true }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
  renderError: async (ctx, out) => { ctx.body = JSON.stringify(out); },
});
provider.on("backchannel.error", (_, error) => console.log("backchannel:", error.message));
const callback = provider.callback();
handler = (request, response) => (tampered[request.url.split("?")[0]] ?? callback)(request, response);

const fresh = async () => {
  await stage.context?.close();
  stage.context = await stage.browser.newContext({ viewport: { width: 1280, height: 720 } });
  stage.page = await stage.context.newPage();
};
// Signs in there by its own pages; whatever comes back is on the page afterwards.
const signIn = async (who, path = "/audit") => {
  await fresh();
  await stage.go(path);
  assert.match(await stage.text(), new RegExp(`Sign in at 127.0.0.1:${listener.address().port}`));
  await stage.press("a[href^='/login/provider']");
  await stage.page.waitForURL(`${issuer}/interaction/**`);
  await stage.page.fill("input[name=login]", who);
  await stage.page.fill("input[name=password]", "any");
  await stage.press("button[type=submit]");
  await stage.page.locator("text=/consent|Authorize/i").first().waitFor();
  await stage.press("button[type=submit]");
  await stage.page.waitForURL((url) => url.origin === stage.people);
  await stage.page.waitForLoadState("load");
};
const step = async (name, work) => {
  const began = Date.now();
  await work().catch(async (error) => {
    const shown = await stage.text("body").catch(() => "");
    throw new Error(`${name}: ${error.message}\n  at ${stage.page.url()}\n${shown}`, { cause: error });
  });
  console.log(`ok ${name} (${Date.now() - began} ms)`);
};

try {
  await step("a reviewer signs in and lands where they wanted to", async () => {
    await signIn("ada", "/audit");
    await stage.page.waitForURL(`${stage.people}/audit`);
    assert.match(await stage.text("body"), /ada@example\.test/);
    const cookies = await stage.context.cookies(stage.people);
    const session = cookies.find((cookie) => cookie.name === "wetink");
    assert.equal(session.sameSite, "Strict");
    assert.ok(session.httpOnly && !cookies.some((cookie) => cookie.name === "wetink-away"));
    await stage.go("/settings");
    assert.match(await stage.text(), /by the identity provider/);
    await stage.inspect("settings-provider");
  });
  await step("it may look and say no, and its signature counts for nothing", async () => {
    const { value } = (await stage.context.cookies(stage.people)).find((cookie) => cookie.name === "wetink");
    const answer = await fetch(`${stage.people}/api/v1/person`, { headers: { authorization: `Bearer ${value}` } });
    assert.deepEqual(await answer.json(), { name: "ada@example.test", roles: ["reviewer"] });
    await stage.go("/settings");
    assert.equal(await stage.page.locator("form:has(input[value=key])").count(), 0, "no admin");
  });
  await step("the provider ends the session, and nobody else's", async () => {
    const ada = { context: stage.context, page: stage.page };
    stage.context = undefined;
    await signIn("bo", "/");
    const bo = stage.page;
    await ada.page.goto(`${issuer}/session/end`);
    await ada.page.locator("button[value=yes], button[type=submit]").first().click();
    await until("the session ended", async () => {
      await ada.page.goto(`${stage.people}/audit`);
      return ada.page.url().startsWith(`${stage.people}/login`);
    });
    await bo.goto(`${stage.people}/audit`);
    assert.equal(bo.url(), `${stage.people}/audit`);
    await ada.context.close();
  });
  await step("an auditor makes no passes", async () => {
    await stage.go("/tasks");
    const { value } = (await stage.context.cookies(stage.people)).find((cookie) => cookie.name === "wetink");
    const answer = await fetch(`${stage.people}/api/v1/passes`, { method: "POST", headers: { authorization: `Bearer ${value}`, "content-type": "application/json" }, body: "{}" });
    assert.equal(answer.status, 403);
  });
  await step("out everywhere", async () => {
    const bo = stage.page;
    await stage.go("/settings");
    await stage.press("form[action='/logout/everywhere'] button");
    await stage.page.waitForURL(/\/login/);
    await bo.goto(`${stage.people}/audit`);
    assert.match(bo.url(), /\/login/);
  });
  await step("an address that nobody verified, and groups that mean nothing", async () => {
    await signIn("cy", "/");
    assert.match(await stage.text("body"), /has not verified your address/);
    await signIn("di", "/");
    assert.match(await stage.text("body"), /your roles do not allow this/);
  });
  await step("an answer for another browser, an old one and a made-up one", async () => {
    await fresh();
    let seen;
    stage.page.on("request", (request) => { if (request.url().includes("/login/provider/callback")) seen = request.url(); });
    await stage.go("/login");
    await stage.press("a[href^='/login/provider']");
    await stage.page.waitForURL(`${issuer}/interaction/**`);
    // As in a browser that was only sent the link.
    await stage.context.clearCookies({ name: "wetink-away" });
    await stage.page.fill("input[name=login]", "ada");
    await stage.page.fill("input[name=password]", "any");
    await stage.press("button[type=submit]");
    await stage.page.locator("text=/consent|Authorize/i").first().waitFor();
    await stage.press("button[type=submit]");
    await stage.page.waitForURL((url) => url.origin === stage.people);
    assert.match(await stage.text("body"), /This browser did not start that sign-in/);
    for (const [why, url] of [
      ["used up by that", seen],
      ["made up", `${stage.people}/login/provider/callback?code=x&state=y&iss=${encodeURIComponent(issuer)}`],
      ["nothing", `${stage.people}/login/provider/callback`],
    ]) {
      const answer = await fetch(url, { redirect: "manual" });
      assert.equal(answer.status, 401, why);
      assert.ok(!/wetink=[^;]/.test(answer.headers.get("set-cookie") ?? ""), why);
    }
  });
  const forge = async (name, make) => step(`a forged identity: ${name}`, async () => {
    tampered["/token"] = async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const real = await fetch(`${issuer}/real-token`, { method: "POST", body, headers: { "content-type": request.headers["content-type"], authorization: request.headers.authorization ?? "" } });
      const told = await real.json();
      assert.ok(told.id_token, JSON.stringify(told));
      told.id_token = make(told.id_token);
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(told));
    };
    tampered["/real-token"] = (request, response) => { request.url = "/token"; callback(request, response); };
    await signIn("ada", "/");
    const text = await stage.text("body");
    assert.match(text, /not usable|another sign-in/, text);
    assert.ok(!(await stage.context.cookies(stage.people)).some((cookie) => cookie.name === "wetink"));
    delete tampered["/token"];
  });
  const parts = (token) => token.split(".");
  const open = (part) => JSON.parse(Buffer.from(part, "base64url").toString());
  const close = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  let earlier;
  await forge("another person", (token) => {
    earlier = token;
    const [head, claims, signature] = parts(token);
    return [head, close({ ...open(claims), email: "root@example.test" }), signature].join(".");
  });
  await forge("without a signature", (token) => [close({ alg: "none" }), parts(token)[1], ""].join("."));
  await forge("signed with the client's secret", (token) => {
    const { createHmac } = require("node:crypto");
    const signing = `${close({ alg: "HS256" })}.${parts(token)[1]}`;
    return `${signing}.${createHmac("sha256", "a secret & more").update(signing).digest("base64url")}`;
  });
  await forge("that of an earlier sign-in", () => earlier);
  await step("a logout token that is none", async () => {
    for (const logout_token of ["", "x.y.z", earlier]) {
      const answer = await fetch(`${stage.people}/login/provider/logout`, { method: "POST", body: new URLSearchParams({ logout_token }) });
      assert.equal(answer.status, 400);
    }
  });
  assert.deepEqual(stage.problems, []);
} finally {
  await stage.close();
  listener.closeAllConnections();
  listener.close();
}
