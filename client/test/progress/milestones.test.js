import assert from "node:assert/strict";
import { test } from "node:test";
import { Milestones } from "../../src/progress/milestones.js";

/** The announcement at each step: [ms, share]. @param {[number, number][]} steps */
function announced(steps, share = 0) {
  const milestones = new Milestones(share, 0);
  return steps.map(([now, share]) => milestones.reached(share, now));
}

test("each quarter is announced once, and the end is left to its toast", () => {
  assert.deepEqual(announced([[20_000, 0.24], [40_000, 0.25], [60_000, 0.3], [80_000, 0.5], [100_000, 0.8], [120_000, 1]]), [0, 25, 0, 50, 75, 0]);
});

test("a fast task is announced every fifteen seconds, with the quarter that it has reached by then", () => {
  assert.deepEqual(announced([[14_999, 0.3], [15_000, 0.3], [16_000, 0.6], [30_000, 0.8]]), [0, 25, 0, 75]);
});

test("a quarter that was passed before the page came is not announced", () => {
  assert.deepEqual(announced([[20_000, 0.4], [40_000, 0.5]], 0.4), [0, 50]);
});
