// Several proposals of one task, each read and ticked, one gesture.
import assert from "node:assert/strict";

export const play = async (desk, step) => {
  const { page } = desk;
  const ids = [];

  const open = async (wanted) => {
    await desk.go("/");
    await desk.unfold();
    const form = page.locator("form[action='/together']");
    for (const id of wanted) await form.locator(`input[value='${id}']`).check();
    await form.locator("button").click();
  };
  const ticks = () => page.locator("[data-tick]");

  await step("hand in", async () => {
    for (const n of [21, 22, 23, 24]) ids.push(await desk.ask(`UPDATE orders SET tries = tries + 1 WHERE id = ${n}`));
    // Every row: grave, so it is not among them.
    ids.push(await desk.ask("UPDATE orders SET tries = tries + 1"));
    await desk.go("/");
    await desk.unfold();
    assert.equal(await page.locator("form[action='/together'] input[type=checkbox]").count(), 4);
  });

  await step("one alone is no list", async () => {
    await open(ids.slice(0, 1));
    assert.match(await desk.text("main"), /2 to 20/);
  });

  await step("another line than the one that is signed", async () => {
    await page.route((url) => url.pathname === "/together", async (route) => {
      const answer = await route.fetch();
      const real = await answer.text();
      const body = real.replace(/(<code>[^<]*WHERE id = )22/, "$129");
      assert.notEqual(body, real);
      await route.fulfill({ response: answer, body });
    }, { times: 1 });
    await open(ids.slice(0, 3));
    await page.locator("[data-check]:not([hidden])").waitFor();
    assert.match(await desk.text("[data-check]"), /Do not sign/);
    for (const tick of await ticks().all()) await tick.check();
    assert.ok(await desk.button().isDisabled());
  });

  await step("each is read and ticked before the button works", async () => {
    await open(ids.slice(0, 3));
    assert.equal(await page.locator("[data-together]").count(), 3);
    await desk.inspect("together");
    for (const tick of await ticks().all()) {
      assert.ok(await desk.button().isDisabled());
      await tick.check();
    }
    await desk.sign();
    for (const id of ids.slice(0, 3)) await desk.status(id, "held");
    for (const id of ids.slice(3)) await desk.status(id, "pending");
  });

  await step("in dark and narrow", async () => {
    ids.push(await desk.ask("UPDATE orders SET tries = tries + 1 WHERE id = 25"));
    await page.emulateMedia({ colorScheme: "dark" });
    await page.setViewportSize({ width: 390, height: 844 });
    await open([ids[3], ids[5]]);
    await desk.inspect("together-narrow");
    await page.setViewportSize({ width: 1280, height: 720 });
    await page.emulateMedia({ colorScheme: "light" });
  });
};
