// Everything by keyboard: every control of every page is reached and shows it, single keys go where the help says.
import assert from "node:assert/strict";

// Presses Tab through the whole page. Answers what was never reached and what did not show the focus.
const walk = async (page) => {
  const controls = await page.evaluate(() => {
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")];
    const radios = new Set();
    const stops = all.filter((one) => {
      if (one.disabled || one.type === "hidden" || !one.checkVisibility({ visibilityProperty: true })) return false;
      // Of a group of radio buttons Tab reaches one; arrows reach the others.
      if (one.type === "radio") return one.checked && !radios.has(one.name) && radios.add(one.name);
      return true;
    });
    stops.forEach((one) => { one.dataset.stop = "never reached"; });
    document.querySelector(".skip").focus();
    return stops.length;
  });
  for (let presses = 0; presses < controls + 20; presses += 1) {
    await page.evaluate(() => {
      const one = document.activeElement;
      if (!one?.dataset.stop) return;
      const style = getComputedStyle(one);
      const box = one.getBoundingClientRect();
      const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
      const inView = box.bottom > 0 && box.right > 0 && box.top < innerHeight && box.left < innerWidth;
      one.dataset.stop = ring && inView ? "" : `ring ${ring}, in view ${inView}`;
    });
    await page.keyboard.press("Tab");
  }
  return page.evaluate(() => [...document.querySelectorAll("[data-stop]")].filter((one) => one.dataset.stop !== "")
    .map((one) => `${one.dataset.stop}: ${one.outerHTML.slice(0, 120)}`));
};

export const play = async (desk, step) => {
  const { page } = desk;
  const focused = (selector) => page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector);
  const keys = async (key, selector, what) => {
    await page.keyboard.press(key);
    assert.ok(await focused(selector), `${what}: the focus is on ${await page.evaluate(() => document.activeElement?.outerHTML.slice(0, 120))}`);
  };
  let id;

  await step("every control is reached and shows it", async () => {
    id = await desk.ask("SELECT id, status, customer FROM orders WHERE id < 4");
    await desk.review(id);
    await desk.sign();
    const { run } = JSON.parse(await desk.status(id, "held") && await desk.terminal(`/api/v1/proposals/${id}`));
    const low = await desk.ask("UPDATE orders SET status = 'low' WHERE id = 3");
    const high = await desk.ask("DELETE FROM trash");
    for (const path of [`/r/${low}`, `/r/${high}`, `/runs/${run}`, "/", "/tasks", `/tasks/${desk.task}`, "/settings", "/audit", "/alerts"]) {
      await desk.go(path);
      await desk.unfold();
      if (path === `/r/${low}`) await page.locator("form[data-sign] button:not([disabled])").waitFor();
      assert.deepEqual(await walk(page), [], path);
    }
    for (const one of [low, high]) await desk.withdraw(one);
  });

  await step("pages of whoever is not signed in too", async () => {
    const context = await desk.browser.newContext();
    const other = await context.newPage();
    for (const path of ["/login", "/enroll", "/join"]) {
      await other.goto(desk.people + path);
      await desk.constructor.unfold(other);
      assert.deepEqual(await walk(other), [], path);
    }
    await context.close();
  });

  await step("the first Tab leads past the navigation", async () => {
    await desk.go("/audit");
    await page.locator(".skip").focus();
    assert.ok((await page.locator(".skip").boundingBox()).x >= 0, "seen while focused");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.ok(await page.evaluate(() => document.querySelector("main").contains(document.activeElement)));
  });

  await step("from the queue to the signature, which no single key gives", async () => {
    id = await desk.ask("UPDATE orders SET status = 'typed' WHERE id = 1");
    await desk.go("/");
    await keys("j", `a[href$='${id}']`, "j");
    await page.keyboard.press("o");
    await page.locator("form[data-sign] button:not([disabled])").waitFor();
    await keys("a", "form[data-sign] button", "a");
    assert.equal((await desk.get(id)).status, "pending", "`a` never signs");
    await page.keyboard.press("Enter");
    await desk.status(id, "held");
    await desk.leave();
  });

  await step("the help lists keys, closes with Escape, and switches them off", async () => {
    id = await desk.ask("UPDATE orders SET status = 'never' WHERE id = 2");
    await desk.review(id);
    await page.keyboard.press("?");
    assert.ok(await page.locator("#help").evaluate((dialog) => dialog.open));
    await page.keyboard.press("Escape");
    assert.ok(!(await page.locator("#help").evaluate((dialog) => dialog.open)));
    await page.keyboard.press("?");
    await page.uncheck("#keys-on");
    await page.keyboard.press("Escape");
    await page.locator("form[data-sign] button:not([disabled])").waitFor();
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("a");
    assert.ok(!(await focused("form[data-sign] button")), "off is off");
    await page.reload();
    await page.locator("form[data-sign] button:not([disabled])").waitFor();
    await page.keyboard.press("a");
    assert.ok(!(await focused("form[data-sign] button")), "and stays off");
    await page.locator("#keys").click();
    await page.check("#keys-on");
    await page.keyboard.press("Escape");
    await desk.withdraw(id);
  });
};
