import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../src/link/backoff.js";

test("a wait lies anywhere between the least and a ceiling that doubles after the second try, up to the most", (t) => {
  const random = t.mock.method(Math, "random", () => 1);
  const longest = new Backoff();
  assert.deepEqual(Array.from({ length: 7 }, () => longest.next()), [2_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  random.mock.mockImplementation(() => 0);
  const shortest = new Backoff();
  assert.deepEqual([shortest.next(), shortest.next(), shortest.next()], [500, 500, 500]);
});

test("the jitter is drawn after the cap, so that clients that failed long stay apart", (t) => {
  const draws = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
  t.mock.method(Math, "random", () => draws.shift());
  const backoff = new Backoff();
  const waits = Array.from({ length: 8 }, () => backoff.next());
  assert.equal(new Set(waits).size, 8);
});

test("after a reset the ceiling is low again", (t) => {
  t.mock.method(Math, "random", () => 1);
  const backoff = new Backoff();
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 2_000);
});

test("after giving way the highest ceiling holds, until a reset", (t) => {
  t.mock.method(Math, "random", () => 1);
  const backoff = new Backoff();
  backoff._giveWay();
  assert.deepEqual([backoff.next(), backoff.next()], [20_000, 20_000]);
  backoff.reset();
  assert.equal(backoff.next(), 2_000);
});
