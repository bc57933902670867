import assert from "node:assert/strict";
import { test } from "node:test";
import { Floods } from "../../src/news/floods.js";

test("the seventh within ten seconds is one too many, until they come slowly again", () => {
  const floods = new Floods();
  const over = (/** @type {number[]} */ ...times) => times.map((time) => floods._isOver(time));
  assert.deepEqual(over(0, 1_000, 2_000, 3_000, 4_000, 5_000), Array(6).fill(false));
  assert.deepEqual(over(9_999, 10_000), [true, true]);
  assert.deepEqual(over(13_000), [false]);
  const other = new Floods();
  for (let time = 0; time < 60_000; time += 1_700) assert.equal(other._isOver(time), false, String(time));
});
