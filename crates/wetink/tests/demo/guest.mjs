// The demo as a guest plays it: a real browser with a virtual authenticator, the real program, its own terminal read.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";

const { chromium } = createRequire(join(process.env.WETINK_NPM, "package.json"))("playwright-core");
const demo = spawn(process.env.WETINK_BIN, ["demo"], { stdio: ["ignore", "pipe", "inherit"] });
let printed = "";
demo.stdout.on("data", (bytes) => { printed += bytes; });
const ended = new Promise((resolve) => demo.on("exit", resolve));

const until = async (what, look, seconds = 30) => {
  for (let left = seconds * 10; left > 0; left -= 1) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not come; the terminal says:\n${printed}`);
};
const said = (pattern) => until(String(pattern), () => pattern.exec(printed));

const browser = await chromium.launch({ executablePath: process.env.WETINK_CHROMIUM, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 720 } })).newPage();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("WebAuthn.enable");
  await devtools.send("WebAuthn.addVirtualAuthenticator", {
    options: { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true },
  });
  const press = (selector) => page.locator(selector).click();

  // Before the passkey is granted it opens nothing.
  const [, join] = await said(/(http:\/\/\S+\/join)/);
  await page.goto(join);
  await page.fill("input[name=person]", "Grace");
  await press("form[data-enroll] button");
  await page.locator("h1", { hasText: "Asked to be let in" }).waitFor();
  const words = await page.locator("p.mono strong").innerText();
  const granted = await said(/Granted to Grace \((\S+)\)/);
  assert.equal(granted[1], words, "browser and terminal show the same words");
  await page.goto(new URL("/login", join).href);
  await press("form[data-sign] button");
  await page.waitForURL((url) => url.pathname === "/");

  // Scene two: read, sign, release.
  const [, refund] = await said(/2\/4[^]*?(http:\/\/\S+\/r\/\S+)/);
  await page.goto(refund);
  assert.match(await page.locator("main").innerText(), /37 of 5,311/);
  await press("form[data-sign] button");
  await said(/Robin sees: held/);
  await page.goto(refund);
  await page.locator("a[href^='/runs/']").first().click();
  await page.check("input[name=rows][value=all]");
  await page.locator("main p.actions button[type=submit]").last().click();
  await press("form[data-sign] button");
  await said(/Robin sees: released · 37 rows/);

  // Scene three: no.
  const [, lie] = await said(/3\/4[^]*?(http:\/\/\S+\/r\/\S+)/);
  await page.goto(lie);
  assert.match(await page.locator("main").innerText(), /1,204/);
  await page.fill("form[action$='/reject'] input[name=sentence]", "Read the task again.");
  await press("form[action$='/reject'] button");
  await said(/Robin sees: rejected · "Read the task again\."/);
  await said(/ok 4\/4/);
  await said(/Now yours: wetink up/);
  console.log("the demo holds");
} finally {
  await browser.close();
  demo.kill("SIGINT");
  await ended;
}
