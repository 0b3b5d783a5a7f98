// A mailbox: registered on the page, a mail shown with everybody it goes to, canceled in the outbox, and sent.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { until } from "../pages/stage.mjs";

export const play = async (desk, step) => {
  const { page } = desk;
  const servers = spawn("node", [join(import.meta.dirname, "..", "mailbox", "servers.mjs")], {
    stdio: ["pipe", "pipe", "inherit"],
    env: { ...process.env, MAILBOX_FOLDER: join(process.env.WETINK_FOLDER, "mailbox"), MAILBOX_PASSWORD: "mailbox-4eC39HqLyjWDarj" },
  });
  const sent = [];
  const ports = await new Promise((resolve) => createInterface({ input: servers.stdout }).on("line", (line) => {
    const told = JSON.parse(line);
    if (told.smtp) resolve(told);
    else sent.push(told);
  }));
  const stored = spawnSync(process.env.WETINK_BIN, ["secret", "set", "mailbox", "--dir", join(process.env.WETINK_FOLDER, "gateway")], { input: "mailbox-4eC39HqLyjWDarj" });
  assert.equal(stored.status, 0, String(stored.stderr));
  let pass;
  await step("an admin registers a mailbox", async () => {
    await desk.go("/settings");
    await desk.unfold();
    const form = page.locator("form:has(input[value=mail])");
    const fill = (name, value) => form.locator(`input[name=${name}]`).fill(value);
    await fill("name", "mailbox");
    await fill("environment", "prod");
    await fill("address", "ada@acme.example");
    await fill("imap", `imap://127.0.0.1:${ports.imap}`);
    await fill("smtp", `smtp://127.0.0.1:${ports.smtp}`);
    await fill("login", "ada");
    await fill("credential", "mailbox");
    await form.locator("textarea[name=requests]").fill("LIST /**\nREAD /**\nSEND *@acme.example\nSEND *@acrne.example");
    await form.locator("button").click();
    await desk.sign();
    await desk.go("/settings");
    assert.match(await desk.text(), /ada@acme\.example at imap/);
  });
  await step("and opens a task", async () => {
    await desk.go("/tasks");
    await desk.unfold();
    const form = page.locator("form:has(input[value=task])");
    await form.locator("input[name=title]").fill("Answer cy@acme.example about the gate");
    await form.locator("input[name=agent]").fill("robin");
    await form.locator("select[name=target]").selectOption("mailbox");
    await form.locator("textarea[name=may]").fill("call LIST /**\ncall SEND *@acme.example");
    await form.locator("button").click();
    await desk.sign();
    await desk.go("/tasks");
    await page.locator("ol.queue a").filter({ hasText: "Answer cy" }).first().click();
    await desk.press("form[action$='/pass'] button");
    pass = await desk.text("code.secret-text");
  });
  const ask = async (body) => {
    await desk.leave();
    const answer = await fetch(`${desk.agents}/v1/proposals?wait=0`, {
      method: "POST",
      headers: { authorization: `Bearer ${pass}`, "content-type": "application/json" },
      body: JSON.stringify({ target: "mailbox", body, purpose: "answer the question" }),
    });
    return (await answer.json()).proposal_id;
  };
  const ready = async (id) => {
    await desk.review(id);
    const words = /^words\s+(\S+)$/m.exec(await desk.terminal(`/api/v1/from-guard/${id}`))[1];
    await page.fill("[data-words-input]", words);
  };
  await step("the page names everybody it goes to, and who only looks like somebody known", async () => {
    const id = await ask("SEND /\nto: cy@acme.example\ncc: billing@acrne.example\nbcc: di@acme.example\nsubject: The gate <b>sticks</b>\n\nIt will be mended on Monday.\n");
    await desk.review(id);
    const text = await desk.text();
    for (const said of ["SENDS a mail to billing@acrne.example and 2 more", "di@acme.example", "looks like somebody at acme.example", "cannot be undone", "<b>sticks</b>", "lookalike_recipient", "blind_copy"]) {
      assert.ok(text.includes(said), `${said} is missing in:\n${text}`);
    }
    await desk.inspect("mail");
    await desk.withdraw(id).catch(() => {});
  });
  await step("it is canceled in the outbox", async () => {
    await ready(await ask("SEND /\nto: cy@acme.example\nsubject: The gate\n\nToo soon.\n"));
    assert.ok(!(await page.locator("#outbox").isVisible()));
    await page.locator("form[data-sign] button[type=submit]:not([disabled])").first().waitFor({ timeout: 15000 });
    await page.evaluate(() => {
      const outbox = document.querySelector("#outbox");
      new MutationObserver(() => localStorage.setItem("outbox", outbox.hidden ? "hidden" : "shown")).observe(outbox, { attributes: true });
    });
    // The answer comes when it was sent or canceled. A page that waits for one cannot be asked anything by this library, so another
    // window looks, and cancels.
    await desk.button().first().click({ noWaitAfter: true });
    const other = await page.context().newPage();
    await until("the outbox", async () => {
      await other.goto(page.url());
      return other.locator("#outbox button").isVisible();
    }, 8);
    assert.equal(await other.evaluate(() => localStorage.getItem("outbox")), "shown");
    await other.locator("#outbox button").click();
    await other.locator("#outcome-title").filter({ hasText: "It did not happen" }).waitFor({ timeout: 20000 });
    await other.close();
    await page.locator("#outcome-title").filter({ hasText: "It did not happen" }).waitFor({ timeout: 20000 });
    assert.equal(sent.length, 0);
  });
  await step("and another one is sent", async () => {
    await ready(await ask("SEND /\nto: cy@acme.example\nsubject: The gate\n\nIt will be mended on Monday.\n"));
    await desk.sign();
    await page.locator("#outcome-title").filter({ hasText: "held" }).waitFor({ timeout: 20000 });
    await until("the mail", () => sent.length > 0);
    assert.deepEqual(sent.map((one) => one.to), [["cy@acme.example"]]);
  });
  servers.stdin.end();
};
