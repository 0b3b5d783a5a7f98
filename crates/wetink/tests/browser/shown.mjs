// The page shows other than what is signed: in every part of it that a person reads, the browser must notice.
import assert from "node:assert/strict";

// All that is written otherwise than it stands: a tab, brackets, an arrow, blanks at the end of a line.
const BODY = "UPDATE orders SET status = 'honest'  \n\tWHERE id = 10 -- “⟨ü⟩ → ü” \ud83d\udd8b\n";

const base64 = (text) => Buffer.from(text).toString("base64url");

// What somebody in between could change in the page, each leaving the rest as it is.
const CHANGES = {
  "the bytes for the digest": (html) => html.replace(/data-artifact="([^"]*)"/, (_, real) => {
    const other = Buffer.from(real, "base64url").toString().replace("id = 10", "id = 11");
    return `data-artifact="${base64(other)}"`;
  }),
  "the lines to read": (html) => html.replace(/(<code>[^<]*<span class="tab">[^<]*<\/span>WHERE id = )10/, "$111"),
  "one line left out": (html) => html.replace(/<div class="ln">(?:(?!<\/div>).)*WHERE id = 10.*?<\/div>/s, ""),
  "a character not written out": (html) => html.replace('<span class="hid">⟨U+27E8⟩</span>', ""),
  "blanks at the end": (html) => html.replace('<span class="trail">  </span>', '<span class="trail"> </span>'),
  "the digest to compare": (html) => html.replace(/(<span class="mono data">sha256:)[0-9a-f]{8}/, "$100000000"),
  "the statement to sign": (html) => html.replace(/name="statement" value="([^"]*)"/, (_, real) => {
    const other = Buffer.from(real, "base64url").toString().replace(/^(artifact: sha256:)[0-9a-f]{8}/m, "$100000000");
    return `name="statement" value="${base64(other)}"`;
  }),
};

export const play = async (desk, step) => {
  const { page } = desk;
  let id;

  const through = async (change, look) => {
    const url = `${desk.people}/r/${id}`;
    let changed = false;
    await desk.leave();
    await page.route(url, async (route) => {
      const answer = await route.fetch();
      const real = await answer.text();
      const body = change(real);
      changed = body !== real;
      await route.fulfill({ response: answer, body });
    }, { times: 1 });
    await page.goto(url);
    await look();
    return changed;
  };

  await step("hand in", async () => {
    id = await desk.ask(BODY);
  });

  for (const [what, change] of Object.entries(CHANGES)) {
    await step(what, async () => {
      const changed = await through(change, async () => {
        await page.locator("[data-check]:not([hidden])").waitFor();
        await page.waitForFunction(() => /digest|shows/.test(document.querySelector("[data-check]").textContent));
        assert.match(await desk.text("[data-check]"), /Do not sign/);
        assert.ok(await desk.button().isDisabled());
        // Not even for somebody who takes the lock off the button.
        await desk.button().evaluate((button) => { button.disabled = false; });
        await desk.button().click();
        await page.locator("[data-check].bad", { hasText: "Nothing was signed" }).waitFor();
      });
      assert.ok(changed, "the test changed nothing");
      assert.equal((await desk.get(id)).status, "pending");
    });
  }

  await step("the statement names other bytes, and so do the page's", async () => {
    // Page and statement agree with each other; only the guard knows better.
    const other = BODY.replace("id = 10", "id = 11");
    const { createHash } = await import("node:crypto");
    const sha = createHash("sha256").update(other).digest("hex");
    await through((html) => html
      .replace(/data-artifact="[^"]*"/, `data-artifact="${base64(other)}"`)
      .replace("WHERE id = 10", "WHERE id = 11")
      .replace(/(<span class="mono data">sha256:)[0-9a-f]{64}/, `$1${sha}`)
      .replace(/name="statement" value="([^"]*)"/, (_, real) => {
        const text = Buffer.from(real, "base64url").toString().replace(/^(artifact: sha256:)[0-9a-f]{64}/m, `$1${sha}`);
        return `name="statement" value="${base64(text)}"`;
      }), () => desk.sign());
    assert.ok(await page.locator("h1").innerText() !== "");
    assert.equal(await page.locator("article[data-proposal]").count(), 0, "an error page");
    assert.equal((await desk.get(id)).status, "pending");
  });

  await step("unchanged it is signed", async () => {
    await through((html) => html, async () => {
      await page.locator("[data-check]", { hasText: "same digest" }).waitFor();
      await desk.sign();
    });
    await desk.status(id, "held");
  });

  await step("a hidden character left out", async () => {
    id = await desk.ask("UPDATE orders SET status = 'hid\u200bden' WHERE id = 11");
    const changed = await through((html) => html.replaceAll('<span class="hid">⟨U+200B⟩</span>', ""), () =>
      page.locator("[data-check].bad", { hasText: "Do not sign" }).waitFor({ timeout: 5000 }));
    assert.ok(changed);
    await desk.review(id);
    await page.locator("[data-check]", { hasText: "same digest" }).waitFor();
  });
};
