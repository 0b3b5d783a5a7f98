// Text of agents and targets that wants to be markup, script or invisible. Each is shown; none does anything.
import assert from "node:assert/strict";

const HIDDEN = "\u202e\u2066\u200b\u00ad\ufeff\u{e0041}\u0007\u001b";
const MARKUP = "</code></script><script>window.owned=1</script><img src=x onerror=window.owned=1>'\"><svg onload=window.owned=1>&lt;b&gt;";
// What could run, load or take the page's place, had it become markup.
const FOREIGN = "main :is(script, img, svg, iframe, object, embed, link, style, base, meta, b, [onload], [onerror], [onfocus])";
const INVISIBLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\u0007\u001b]|[\u{e0000}-\u{e007f}]/u;

const written = (text) => [...text].map((c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`).join("");

export const play = async (desk, step) => {
  const { page } = desk;

  const harmless = async () => {
    assert.equal(await page.evaluate(() => window.owned ?? null), null, "a script of the data ran");
    assert.equal(await page.locator(FOREIGN).count(), 0, "data became markup");
    const text = await page.evaluate(() => document.body.textContent + document.title);
    assert.ok(!INVISIBLE.test(text), `a hidden character is on the page: ${JSON.stringify(INVISIBLE.exec(text)?.[0])}`);
  };

  let id;
  await step("in the statement, its comments and the purpose", async () => {
    const body = `UPDATE orders SET status = '${MARKUP.replaceAll("'", "''")}${HIDDEN}' WHERE id = 3 -- ${HIDDEN} ${MARKUP}\n/* ${HIDDEN}${MARKUP} */`;
    id = await desk.ask(body, `${HIDDEN}${MARKUP}`);
    await desk.review(id);
    await harmless();
    const lines = await page.locator("[data-code] .ln code").allTextContents();
    assert.equal(lines.length, 2);
    assert.equal(lines.join("\n").split(written(HIDDEN)).length, 4, "in the string, in both comments");
    assert.ok(lines[0].includes(MARKUP), "the markup stands there to the letter");
    assert.ok((await page.locator("section.agent blockquote").textContent()).includes(written(HIDDEN) + MARKUP));
    assert.match(await desk.text("section.bytes .bar"), /24 hidden characters, shown as ⟨U\+…⟩/);
    assert.match(await desk.text("section.card .findings"), /hidden/i);
    await page.locator("[data-check]", { hasText: "same digest" }).waitFor();
    assert.equal(await page.locator("form[action$='/take-over'] textarea").inputValue(), "", "not offered for copying");
    await desk.inspect("hidden");
  });

  await step("in the queue", async () => {
    await desk.go("/");
    await page.locator(`a[href$='${id}']`).waitFor();
    await harmless();
  });

  await step("in a person's own sentence, and where the agent reads it", async () => {
    const sentence = `No. ${MARKUP}`;
    await desk.answer(id, "reject", sentence);
    await harmless();
    assert.ok((await page.locator(".outcome blockquote").textContent()).includes(sentence));
    assert.equal((await desk.get(id)).reason, sentence);
  });

  await step("in the target's rows and names of columns, held and released", async () => {
    id = await desk.ask("SELECT id, note, \"<b>bold</b>\" AS \"<img src=x onerror=window.owned=1>\" FROM notes");
    await desk.review(id);
    await harmless();
    await desk.sign();
    await desk.status(id, "held");
    await desk.review(id);
    await desk.press("a[href^='/runs/']:not([href$='/receipt'])");
    await harmless();
    assert.deepEqual(await page.locator("th .data").allTextContents(), ["id", "note", "<img src=x onerror=window.owned=1>"]);
    const cells = await page.locator("td.data:nth-child(3)").allTextContents();
    assert.equal(cells[0], "<script>window.owned = 'cell'</script>");
    assert.ok(cells[2].startsWith(`${written("\u202e")}desrever${written("\u2066\u200b\u0007\u001b")}[31m`), cells[2]);
    await desk.inspect("held-hostile");
    await page.check("input[name=rows][value=all]");
    for (const select of await page.locator("th select").all()) await select.selectOption("show");
    await desk.press("main p.actions button[type=submit]");
    await harmless();
    await desk.sign();
    await desk.status(id, "released");
    await desk.review(id);
    await desk.unfold();
    await harmless();
  });

  await step("in the name of a task, of an agent and of a person who asks", async () => {
    await desk.openTask(`Tidy ${MARKUP.slice(0, 120)}`, ["read main.notes"]);
    await harmless();
    for (const path of ["/tasks", "/settings"]) {
      await desk.go(path);
      await desk.unfold();
      await harmless();
    }
  });

  await step("in the log", async () => {
    await desk.go(`/audit?target=${encodeURIComponent(MARKUP)}&actor=${encodeURIComponent(HIDDEN)}`);
    await harmless();
    await desk.go("/audit");
    await desk.unfold();
    await harmless();
  });

  await step("in an address", async () => {
    for (const path of [`/r/${encodeURIComponent(MARKUP)}`, `/login?next=${encodeURIComponent("javascript:window.owned=1//")}`]) {
      await desk.go(path);
      await harmless();
    }
    assert.equal(await page.locator("input[name=next]").first().inputValue(), "/");
  });
};
