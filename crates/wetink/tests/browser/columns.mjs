// A result of many columns: the table scrolls in its frame, and what is chosen for each column can be read.
import assert from "node:assert/strict";

export const play = async (desk, step) => {
  const { page } = desk;
  await step("thirty columns", async () => {
    const columns = Array.from({ length: 30 }, (_, i) => `'a value of column ${i}' AS c${i}`);
    const id = await desk.ask(`SELECT ${columns} FROM orders WHERE id < 4`);
    await desk.review(id);
    await desk.sign();
    await desk.status(id, "held");
    await desk.review(id);
    await desk.press("a[href^='/runs/']:not([href$='/receipt'])");
    // Measured once its style is there.
    await page.waitForLoadState("load");
    await page.waitForFunction(() => [...document.styleSheets].some((sheet) => sheet.href));
    for (const viewport of [{ width: 1280, height: 720 }, { width: 390, height: 844 }]) {
      await page.setViewportSize(viewport);
      const seen = await page.evaluate(() => {
        const width = (selector) => Math.min(...[...document.querySelectorAll(selector)].map((one) => one.getBoundingClientRect().width));
        const frame = document.querySelector(".fence");
        // The label of a column stands on one line.
        const lines = Math.max(...[...document.querySelectorAll("th .label")].map((one) => one.getClientRects().length && one.getBoundingClientRect().height));
        return { select: width("th select"), lines, scrolls: frame.scrollWidth > frame.clientWidth, page: document.documentElement.scrollWidth - innerWidth };
      });
      assert.ok(seen.select >= 90, `the choice of a column is ${seen.select} pixels wide at ${viewport.width}`);
      assert.ok(seen.lines < 30, `a label is ${seen.lines} pixels high at ${viewport.width}`);
      assert.ok(seen.scrolls && seen.page <= 0, "the frame scrolls, the page does not");
    }
    await page.setViewportSize({ width: 1280, height: 720 });
    await desk.inspect("columns");
  });
};
