import assert from "node:assert/strict";
import { test } from "node:test";

import { advance, take } from "../../src/progress/ticks.js";
import { progress, row } from "../kit/helpers.js";

const tick = { id: 1, attempt: 1, done: 50, total: 100, message: "Page 5" };

/** @param {object} [more] */
function running(more) {
  return /** @type {any} */ (row(1, 1, { progress: progress({ done: 40, total: 100, ...more }) }));
}

test("a tick is valid until the row has reached it, or has another total or attempt", () => {
  const before = running();
  take([tick], () => before);
  assert.deepEqual(advance(before).progress, { ...before.progress, done: 50, message: "Page 5" });
  assert.equal(before.progress.done, 40, "the row itself stays");
  const marked = running({ done: 45 });
  assert.equal(advance(marked).progress.done, 50, "a mark brings the row as it was last written");
  const after = running({ done: 50 });
  assert.equal(advance(after), after);
  assert.equal(advance(before), before, "an old tick does not come back");
});

for (const more of [{ attempt: 2, done: 0 }, { total: 20, done: 0 }, { done: 51 }]) {
  test(`a row with ${JSON.stringify(more)} ends the tick`, () => {
    const before = running();
    take([tick], () => before);
    const after = running(more);
    assert.equal(advance(after), after);
  });
}

test("a tick that its row has overtaken is not shown", () => {
  const row = running({ done: 51 });
  take([tick], () => row);
  assert.equal(advance(row), row);
});

test("a mark, which leaves the progress as it is, leaves the tick", () => {
  const before = running();
  take([tick], () => before);
  assert.equal(advance({ ...before, seen_at: before.created_at }).progress.done, 50);
});

test("a tick of an earlier attempt, of a task that has ended, or of an unknown task is ignored", () => {
  for (const known of [running({ attempt: 2 }), running({ state: "succeeded" }), running({ state: "cancelling" }), row(1, 1), null]) {
    take([tick], () => /** @type {any} */ (known));
    assert.equal(advance(/** @type {any} */ (known)), known);
  }
});
