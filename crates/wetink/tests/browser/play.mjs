// Opens one gateway with a target and a task and plays the scenarios named on the command line at it.
import assert from "node:assert/strict";
import { Desk } from "./desk.mjs";

const desk = await Desk.open();
const step = async (name, work) => {
  const started = Date.now();
  try {
    await work();
    console.log(`ok ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    const shown = await desk.text("body").catch(() => "");
    throw new Error(`${name}: ${error.message}\n  at ${desk.page.url()}\n${shown}`, { cause: error });
  }
};

try {
  await step("prepare", () => desk.prepare());
  for (const scenario of process.argv.slice(2)) {
    const { play } = await import(`./${scenario}.mjs`);
    await play(desk, (name, work) => step(`${scenario}: ${name}`, work));
    assert.deepEqual(desk.problems, [], scenario);
  }
} finally {
  await desk.close();
}
