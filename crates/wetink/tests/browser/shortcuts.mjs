// Single keys go where the help says also when the place is folded away or locked.
import assert from "node:assert/strict";

export const play = async (desk, step) => {
  const { page } = desk;
  const goes = (key, selector) => step(`${key} goes to ${selector}`, async () => {
    await page.evaluate(() => document.activeElement?.blur());
    await page.keyboard.press(key);
    const there = await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);
    assert.ok(there, `the focus is on ${await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 120))}`);
  });

  const low = await desk.ask("UPDATE orders SET status = 'low' WHERE id = 3");
  const high = await desk.ask("DELETE FROM trash");
  await desk.review(low);
  await goes("x", "form[action$='/reject'] input");
  await goes("c", "form[action$='/changes'] input");
  await desk.review(high);
  await goes("a", "[data-arm-input]");
  await goes("x", "form[action$='/reject'] input");
  await desk.go("/");
  await goes("/", "#filter");
  await step("what is typed there filters", async () => {
    await page.keyboard.type("DELETE");
    assert.equal(await page.locator("[data-item]:not([hidden])").count(), 1);
    assert.ok(await page.locator(`[data-item]:not([hidden]) a[href$='${high}']`).isVisible());
  });
  await desk.go("/audit");
  await goes("/", "form[method=get] input");
};
