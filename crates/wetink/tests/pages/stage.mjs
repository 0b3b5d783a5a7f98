// A gateway started by the real program, a real browser with a virtual authenticator, and what every check needs.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.WETINK_NPM, "package.json"));
const { chromium } = require("playwright-core");
const axeSource = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const until = async (what, look, seconds = 30) => {
  for (let left = seconds * 10; left > 0; left -= 1) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not come`);
};

export class Stage {
  static async open() {
    const stage = new Stage();
    const folder = process.env.WETINK_FOLDER;
    stage.gateway = spawn(process.env.WETINK_BIN, ["up", "--dir", join(folder, "gateway"), "--people", "127.0.0.1:0", "--agents", "127.0.0.1:0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    stage.ended = new Promise((resolve) => stage.gateway.on("exit", resolve));
    let printed = "";
    stage.gateway.stdout.on("data", (bytes) => { printed += bytes; });
    const said = (pattern) => until(String(pattern), () => pattern.exec(printed));
    [, stage.people] = await said(/people\s+(http\S+)/);
    [, stage.agents] = await said(/agents\s+(http\S+)\/mcp/);
    [, stage.token] = await said(/#token=(\S+)/);
    stage.browser = await chromium.launch({ executablePath: process.env.WETINK_CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
    stage.context = await stage.browser.newContext({ viewport: { width: 1280, height: 720 } });
    stage.page = await stage.context.newPage();
    stage.problems = [];
    stage.page.on("pageerror", (error) => stage.problems.push(`script error: ${error.message}`));
    stage.page.on("dialog", (dialog) => { stage.problems.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    await stage.authenticator(stage.page);
    return stage;
  }

  async authenticator(page) {
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("WebAuthn.enable");
    await devtools.send("WebAuthn.addVirtualAuthenticator", {
      options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
    });
  }

  async close() {
    await this.browser?.close();
    this.gateway.kill("SIGINT");
    await this.ended;
  }

  // A page that shows what changes loads itself anew, also while one is on the way elsewhere.
  go(path) {
    return until(path, () => this.page.goto(this.people + path, { timeout: 10_000 }).then(() => true, (error) => {
      if (/interrupted by another navigation|ERR_ABORTED|Timeout/.test(error.message)) return false;
      throw error;
    }));
  }
  press(selector) { return this.page.locator(selector).first().click(); }
  text(selector = "main") { return this.page.locator(selector).first().innerText(); }
  unfold() { return this.page.locator("details").evaluateAll((all) => all.forEach((one) => { one.open = true; })); }

  // Signs what the page holds and waits for the page that follows.
  async sign() {
    await this.page.locator("form[data-sign] button[type=submit]:not([disabled])").first().waitFor({ timeout: 15000 });
    await Promise.all([this.page.waitForNavigation({ waitUntil: "commit" }), this.press("form[data-sign] button[type=submit]")]);
  }

  // A request of the agent over plain HTTP.
  async agent(method, path, body) {
    const answer = await fetch(this.agents + path, {
      method,
      headers: { authorization: `Bearer ${this.pass}`, "content-type": "application/json" },
      body: body && JSON.stringify(body),
    });
    return { code: answer.status, ...(await answer.json()) };
  }

  propose(body, purpose = "for the test") { return this.agent("POST", "/v1/proposals?wait=0", { target: "shop", body, purpose }); }
  get(id, wait = 0) { return this.agent("GET", `/v1/proposals/${id}?wait=${wait}`); }

  // Both themes: no violation of the accessibility rules. Both sizes: no horizontal scrolling. Each once as a picture.
  async inspect(name) {
    // A page without its style fits nowhere and has no colors.
    await this.page.waitForLoadState("load");
    await this.page.waitForFunction(() => [...document.styleSheets].some((sheet) => sheet.href));
    const page = this.page;
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      for (const [size, viewport] of Object.entries({ desk: { width: 1280, height: 720 }, phone: { width: 390, height: 844 } })) {
        await page.setViewportSize(viewport);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(wide <= 0, `${name} scrolls sideways by ${wide} pixels at ${viewport.width}`);
        await page.screenshot({ path: join(process.env.WETINK_SHOTS, `${name}-${size}-${colorScheme}.png`) });
      }
      // Evaluated by the debugger, so that the page's policy against foreign scripts stays as it is.
      const found = await page.evaluate(`${axeSource}; axe.run(document, { resultTypes: ["violations"] })`);
      const told = found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(", ")}`);
      assert.deepEqual(told, [], `${name} in ${colorScheme}`);
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 720 });
  }
}
