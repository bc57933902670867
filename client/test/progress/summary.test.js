import assert from "node:assert/strict";
import { test } from "node:test";
import { hasGrown, summarize } from "../../src/progress/summary.js";
import { progress, row } from "../kit/helpers.js";

const LABELS = /** @type {any} */ ({ task: "1 task running", tasks: "%(count)s tasks running" });

/** @param {number} id @param {any} [more] */
const task = (id, more) => row(id, id, { progress: progress(more) });

test("tasks are counted, and their share is the mean of those that know theirs", () => {
  const of = (/** @type {any[]} */ ...tasks) => Object.values(summarize(tasks.map((more, id) => task(id, more)), LABELS));
  assert.deepEqual(of({}), ["1 task running", null]);
  assert.deepEqual(of({}, { done: 7 }, { total: 0 }), ["3 tasks running", null]);
  assert.deepEqual(of({ done: 1, total: 2 }), ["1 task running, 50\u00a0%", 50]);
  assert.deepEqual(of({ done: 1, total: 3 }, { done: 5, total: 3 }, { state: "queued", total: 8 }, {}), ["4 tasks running, 44\u00a0%", 44]);
});

test("tasks have begun if there are more, and one has not changed yet", () => {
  const four = [1, 2, 3, 4].map((id) => task(id));
  assert.equal(hasGrown(four, 0), true);
  assert.equal(hasGrown(four, 4), false);
  assert.equal(hasGrown(four.map((each) => ({ ...each, position: 99 })), 0), false);
});
