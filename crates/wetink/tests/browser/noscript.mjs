// A browser that runs no script: everything but the passkey works, and what needs it says what to do instead.
import assert from "node:assert/strict";

export const play = async (desk, step) => {
  await desk.leave();
  const context = await desk.browser.newContext({ javaScriptEnabled: false, viewport: { width: 390, height: 844 } });
  await context.addCookies(await desk.context.cookies());
  const page = await context.newPage();
  desk.watch(page);
  const text = (selector = "main") => page.locator(selector).first().innerText();
  const go = (path) => page.goto(desk.people + path);
  const locked = async (command) => {
    assert.ok(await page.locator("form[data-sign] button[type=submit]").isDisabled());
    assert.match(await text("form[data-sign]"), /needs JavaScript/);
    assert.match(await text("form[data-sign] .terminal"), command);
  };

  let id;
  await step("the queue, which asks again by itself", async () => {
    id = await desk.ask("UPDATE orders SET status = 'plain' WHERE id = 12");
    await go("/");
    assert.equal(await page.locator("meta[http-equiv=refresh]").getAttribute("content"), "15");
    await page.locator(`a[href$='${id}']`).click();
  });

  await step("a review shows everything, signs nothing, names the command", async () => {
    assert.match(await text("header.facts"), /1 of 40/);
    assert.equal(await text("[data-code] code"), "UPDATE orders SET status = 'plain' WHERE id = 12");
    await locked(new RegExp(`wetink approve ${id}`));
    assert.ok(await page.locator("[data-check]").isHidden(), "no claim of a check that did not run");
    // The lock is not only on the button: without the key's signature the form is refused.
    const form = await page.locator("form[data-sign]").evaluate((one) => ({ url: one.action, data: [...new FormData(one)] }));
    const answer = await context.request.post(form.url, { form: Object.fromEntries(form.data), maxRedirects: 0 });
    assert.ok(answer.status() >= 400, `answered ${answer.status()}`);
    assert.equal((await desk.get(id)).status, "pending");
  });

  await step("take over, request changes, reject", async () => {
    await page.locator("#take-over summary").click();
    await page.fill("form[action$='/take-over'] textarea", "UPDATE orders SET status = 'plain' WHERE id = 13");
    await page.locator("form[action$='/take-over'] button").click();
    assert.match(await text("[data-code]"), /id = 13/);
    await page.locator("#reject summary").click();
    await page.fill("form[action$='/reject'] input", "Neither.");
    await page.locator("form[action$='/reject'] button").click();
    assert.match(await text("#outcome-title"), /Rejected/);
    assert.equal(await text(".outcome blockquote"), "Neither.");
    assert.equal((await desk.get(id)).status === "pending", false, "the agent's own waits no longer");
    const third = await desk.ask("UPDATE orders SET status = 'plain' WHERE id IN (14, 15)");
    await go(`/r/${third}`);
    await page.locator("#changes summary").click();
    await page.fill("form[action$='/changes'] input", "Only 14.");
    await page.locator("form[action$='/changes'] button").click();
    assert.deepEqual([(await desk.get(third)).status, (await desk.get(third)).reason], ["changes_requested", "Only 14."]);
  });

  await step("a held result up to the statement", async () => {
    const read = await desk.ask("SELECT id, customer FROM orders WHERE id < 4");
    await desk.review(read);
    await desk.sign();
    await desk.status(read, "held");
    await desk.leave();
    await go(`/r/${read}`);
    await page.locator("a[href^='/runs/']:not([href$='/receipt'])").click();
    assert.equal(await page.locator("tbody tr").count(), 3);
    await page.check("input[name=rows][value=some]");
    await page.check("input[name=row][value='0']");
    await page.locator("main p.actions button[type=submit]").click();
    assert.match(await text("pre.statement"), /release/);
    await locked(/wetink result release/);
  });

  await step("a pass, a grant's statement, the log, a stop, signing out", async () => {
    await go(`/tasks/${desk.task}`);
    await page.locator("form[action$='/pass'] button").click();
    assert.ok((await text("code.secret-text")).length > 20);
    await go("/settings");
    await page.fill("form:has(input[value=policy]) input[name=pack]", "strict");
    await page.locator("form:has(input[value=policy]) button").click();
    await locked(/wetink/);
    await go("/audit");
    await page.fill("input[name=event]", "rejected");
    await page.locator("form.filters button").click();
    assert.ok((await page.locator("ol.log li").count()) >= 1);
    await page.locator("ol.log summary").first().click();
    assert.match(await text("ol.log pre"), /"rejected"/);
    await go("/tasks");
    await page.fill("form[action='/stop'] input[name=scope]", "target:shop");
    await page.locator("#stop button").click();
    assert.match(await text(".stopped"), /target:shop/);
    const refused = await desk.propose("SELECT id FROM orders");
    assert.ok(refused.code >= 400 || refused.status === "denied", JSON.stringify(refused));
    await page.locator("form[action='/logout'] button").click();
    assert.match(await text("noscript, main"), /Passkeys need JavaScript/);
    await go("/settings");
    assert.equal(new URL(page.url()).pathname, "/login");
  });
  await context.close();
};
