import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../../src/link/backoff.js";
import { Liveness } from "../../src/link/liveness.js";

test("a wait lies anywhere between the least and a ceiling that doubles after the second try, up to the most", () => {
  const longest = new Backoff({ random: () => 1 });
  assert.deepEqual(Array.from({ length: 7 }, () => longest.next()), [2_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  const shortest = new Backoff({ random: () => 0 });
  assert.deepEqual([shortest.next(), shortest.next(), shortest.next()], [500, 500, 500]);
});

test("the jitter is drawn after the cap, so that clients that failed long stay apart", () => {
  const draws = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
  const backoff = new Backoff({ random: () => /** @type {number} */ (draws.shift()) });
  const waits = Array.from({ length: 8 }, () => backoff.next());
  assert.equal(new Set(waits).size, 8);
});

test("after a reset the ceiling is low again", () => {
  const backoff = new Backoff({ random: () => 1 });
  backoff.next();
  backoff.next();
  backoff.reset();
  assert.equal(backoff.next(), 2_000);
});

test("who gives way draws from the highest ceiling, until a reset", () => {
  const backoff = new Backoff({ random: () => 1 });
  backoff.giveWay();
  assert.deepEqual([backoff.next(), backoff.next()], [20_000, 20_000]);
  backoff.reset();
  assert.equal(backoff.next(), 2_000);
});

/** @param {import("node:test").TestContext} t */
function liveness(t) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  /** @type {number[]} */
  const dead = [];
  const monitor = new Liveness(() => dead.push(Date.now()));
  monitor.start(25);
  return { monitor, dead, clock: t.mock.timers };
}

test("silence for a heartbeat and ten seconds is death, once", (t) => {
  const { dead, clock } = liveness(t);
  clock.tick(34_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
  clock.tick(100_000);
  assert.equal(dead.length, 1);
});

test("every sign of life starts the time anew", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(30_000);
  monitor.alive();
  clock.tick(34_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("after a sleep the wall clock decides, although no timer has run", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.setTime(1_000_000 + 35_000);
  assert.equal(dead.length, 0);
  monitor.check();
  assert.equal(dead.length, 1);
});

test("a check in good time changes nothing", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(34_000);
  monitor.check();
  assert.equal(dead.length, 0);
  clock.tick(1_000);
  assert.equal(dead.length, 1);
});

test("in doubt, no sign in ten seconds is death", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(5_000);
  monitor.doubt();
  clock.tick(9_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("doubt puts nothing off", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(30_000);
  monitor.doubt();
  clock.tick(5_000);
  assert.equal(dead.length, 1);
});

test("a stopped monitor is silent", (t) => {
  const { monitor, dead, clock } = liveness(t);
  monitor.stop();
  monitor.alive();
  monitor.doubt();
  clock.tick(100_000);
  monitor.check();
  assert.deepEqual(dead, []);
});
