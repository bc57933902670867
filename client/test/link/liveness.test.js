import assert from "node:assert/strict";
import { test } from "node:test";
import { Liveness } from "../../src/link/liveness.js";
import { clock } from "../kit/clock.js";

/** @param {import("node:test").TestContext} t */
function liveness(t) {
  clock.start(t);
  /** @type {number[]} */
  const dead = [];
  const monitor = new Liveness(() => dead.push(Date.now()));
  monitor.start(25);
  return { monitor, dead, clock };
}

test("silence for a heartbeat and ten seconds means dead, once", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(34_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
  clock.tick(100_000);
  monitor.check();
  assert.equal(dead.length, 1);
});

test("every sign of life starts the time again", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(30_000);
  monitor._alive();
  clock.tick(34_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("after a sleep the clock decides, although no timer has run", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.set(1_000_000 + 35_000);
  assert.equal(dead.length, 0);
  monitor.check();
  assert.equal(dead.length, 1);
});

test("a doubt after a sleep finds it out at once", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.set(1_000_000 + 35_000);
  monitor._doubt();
  assert.equal(dead.length, 1);
});

test("of a sleep during which one clock stands still, the other one knows", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.step(35_000);
  monitor.check();
  assert.equal(dead.length, 1);
});

test("a wall clock that is set back delays nothing", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(10_000);
  clock.step(-3_600_000);
  monitor._alive();
  clock.tick(34_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("a wall clock that is set back during a silence does not prolong it", (t) => {
  const { dead, clock } = liveness(t);
  clock.tick(10_000);
  clock.step(-3_600_000);
  clock.tick(24_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("a timer that is early looks again", (t) => {
  const { dead, clock } = liveness(t);
  const time = performance.now();
  const early = t.mock.method(performance, "now", () => Math.min(time + 34_990, clock.time));
  t.mock.method(Date, "now", () => performance.now());
  clock.tick(35_000);
  assert.equal(dead.length, 0);
  early.mock.restore();
  clock.tick(10);
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

test("in doubt, no sign of life in ten seconds means dead", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(5_000);
  monitor._doubt();
  clock.tick(9_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("doubt never moves the deadline back", (t) => {
  const { monitor, dead, clock } = liveness(t);
  clock.tick(30_000);
  monitor._doubt();
  clock.tick(5_000);
  assert.equal(dead.length, 1);
});

test("a stopped monitor is silent", (t) => {
  const { monitor, dead, clock } = liveness(t);
  monitor.stop();
  monitor._alive();
  monitor._doubt();
  clock.tick(100_000);
  monitor.check();
  assert.deepEqual(dead, []);
});
