// A payment: the service is registered with its payments, the page says how much goes to whom, and what is unclear cannot be signed.
import assert from "node:assert/strict";
import { createServer } from "node:http";

const PAYMENTS = `two_people_above = ["1000.00 EUR"]
per_day = ["3000.00 EUR"]

[[forms]]
request = "POST /v1/payments"
amount = "amount.value"
currency = "amount.currency"
payee = "creditor.name"
account = "creditor.iban"
reference = "reference"
`;

export const play = async (desk, step) => {
  const { page } = desk;
  const seen = [];
  const bank = createServer((request, response) => {
    let body = "";
    request.on("data", (part) => { body += part; });
    request.on("end", () => {
      seen.push({ headers: request.headers, body });
      response.setHeader("content-type", "application/json");
      response.end('{"id":"pay_1","status":"done"}');
    });
  });
  await new Promise((resolve) => bank.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${bank.address().port}`;
  let pass;
  await step("an admin registers a bank with its payments", async () => {
    await desk.go("/settings");
    await desk.unfold();
    const form = page.locator("form:has(input[value=http])");
    await form.locator("input[name=name]").fill("bank");
    await form.locator("input[name=environment]").fill("prod");
    await form.locator("input[name=origin]").fill(origin);
    await form.locator("textarea[name=requests]").fill("POST /v1/payments");
    await form.locator("input[name=idempotency_header]").fill("idempotency-key");
    await form.locator("textarea[name=payments]").fill(PAYMENTS);
    await form.locator("button").click();
    await desk.sign();
    await desk.go("/settings");
    assert.match(await desk.text(), /payments, two people above: 1000\.00 EUR; a day: 3000\.00 EUR/);
  });
  await step("and opens a task with a budget", async () => {
    await desk.go("/tasks");
    await desk.unfold();
    const form = page.locator("form:has(input[value=task])");
    await form.locator("input[name=title]").fill("Pay Muster Energie, DE89 3704 0044 0532 0130 00: 49.90");
    await form.locator("input[name=agent]").fill("robin");
    await form.locator("select[name=target]").selectOption("bank");
    await form.locator("textarea[name=may]").fill("call POST /v1/payments up to 500.00 EUR");
    await form.locator("button").click();
    assert.match(await desk.text(), /up to 500\.00 EUR/);
    await desk.sign();
    await desk.go("/tasks");
    await page.locator("ol.queue a").filter({ hasText: "Pay Muster" }).first().click();
    await desk.press("form[action$='/pass'] button");
    pass = await desk.text("code.secret-text");
  });
  const ask = async (change) => {
    await desk.leave();
    const body = { amount: { value: "49.90", currency: "EUR" }, creditor: { name: "Muster Energie", iban: "DE89370400440532013000" }, reference: "R-17" };
    const artifact = `POST /v1/payments\ncontent-type: application/json\n\n${JSON.stringify({ ...body, ...change })}`;
    const answer = await fetch(`${desk.agents}/v1/proposals?wait=0`, {
      method: "POST",
      headers: { authorization: `Bearer ${pass}`, "content-type": "application/json" },
      body: JSON.stringify({ target: "bank", body: artifact, purpose: "the invoice of November" }),
    });
    return answer.json();
  };
  await step("the page says how much goes to whom", async () => {
    const { proposal_id: id } = await ask({});
    await desk.review(id);
    const text = await desk.text();
    for (const said of ["PAYS 49.90 EUR to Muster Energie, DE89370400440532013000", "pays 49.90 EUR", "payee: Muster Energie", "account: DE89", "reference: R-17", "new_payee", "once sent, nothing takes it back"]) {
      assert.ok(text.includes(said), `${said} is missing in:\n${text}`);
    }
    // The task names the account in groups of four; it is the same one.
    assert.doesNotMatch(text, /not_from_request/);
    assert.equal(seen.length, 0);
    await desk.inspect("payment");
    const words = /^words\s+(\S+)$/m.exec(await desk.terminal(`/api/v1/from-guard/${id}`))[1];
    await page.fill("[data-words-input]", words);
    await desk.sign();
    await page.locator("#outcome-title").waitFor();
    assert.equal(seen.length, 1);
    assert.match(seen[0].headers["idempotency-key"], /^r-/);
  });
  await step("what is unclear cannot be signed", async () => {
    assert.equal((await ask({ tip: 5 })).status, "denied");
    assert.equal((await ask({ amount: { value: "49.900", currency: "EUR" } })).status, "denied");
    assert.equal(seen.length, 1);
  });
  await step("above the limit one signature is not enough", async () => {
    const { proposal_id: id } = await ask({ amount: { value: "1000.01", currency: "EUR" } });
    await desk.review(id);
    assert.match(await desk.text(), /PAYS 1000\.01 EUR/);
    await desk.inspect("payment-two");
    assert.equal(seen.length, 1);
  });
  bank.close();
};
