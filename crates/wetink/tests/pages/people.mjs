// What people do, page by page, as they would: enroll, register, review, sign, release, say no, and what must not work.
import assert from "node:assert/strict";
import { Stage, until } from "./stage.mjs";

const stage = await Stage.open();
const { page } = stage;
const step = async (name, work) => {
  try {
    await work();
    console.log(`ok ${name}`);
  } catch (error) {
    throw new Error(`${name}: ${error.message}\n  at ${page.url()}\n${await stage.text("body").catch(() => "")}`, { cause: error });
  }
};

try {
  await step("enroll by the one-time link", async () => {
    await stage.go(`/enroll#token=${stage.token}`);
    await stage.inspect("enroll");
    assert.ok(!page.url().includes(stage.token), "the token does not stay in the address");
    await stage.press("button[type=submit]");
    await page.fill("input[name=person]", "Ada");
    await stage.press("form[data-enroll] button");
    await page.locator("h1", { hasText: "Key enrolled" }).waitFor();
  });

  await step("the link works once", async () => {
    await stage.go("/enroll");
    await page.fill("input[name=token]", stage.token);
    await stage.press("button[type=submit]");
    assert.match(await stage.text("body"), /enrolled already/);
  });

  await step("nobody comes in without a key", async () => {
    await stage.go("/");
    assert.equal(new URL(page.url()).pathname, "/login");
    await stage.inspect("login");
  });

  await step("sign in", async () => {
    await stage.go("/login");
    await stage.sign();
    assert.equal(new URL(page.url()).pathname, "/");
    await stage.inspect("queue-empty");
  });

  await step("register a target", async () => {
    await stage.go("/settings");
    await stage.unfold();
    const form = page.locator("form:has(input[value=sqlite])");
    await form.locator("input[name=name]").fill("shop");
    await form.locator("input[name=environment]").fill("prod");
    await form.locator("input[name=path]").fill(process.env.WETINK_SHOP);
    await form.locator("textarea[name=labels]").fill("main.orders.customer personal");
    await form.locator("button").click();
    await stage.inspect("grant");
    await stage.sign();
    assert.match(await stage.text(), /shop/);
    await stage.inspect("settings");
  });

  await step("open a task, make a pass", async () => {
    await stage.go("/tasks");
    await stage.unfold();
    const form = page.locator("form:has(input[value=task])");
    await form.locator("input[name=title]").fill("Refund the batch");
    await form.locator("input[name=agent]").fill("robin");
    await form.locator("textarea[name=may]").fill("read main.orders\nupdate main.orders(status)");
    await form.locator("button").click();
    await stage.sign();
    await stage.go("/tasks");
    await stage.inspect("tasks");
    await stage.press("ol.queue a, main li a[href^='/tasks/']");
    await stage.inspect("task");
    await stage.press("form[action$='/pass'] button");
    stage.pass = await stage.text("code.secret-text");
    await stage.inspect("pass");
  });

  const refund = "UPDATE orders SET status = 'refunded' WHERE id <= 7 RETURNING id, customer";
  await step("sign an update", async () => {
    const asked = await stage.propose(refund, "just reading");
    assert.equal(asked.status, "pending");
    stage.id = asked.proposal_id;
    await stage.go("/");
    await stage.inspect("queue");
    await stage.press(`a[href*='${stage.id}']`);
    const facts = await stage.text("header.facts");
    assert.match(facts, /7 of 40/, "a number of how many");
    for (const word of ["shop", "PROD", "robin", "IN SCOPE"]) assert.ok(facts.includes(word), `the facts name ${word}: ${facts}`);
    assert.equal(await page.locator("#sibling-title").count(), 0, "nothing like it was signed before");
    const [factsEnd, bytesStart, said] = await page.evaluate(() => ["header.facts", "section.bytes", "section.agent"].map((s) => document.querySelector(s).getBoundingClientRect().top));
    assert.ok(factsEnd < bytesStart && bytesStart < said, "facts, then bytes, then the agent's words");
    assert.match(await stage.text("section.agent"), /not verified/i);
    await page.locator("[data-check]", { hasText: "same digest" }).waitFor();
    await stage.inspect("review");
    await stage.press("form[action$='/rows'] button");
    assert.deepEqual(await page.locator("ins").allTextContents(), Array(7).fill("refunded"), "what is new");
    await stage.inspect("rows");
    await page.goBack();
    await page.locator("[data-check]", { hasText: "same digest" }).waitFor();
    await stage.sign();
    await until("held", async () => (await stage.get(stage.id)).status === "held");
    assert.equal((await stage.get(stage.id)).result ?? null, null, "nothing before the release");
  });

  await step("one like it says what is new", async () => {
    const asked = await stage.propose("UPDATE orders SET status = 'other' WHERE id <= 9 RETURNING id, customer");
    await stage.go(`/r/${asked.proposal_id}`);
    const told = await stage.text("section:has(#sibling-title)");
    assert.match(told, /'refunded' 'other'[^]*7 9/);
    await stage.inspect("sibling");
    await stage.agent("POST", `/v1/proposals/${asked.proposal_id}/withdraw`, {});
  });

  await step("the button is reached by keyboard and shows where it is", async () => {
    const asked = await stage.propose("UPDATE orders SET status = 'keyboard' WHERE id = 9");
    await stage.go(`/r/${asked.proposal_id}`);
    await page.locator("form[data-sign] button:not([disabled])").waitFor();
    const reached = async () => page.evaluate(() => document.activeElement?.matches("form[data-sign] button[type=submit]") ?? false);
    for (let presses = 0; presses < 60 && !(await reached()); presses += 1) await page.keyboard.press("Tab");
    assert.ok(await reached(), "60 presses of Tab do not reach the signature");
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, "none", "the focus is seen");
    await stage.agent("POST", `/v1/proposals/${asked.proposal_id}/withdraw`, {});
  });

  await step("release a part", async () => {
    await stage.go(`/r/${stage.id}`);
    await stage.press("a[href^='/runs/']");
    await stage.inspect("held");
    await page.check("input[name=rows][value=some]");
    await page.check("input[name=row][value='0']");
    await page.check("input[name=row][value='2']");
    await stage.press("main p.actions button[type=submit]");
    await stage.inspect("release");
    await stage.sign();
    const { status, result } = await until("released", async () => {
      const seen = await stage.get(stage.id);
      return seen.status === "released" && seen;
    });
    assert.equal(status, "released");
    assert.deepEqual(result.rows.map((row) => row[0]), ["1", "3"], "the rows that were ticked");
    assert.match(result.rows[0][1], /^masked_/, "a labelled column leaves as a token");
    await stage.go(`/r/${stage.id}`);
    await stage.inspect("released");
  });

  await step("propose putting it back", async () => {
    await stage.press("form[action$='/undo'] button");
    const facts = await stage.text("header.facts");
    assert.match(facts, /7 of 40/);
    assert.match(await stage.text("section.bytes"), /kept\.was_0/);
    await stage.inspect("undo");
    await stage.sign();
    await page.locator("#outcome-title", { hasText: /held/i }).waitFor();
  });

  await step("reject with a sentence", async () => {
    const asked = await stage.propose("UPDATE orders SET status = 'lost' WHERE id = 8");
    await stage.go(`/r/${asked.proposal_id}`);
    await stage.unfold();
    await page.fill("form[action$='/reject'] input[name=sentence]", "Order 8 is <b>fine</b>.");
    await stage.press("form[action$='/reject'] button");
    const seen = await stage.get(asked.proposal_id);
    assert.deepEqual([seen.status, seen.reason], ["rejected", "Order 8 is <b>fine</b>."]);
    assert.equal(await page.locator("blockquote b").count(), 0, "what people write is text too");
  });

  await step("request changes", async () => {
    const asked = await stage.propose("UPDATE orders SET status = 'lost' WHERE id IN (3, 4)");
    await stage.go(`/r/${asked.proposal_id}`);
    await stage.unfold();
    await page.fill("form[action$='/changes'] input[name=sentence]", "Only order 3.");
    await stage.press("form[action$='/changes'] button");
    const seen = await stage.get(asked.proposal_id);
    assert.deepEqual([seen.status, seen.reason], ["changes_requested", "Only order 3."]);
  });

  await step("take over", async () => {
    const asked = await stage.propose("UPDATE orders SET status = 'mine' WHERE id IN (5, 6)");
    await stage.go(`/r/${asked.proposal_id}`);
    await stage.unfold();
    await page.fill("form[action$='/take-over'] textarea", "UPDATE orders SET status = 'mine' WHERE id = 5");
    await stage.press("form[action$='/take-over'] button");
    assert.match(await stage.text("header.facts"), /1 of 40/);
    await stage.sign();
    await page.locator("#outcome-title", { hasText: /held/i }).waitFor();
  });

  await step("high risk needs the name, the words and a pause", async () => {
    const asked = await stage.propose("DELETE FROM orders", "just a quick read-only check");
    await stage.go(`/r/${asked.proposal_id}`);
    assert.match(await stage.text("header.facts"), /40/);
    await stage.inspect("high");
    const button = page.locator("form[data-sign] button[type=submit]");
    assert.ok(await button.isDisabled());
    assert.ok(!(await stage.text("body")).match(/\b[a-z]{3,6}-[a-z]{3,6}-[a-z]{3,6}\b/), "the page does not show the words it asks for");
    await page.fill("[data-arm-input]", "main.order");
    await page.waitForTimeout(5300);
    assert.ok(await button.isDisabled(), "another name does not arm it");
    await page.fill("[data-arm-input]", "main.orders");
    await page.fill("[data-words-input]", "aaa-bbb-ccc");
    assert.ok(await button.isDisabled(), "other words do not arm it");
    await page.fill("form[action$='/reject'] input[name=sentence]", "No.");
    await stage.press("form[action$='/reject'] button");
    assert.equal((await stage.get(asked.proposal_id)).status, "rejected");
  });

  await step("hostile text stays text", async () => {
    const evil = "UPDATE orders SET status = '</script><script>window.owned=1</script><img src=x onerror=window.owned=1>\u202e\u200b\u0007' WHERE id = 3 -- \u2066'\"><svg onload=window.owned=1>";
    const asked = await stage.propose(evil, "<script>window.owned=1</script> \u202egnp.exe '\"><iframe src=javascript:window.owned=1>");
    const id = asked.proposal_id;
    if (id) {
      await stage.go(`/r/${id}`);
      assert.equal(await page.evaluate(() => window.owned ?? null), null);
      assert.equal(await page.locator("main script, main iframe, main img, main svg").count(), 0);
      const shown = await stage.text("body");
      assert.ok(!/[\u202a-\u202e\u2066-\u2069\u200b\u0007]/.test(shown), "no hidden character reaches the page as it is");
      await stage.inspect("hostile");
    } else {
      assert.match(JSON.stringify(asked), /hidden|refused|denied/);
    }
    await stage.go("/");
    assert.equal(await page.evaluate(() => window.owned ?? null), null);
  });

  await step("a page that shows other bytes cannot be signed", async () => {
    // Away from the queue, which loads itself anew when something is handed in.
    await page.goto("about:blank");
    const asked = await stage.propose("UPDATE orders SET status = 'honest' WHERE id = 10");
    const url = `${stage.people}/r/${asked.proposal_id}`;
    await page.route(url, async (route) => {
      const answer = await route.fetch();
      const body = await answer.text();
      const real = /data-artifact="([^"]*)"/.exec(body)[1];
      const other = Buffer.from(Buffer.from(real, "base64url").toString().replace("id = 10", "id = 11")).toString("base64url");
      await route.fulfill({ response: answer, body: body.replace(real, other) });
    });
    await page.goto(url);
    await page.locator("[data-check]", { hasText: "Do not sign" }).waitFor();
    assert.ok(await page.locator("form[data-sign] button[type=submit]").isDisabled());
    await page.unroute(url);
    await stage.agent("POST", `/v1/proposals/${asked.proposal_id}/withdraw`, {});
  });

  await step("without JavaScript: read and say no", async () => {
    const asked = await stage.propose("UPDATE orders SET status = 'plain' WHERE id = 12");
    const cookies = await stage.context.cookies();
    const bare = await stage.browser.newContext({ javaScriptEnabled: false });
    await bare.addCookies(cookies);
    const other = await bare.newPage();
    await other.goto(`${stage.people}/`);
    await other.locator(`a[href*='${asked.proposal_id}']`).first().click();
    assert.match(await other.locator("header.facts").innerText(), /1 of 40/);
    assert.ok(await other.locator("form[data-sign] button[type=submit]").isDisabled());
    await other.locator("#reject summary").click();
    await other.fill("form[action$='/reject'] input[name=sentence]", "Not now.");
    await other.locator("form[action$='/reject'] button").click();
    assert.equal((await stage.get(asked.proposal_id)).status, "rejected");
    await bare.close();
  });

  await step("a newcomer asks and an admin sees the words", async () => {
    const their = await stage.browser.newContext();
    const other = await their.newPage();
    await stage.authenticator(other);
    await other.goto(`${stage.people}/join`);
    await other.fill("input[name=person]", "Grace");
    await other.locator("form[data-enroll] button").click();
    await other.locator("h1", { hasText: "Asked to be let in" }).waitFor();
    const words = await other.locator("p.mono strong").innerText();
    await other.goto(`${stage.people}/login`);
    await other.locator("form[data-sign] button").click();
    await other.locator("[data-check]", { hasText: "Nothing was signed" }).waitFor();
    await stage.go("/settings");
    assert.ok((await stage.text()).includes(words));
    await stage.inspect("asking");
    await stage.press(`li:has-text("${words}") form button`);
    await stage.sign();
    await other.goto(`${stage.people}/login`);
    await other.locator("form[data-sign] button").click();
    await other.waitForURL((url) => url.pathname === "/");
    await their.close();
  });

  await step("the log, a receipt, signing out", async () => {
    await stage.go("/audit");
    await stage.inspect("audit");
    await stage.go("/");
    await stage.press("form[action='/logout'] button");
    await stage.go("/settings");
    assert.equal(new URL(page.url()).pathname, "/login");
  });

  assert.deepEqual(stage.problems, []);
  console.log("the pages hold");
} finally {
  await stage.close();
}
