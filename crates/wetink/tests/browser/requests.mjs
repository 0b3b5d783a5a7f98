// A request to a service: registered on the page, shown to be understood in seconds, signed, and a part of the answer released.
import assert from "node:assert/strict";
import { createServer } from "node:http";

export const play = async (desk, step) => {
  const { page } = desk;
  const seen = [];
  const service = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      seen.push({ method: request.method, url: request.url, headers: request.headers, body });
      response.setHeader("content-type", "application/json");
      response.end('{"id":"re_1","note":"<img src=x onerror=window.owned=1>","mail":"ada@example.test"}');
    });
  });
  await new Promise((resolve) => service.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${service.address().port}`;
  let pass;
  await step("an admin registers a service", async () => {
    await desk.go("/settings");
    await desk.unfold();
    const form = page.locator("form:has(input[value=http])");
    await form.locator("input[name=name]").fill("stripe");
    await form.locator("input[name=environment]").fill("prod");
    await form.locator("input[name=origin]").fill(origin);
    await form.locator("textarea[name=requests]").fill("GET /v1/**\nPOST /v1/refunds");
    await form.locator("button").click();
    await desk.sign();
    await desk.go("/settings");
    assert.match(await desk.text(), new RegExp(origin));
  });
  await step("and opens a task", async () => {
    await desk.go("/tasks");
    await desk.unfold();
    const form = page.locator("form:has(input[value=task])");
    await form.locator("input[name=title]").fill("Pay charge ch_1 back: 4990");
    await form.locator("input[name=agent]").fill("robin");
    await form.locator("select[name=target]").selectOption("stripe");
    await form.locator("textarea[name=may]").fill("call POST /v1/refunds");
    await form.locator("button").click();
    await desk.sign();
    await desk.go("/tasks");
    await page.locator("ol.queue a").filter({ hasText: "Pay charge" }).first().click();
    await desk.press("form[action$='/pass'] button");
    pass = await desk.text("code.secret-text");
  });
  const ask = async (body) => {
    await desk.leave();
    const answer = await fetch(`${desk.agents}/v1/proposals?wait=0`, {
      method: "POST",
      headers: { authorization: `Bearer ${pass}`, "content-type": "application/json" },
      body: JSON.stringify({ target: "stripe", body, purpose: "refund the double charge" }),
    });
    return (await answer.json()).proposal_id;
  };
  await step("the page says what is sent, where, and that nothing takes it back", async () => {
    const id = await ask('POST /v1/refunds\ncontent-type: application/json\nidempotency-key: r-1\n\n{"charge":"ch_1","amount":4990,"to":"mallory@evil.example"}');
    await desk.review(id);
    const text = await desk.text();
    for (const said of ["SENDS POST /v1/refunds", origin, "once sent, nothing takes it back", "amount", "mallory@evil.example"]) {
      assert.ok(text.includes(said), `${said} is missing in:\n${text}`);
    }
    assert.match(text, /not_from_request/, "an address that the person did not name");
    assert.equal(seen.length, 0);
    await desk.inspect("request");
    await desk.withdraw(id).catch(() => {});
  });
  await step("it is signed and sent once", async () => {
    const id = await ask('POST /v1/refunds\ncontent-type: application/json\n\n{"charge":"ch_1","amount":4990}');
    await desk.review(id);
    // What is sent cannot be taken back, so the page asks for the guard's own words.
    const words = /^words\s+(\S+)$/m.exec(await desk.terminal(`/api/v1/from-guard/${id}`))[1];
    await page.fill("[data-words-input]", words);
    await desk.sign();
    await page.locator("#outcome-title").waitFor();
    assert.equal(seen.length, 1);
    assert.deepEqual([seen[0].method, seen[0].url, seen[0].body], ["POST", "/v1/refunds", '{"charge":"ch_1","amount":4990}']);
    await page.locator("a[href^='/runs/']").first().click();
    const held = await desk.text();
    assert.match(held, /looks like e-mail/);
    assert.match(held, /<img src=x/);
    assert.equal(await page.evaluate(() => window.owned), undefined);
    await desk.inspect("request-held");
  });
  service.close();
};
