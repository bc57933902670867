import assert from "node:assert/strict";
import { test } from "node:test";
import { Eta } from "../../src/progress/eta.js";

/** The estimates after each step: [ms, done]. @param {[number, number][]} steps */
function foretold(steps, total = 1_000) {
  const eta = new Eta(0, 0);
  return steps.map(([now, done]) => {
    eta.update(done, total, now);
    return eta.left(now);
  });
}

test("there is no estimate before five in a hundred are done, or three seconds have passed", () => {
  assert.deepEqual(foretold([[1_000, 10], [2_000, 40], [2_500, 50]]), [null, null, 50]);
  assert.deepEqual(foretold([[2_999, 10], [3_000, 11]]), [null, 300]);
});

test("at a steady pace it counts down, in steps that can be followed", () => {
  const steps = /** @type {[number, number][]} */ ([100, 400, 800, 900, 960, 990].map((done) => [done * 200, done]));
  assert.deepEqual(foretold(steps), [180, 120, 40, 20, 10, 5]);
});

test("a pace that falters does not make it jump; one that breaks down does", () => {
  const eta = new Eta(0, 0);
  eta.update(500, 1_000, 50_000);
  assert.equal(eta.left(50_000), 50);
  eta.update(505, 1_000, 51_000);
  assert.equal(eta.left(51_000), 50, "half the pace for a second: the estimate stays");
  for (let second = 52; second <= 60; second += 1) eta.update(505 + (second - 51) / 10, 1_000, second * 1_000);
  assert.ok((eta.left(60_000) ?? 0) > 90, "a tenth of the pace for ten seconds is another pace");
});

test("a page that comes later estimates by the pace since the task began", () => {
  const eta = new Eta(0, 0);
  eta.update(290, 1_000, 29_000);
  assert.equal(eta.left(29_000), 80);
});

test("a first burst weighs as long as it took", () => {
  const steps = /** @type {[number, number][]} */ ([[500, 100]]);
  for (let second = 1; second <= 10; second += 1) steps.push([500 + second * 1_000, 100 + second * 10]);
  assert.deepEqual(foretold(steps), [5, 15, 30, 30, 40, 50, 50, 60, 60, 60, 70]);
});

test("between two updates it counts down, and there is no estimate once it was wrong", () => {
  const eta = new Eta(0, 0);
  eta.update(500, 1_000, 50_000);
  assert.deepEqual([60_000, 90_000, 100_000, 105_000, 106_000].map((now) => eta.left(now)), [40, 10, 5, 5, null]);
});

test("without a total, or without a step, there is no estimate", () => {
  const eta = new Eta(5, 0);
  eta.update(50, null, 10_000);
  assert.equal(eta.left(10_000), null);
  eta.update(50, 100, 20_000);
  assert.equal(eta.left(20_000), null);
});
