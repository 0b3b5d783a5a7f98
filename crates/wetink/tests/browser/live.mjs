// An open page follows what happens, also what happened before its feed was connected.
import assert from "node:assert/strict";

export const play = async (desk, step) => {
  const { page } = desk;
  const outcome = (text) => page.locator("#outcome-title", { hasText: text }).waitFor({ timeout: 6000 });

  // Lets the feed of the next page wait until `work` is done.
  const late = async (work) => {
    let open;
    const opened = new Promise((resolve) => { open = resolve; });
    let asked;
    const feed = new Promise((resolve) => { asked = resolve; });
    await page.route("**/events*", async (route) => {
      asked();
      await opened;
      await route.continue();
    }, { times: 1 });
    await work(feed);
    open();
  };

  await step("a decision shows by itself", async () => {
    const id = await desk.ask("UPDATE orders SET tries = 1 WHERE id = 1");
    const connected = page.waitForResponse((answer) => answer.url().includes("/events"));
    await desk.review(id);
    await connected;
    await desk.agent("POST", `/v1/proposals/${id}/withdraw`, {});
    await outcome("Withdrawn");
  });

  await step("what is handed in shows in the queue", async () => {
    await desk.leave();
    const connected = page.waitForResponse((answer) => answer.url().includes("/events"));
    await desk.go("/");
    await connected;
    const { proposal_id: id } = await desk.propose("UPDATE orders SET tries = 1 WHERE id = 2");
    await page.locator(`a[href$='${id}']`).waitFor({ timeout: 6000 });
    await desk.withdraw(id);
  });

  await step("so does a decision before the feed was there", async () => {
    const id = await desk.ask("UPDATE orders SET tries = 1 WHERE id = 3");
    await late(async (feed) => {
      await desk.review(id);
      await feed;
      await desk.agent("POST", `/v1/proposals/${id}/withdraw`, {});
    });
    await outcome("Withdrawn");
    await desk.leave();
  });

  await step("and what was handed in before the feed was there", async () => {
    let id;
    await late(async (feed) => {
      await desk.go("/");
      await feed;
      id = (await desk.propose("UPDATE orders SET tries = 1 WHERE id = 4")).proposal_id;
    });
    await page.locator(`a[href$='${id}']`).waitFor({ timeout: 6000 });
    await desk.withdraw(id);
  });

  await step("a page that somebody types in stays as it is and says so", async () => {
    const id = await desk.ask("UPDATE orders SET tries = 1 WHERE id = 5");
    const connected = page.waitForResponse((answer) => answer.url().includes("/events"));
    await desk.review(id);
    await connected;
    await desk.unfold();
    await page.locator("form[action$='/reject'] input").pressSequentially("Half a sent");
    await desk.agent("POST", `/v1/proposals/${id}/withdraw`, {});
    await page.locator("[data-live-note]:not([hidden])").waitFor();
    assert.equal(await page.locator("form[action$='/reject'] input").inputValue(), "Half a sent");
    await desk.leave();
  });
};
