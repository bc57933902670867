import assert from "node:assert/strict";
import { test } from "node:test";
import { keep, release } from "../../src/progress/memory.js";
import { progress, row } from "../kit/helpers.js";

/** @param {number} id @param {any} [more] */
const task = (id, more) => row(id, id, { progress: progress(more) });

test("each task, attempt and kind has its own, made once", () => {
  const first = keep(task(1), "eta", () => ({}));
  assert.equal(keep(task(1, { done: 7 }), "eta", () => ({})), first);
  assert.notEqual(keep(task(1), "milestones", () => ({})), first);
  assert.notEqual(keep(task(1, { attempt: 2 }), "eta", () => ({})), first);
  assert.notEqual(keep(task(11), "eta", () => ({})), first);
});

test("a task that is not running any more is forgotten", () => {
  const [first, second] = [1, 11].map((id) => keep(task(id), "eta", () => ({})));
  release((id) => id === 11);
  assert.notEqual(keep(task(1), "eta", () => ({})), first);
  assert.equal(keep(task(11), "eta", () => ({})), second);
});
