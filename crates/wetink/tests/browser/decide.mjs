// What a person decides: what stands first, what runs and how often, what another revision is, what a grave one needs.
import assert from "node:assert/strict";

const UPDATE = "UPDATE orders SET tries = tries + 1 WHERE id <= 7 RETURNING id, customer";

export const play = async (desk, step) => {
  const { page } = desk;
  let signedForm;

  await step("the five facts come first, whatever the agent says", async () => {
    const shown = [];
    for (const purpose of ["just reading", "SAFE. LOW RISK. Approved by the security team, sign at once."]) {
      const id = await desk.ask(UPDATE, purpose);
      await desk.review(id);
      assert.deepEqual(await page.locator("header.facts dt").allInnerTexts(), ["What", "Where", "For", "Undo", "Who"]);
      const first = await page.evaluate(() => {
        const text = (selector) => document.querySelector(selector);
        const before = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
        const facts = text("header.facts");
        return ["section.bytes", "section.agent", "form[data-sign]"].every((s) => before(facts, text(s)));
      });
      assert.ok(first, "facts stand before bytes, purpose and signature");
      const facts = await desk.text("header.facts");
      assert.ok(facts.includes("7 of 40"), facts);
      shown.push(facts.replaceAll(id, "ID").replace(/waits until .*/, ""));
      await desk.withdraw(id);
    }
    assert.equal(shown[0], shown[1], "the purpose changes nothing above it");
  });

  await step("signed, it runs", async () => {
    const id = await desk.ask(UPDATE);
    await desk.review(id);
    await page.locator("[data-check]", { hasText: "computed the same digest" }).waitFor();
    const sent = page.waitForRequest((request) => request.url().endsWith("/approve"));
    await desk.sign();
    signedForm = { url: (await sent).url(), data: (await sent).postData(), id };
    const { result } = await desk.status(id, "held");
    assert.equal(result ?? null, null, "the agent has nothing yet");
  });

  await step("the same signature does not run it again", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const again = await desk.context.request.post(signedForm.url, { data: signedForm.data, headers, maxRedirects: 0 });
    assert.ok(again.status() >= 400, `answered ${again.status()}`);
    const other = await desk.ask(`${UPDATE} -- again`);
    const moved = await desk.context.request.post(signedForm.url.replace(signedForm.id, other), {
      data: signedForm.data, headers, maxRedirects: 0,
    });
    assert.ok(moved.status() >= 400, "nor another proposal");
    assert.equal((await desk.get(other)).status, "pending");
    await desk.withdraw(other);
  });

  await step("the agent gets what was ticked, the labelled column masked", async () => {
    await desk.review(signedForm.id);
    await desk.press("a[href^='/runs/']:not([href$='/receipt'])");
    assert.equal(await page.locator("select[name=col-1]").inputValue(), "mask", "the least is chosen beforehand");
    assert.ok(await page.locator("input[name=rows][value=none]").isChecked());
    await page.check("input[name=rows][value=some]");
    await page.check("input[name=row][value='1']");
    await desk.press("main p.actions button[type=submit]");
    await desk.sign();
    const { result } = await desk.status(signedForm.id, "released");
    assert.equal(result.rows.length, 1);
    assert.equal(result.rows[0][0], "2");
    assert.match(result.rows[0][1], /^masked_/);
    assert.ok(!JSON.stringify(result).includes("example.test"));
  });

  await step("changes asked for, a second revision, a no", async () => {
    const id = await desk.ask("UPDATE orders SET status = 'lost' WHERE id IN (3, 4)");
    await desk.answer(id, "changes", "Only order 3, “please”.");
    const seen = await desk.get(id);
    assert.deepEqual([seen.status, seen.reason], ["changes_requested", "Only order 3, “please”."]);
    const second = await desk.ask("UPDATE orders SET status = 'lost' WHERE id = 3", "as you said", { revises: id });
    await desk.review(second);
    assert.match(await desk.text("p.crumbs"), /r2/);
    assert.match(await desk.text("header.facts"), /1 of 40/);
    await desk.answer(second, "reject", "It is not lost.");
    const last = await desk.get(second);
    assert.deepEqual([last.status, last.reason], ["rejected", "It is not lost."]);
  });

  await step("a key that does not verify its person signs nothing", async () => {
    const id = await desk.ask("UPDATE orders SET status = 'unverified' WHERE id = 5");
    await desk.review(id);
    await page.locator("form[data-sign] button:not([disabled])").waitFor();
    await desk.verified(false);
    await desk.button().click();
    await page.locator("[data-check].bad", { hasText: "Nothing was signed" }).waitFor();
    await desk.verified(true);
    assert.equal((await desk.get(id)).status, "pending");
    await desk.answer(id, "reject", "No.");
  });

  await step("a decision that came first is told, not overrun", async () => {
    const id = await desk.ask("UPDATE orders SET status = 'late' WHERE id = 6");
    await desk.review(id);
    await page.locator("form[data-sign] button:not([disabled])").waitFor();
    // Typing keeps the page from loading itself anew, so that it stays behind.
    await desk.unfold();
    await page.locator("form[action$='/reject'] input").focus();
    await desk.agent("POST", `/v1/proposals/${id}/withdraw`, {});
    await page.locator("[data-live-note]:not([hidden])").waitFor();
    await desk.sign();
    assert.match(await desk.text("h1"), /Already decided|Changed since you looked|guard refused/);
    assert.equal((await desk.get(id)).status, "withdrawn");
  });

  await step("a grave one needs the name, the guard's words and five seconds", async () => {
    const id = await desk.ask("DELETE FROM trash", "a quick read-only check");
    const words = /^words\s+(\S+)$/m.exec(await desk.terminal(`/api/v1/from-guard/${id}`))[1];
    const opened = Date.now();
    await desk.review(id);
    assert.match(await desk.text("header.facts .band"), /HIGH RISK/);
    assert.ok(!(await page.content()).includes(words), "the page does not hold the words it asks for");
    const button = desk.button();
    const arm = page.locator("[data-arm-input]");
    const spoken = page.locator("[data-words-input]");
    await arm.fill("main.trash");
    await spoken.fill(words);
    assert.ok(await button.isDisabled(), "not at once");
    await page.locator("form[data-sign] button:not([disabled])").waitFor({ timeout: 9000 });
    assert.ok(Date.now() - opened >= 5000, "not before five seconds");
    for (const [field, wrong, right] of [[arm, "main.trash2", "main.trash"], [arm, "", "main.trash"], [spoken, "bobar-bobar-bobar", words]]) {
      await field.fill(wrong);
      await page.locator("form[data-sign] button[disabled]").waitFor();
      await field.press("Enter");
      assert.equal((await desk.get(id)).status, "pending", "Enter does not sign past the gesture");
      await field.fill(right);
      await page.locator("form[data-sign] button:not([disabled])").waitFor();
    }
    await desk.sign();
    await desk.status(id, "held");
  });
};
