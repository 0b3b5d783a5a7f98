// A gateway that Ada works at: enrolled, signed in, a target `shop`, a task for the agent robin with its pass.
import assert from "node:assert/strict";
import { Stage, until } from "../pages/stage.mjs";

const SCOPE = ["read main.orders", "update main.orders(status,tries)", "read main.notes"];

export class Desk extends Stage {
  static async open() {
    const desk = Object.setPrototypeOf(await Stage.open(), Desk.prototype);
    // However this program ends, the gateway does not outlive it.
    process.on("exit", () => desk.gateway.kill("SIGINT"));
    process.once("SIGTERM", () => process.exit(1));
    // A page of its own, whose authenticator can be told to fail.
    await desk.page.close();
    desk.page = await desk.context.newPage();
    desk.watch(desk.page);
    await desk.authenticator(desk.page);
    return desk;
  }

  // Whatever a page's policy had to block is told on the console.
  watch(page) {
    page.on("pageerror", (error) => this.problems.push(`script error: ${error.message}`));
    page.on("dialog", (dialog) => { this.problems.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("console", (message) => {
      const refused = /Failed to load resource: the server responded with a status of 4/.test(message.text());
      if (message.type() === "error" && !refused) this.problems.push(`console: ${message.text()}`);
    });
  }

  // As on any stage, and kept so that it can be told to fail.
  async authenticator(page) {
    this.devtools = await page.context().newCDPSession(page);
    await this.devtools.send("WebAuthn.enable");
    const able = { hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
    const options = { protocol: "ctap2", transport: "internal", automaticPresenceSimulation: true, ...able };
    ({ authenticatorId: this.authenticatorId } = await this.devtools.send("WebAuthn.addVirtualAuthenticator", { options }));
  }

  async prepare() {
    const { page } = this;
    await this.go(`/enroll#token=${this.token}`);
    await this.press("button[type=submit]");
    await page.fill("input[name=person]", "Ada");
    await this.press("form[data-enroll] button");
    await page.locator("h1", { hasText: "Key enrolled" }).waitFor();
    await this.go("/login");
    await this.sign();
    await this.go("/settings");
    await this.unfold();
    const target = page.locator("form:has(input[value=sqlite])");
    await target.locator("input[name=name]").fill("shop");
    await target.locator("input[name=environment]").fill("prod");
    await target.locator("input[name=path]").fill(process.env.WETINK_SHOP);
    await target.locator("textarea[name=labels]").fill("main.orders.customer personal");
    await target.locator("button").click();
    await this.sign();
    this.task = await this.openTask("Refund the batch", SCOPE);
    await this.press("form[action$='/pass'] button");
    this.pass = await this.text("code.secret-text");
    this.cookies = await this.context.cookies();
  }

  static unfold(page) {
    return page.locator("details").evaluateAll((all) => all.forEach((one) => { one.open = true; }));
  }

  // Leaves the page at the new task.
  async openTask(title, may) {
    await this.go("/tasks");
    await this.unfold();
    const form = this.page.locator("form:has(input[value=task])");
    await form.locator("input[name=title]").fill(title);
    await form.locator("input[name=agent]").fill("robin");
    await form.locator("textarea[name=may]").fill(may.join("\n"));
    await form.locator("button").click();
    await this.sign();
    await this.go("/tasks");
    await this.page.locator("ol.queue a").filter({ hasText: title.slice(0, 6) }).first().click();
    return new URL(this.page.url()).pathname.split("/").pop();
  }

  // A page that shows what changes loads itself anew, also while one is on the way elsewhere.
  async visit(url) {
    await until(url, () => this.page.goto(url).then(() => true, (error) => {
      if (/interrupted by another navigation|ERR_ABORTED/.test(error.message)) return false;
      throw error;
    }));
  }

  go(path) {
    return this.visit(this.people + path);
  }

  // No page is open while the agent acts.
  leave() {
    return this.visit("about:blank");
  }

  // Signs what the page holds and waits until the answer is there, which may load itself anew at once.
  async sign() {
    await this.page.locator("form[data-sign] button[type=submit]:not([disabled])").first().waitFor({ timeout: 15000 });
    await Promise.all([this.page.waitForNavigation({ waitUntil: "commit" }), this.button().first().click()]);
    await this.page.locator("main").waitFor();
  }

  async ask(body, purpose = "for the test", more = {}) {
    await this.leave();
    const asked = await this.agent("POST", "/v1/proposals?wait=0", { target: "shop", body, purpose, ...more });
    assert.equal(asked.status, "pending", JSON.stringify(asked));
    return asked.proposal_id;
  }

  async withdraw(id) {
    await this.leave();
    await this.agent("POST", `/v1/proposals/${id}/withdraw`, {});
  }

  async review(id) {
    await this.go(`/r/${id}`);
    await this.page.locator("article[data-proposal]").waitFor();
  }

  // Whether the authenticator verifies its person from now on.
  verified(yes) {
    return this.devtools.send("WebAuthn.setUserVerified", { authenticatorId: this.authenticatorId, isUserVerified: yes });
  }

  button() {
    return this.page.locator("form[data-sign] button[type=submit]");
  }

  status(id, wanted) {
    return until(`${id} ${wanted}`, async () => {
      const seen = await this.get(id);
      return seen.status === wanted && seen;
    });
  }

  async answer(id, action, sentence) {
    await this.review(id);
    await this.unfold();
    await this.page.fill(`form[action$='/${action}'] input[name=sentence]`, sentence);
    await this.press(`form[action$='/${action}'] button`);
    await this.page.locator("#outcome-title").waitFor();
  }

  // What a person's terminal asks of the desk, with the person's session.
  async terminal(path) {
    const { value } = this.cookies.find((cookie) => cookie.name === "wetink");
    const answer = await fetch(this.people + path, { headers: { authorization: `Bearer ${value}` } });
    assert.equal(answer.status, 200, path);
    return answer.text();
  }
}
