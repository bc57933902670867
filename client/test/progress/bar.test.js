import assert from "node:assert/strict";
import { test } from "node:test";
import { statusText } from "../../src/progress/bar.js";
import { globals, progress } from "../kit/helpers.js";

const LABELS = { left: "about %(time)s left", progress: "%(done)s of %(total)s", queued: "Waiting to start", silent: "No response for a while", lost: "Contact with this task was lost", cancel: "Cancel", cancelling: "Cancelling…" };

test("the text of a task: how much is done, its current step, and that no update comes", () => {
  globals({ document: { documentElement: { lang: "en" } } });
  const of = (/** @type {any} */ more) => statusText(progress(more), /** @type {any} */ (LABELS));
  assert.equal(of({ done: 420, total: 1200 }), "420 of 1,200 (35\u00a0%)");
  assert.equal(of({ done: 420, total: 1200, message: "Page 3" }), "420 of 1,200 (35\u00a0%)\u00a0· Page 3");
  assert.equal(of({ done: 1300, total: 1200 }), "1,300 of 1,200 (100\u00a0%)");
  assert.equal(of({ done: 0, total: 0 }), "0 of 0");
  assert.equal(of({ done: 0.254, total: 1, message: "Reading" }), "25\u00a0%\u00a0· Reading", "a task in steps");
  assert.equal(of({}), "");
  assert.equal(of({ done: 1234 }), "1,234");
  assert.equal(of({ done: 1, silent: true }), "1\u00a0· No response for a while");
  assert.equal(of({ state: "queued", total: 5, silent: true }), "Waiting to start\u00a0· No response for a while");
  assert.equal(of({ state: "cancelling", done: 3, total: 5 }), "Cancelling…");
  assert.equal(of({ state: "lost", silent: true }), "Contact with this task was lost");
  const timed = (/** @type {any} */ time) => statusText(progress({ done: 5, total: "left" in time ? 10 : null }), /** @type {any} */ (LABELS), time);
  assert.deepEqual([{ left: 40 }, { left: 120 }, { left: 5_400 }, { left: null }].map(timed), ["5 of 10 (50\u00a0%)\u00a0· about 40 sec left", "5 of 10 (50\u00a0%)\u00a0· about 2 min left", "5 of 10 (50\u00a0%)\u00a0· about 1.5 hr left", "5 of 10 (50\u00a0%)"]);
  assert.deepEqual([{ elapsed: 1 }, { elapsed: 65 }].map(timed), ["5", "5\u00a0· 1 min"]);
  globals({ document: { documentElement: { lang: "en_US" } } });
  assert.equal(of({ done: 420 }), "420", "an invalid language");
});
