// Pages as they look when unfolded, full, or gone wrong: both themes, both sizes, no violation, nothing too wide.
import assert from "node:assert/strict";

const LONG = "x".repeat(180);

export const play = async (desk, step) => {
  const { page } = desk;
  const inspect = (name, path, prepare = async () => {}) => step(name, async () => {
    if (path) await desk.go(path);
    await desk.unfold();
    await prepare();
    await desk.inspect(`open-${name}`);
  });

  // Text that does not break, more columns than fit, and names as long as they may be.
  const wide = await desk.ask(
    `SELECT id, '${LONG}' AS a${LONG.slice(0, 50)}, ${Array.from({ length: 24 }, (_, i) => `'cell ${i}' AS c${i}`)} FROM orders WHERE id < 9`,
    LONG.repeat(2),
  );
  await inspect("review", `/r/${wide}`);
  await step("sign it", async () => {
    await desk.sign();
    await desk.status(wide, "held");
  });
  await inspect("outcome", `/r/${wide}`);
  await inspect("held", null, async () => {
    await desk.press("a[href^='/runs/']:not([href$='/receipt'])");
    assert.equal(await page.locator("th select").count(), 26);
  });
  const grave = await desk.ask("DELETE FROM trash");
  await inspect("grave", `/r/${grave}`, async () => {
    const words = /^words\s+(\S+)$/m.exec(await desk.terminal(`/api/v1/from-guard/${grave}`))[1];
    await page.fill("[data-arm-input]", "main.trash");
    await page.fill("[data-words-input]", words);
    await page.locator("form[data-sign] button:not([disabled])").waitFor({ timeout: 9000 });
  });
  await step("a task with a long name", () => desk.openTask(`Tidy ${LONG}`, ["read main.notes(id,note)"]));
  await inspect("task");
  await inspect("settings", "/settings");
  await inspect("queue", "/?group=all");
  await inspect("audit", "/audit");
  await inspect("alerts", "/alerts");
  await inspect("help", "/audit", () => page.locator("#keys").click());
  await inspect("login", "/login");
  await inspect("join", "/join");
  await inspect("missing", `/r/${LONG}`);
  await inspect("stopped", "/tasks", async () => {
    await page.fill("form[action='/stop'] input[name=scope]", "target:shop");
    await desk.press("#stop button");
    await desk.unfold();
    await page.locator(".stopped").waitFor();
  });
};
