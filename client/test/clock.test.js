import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.js";
import { Liveness } from "../src/liveness.js";
import { FakePage, heard } from "./helpers.js";

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
  const [window, document] = [new FakePage(), new FakePage()];
  const monitor = new Liveness({ window, document });
  monitor.start(25);
  return { monitor, window, document, dead: heard(monitor, "dead"), doubt: heard(monitor, "doubt"), clock: t.mock.timers };
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

for (const [place, type] of /** @type {["window" | "document", string][]} */ ([["window", "online"], ["window", "pageshow"], ["document", "visibilitychange"]])) {
  test(`after a sleep the wall clock decides at ${type}, although no timer has run`, (t) => {
    const { dead, clock, ...page } = liveness(t);
    clock.setTime(1_000_000 + 35_000);
    const before = dead.length;
    page[place].fire(type);
    assert.deepEqual([before, dead.length], [0, 1]);
  });
}

test("looking at the tab in good time changes nothing", (t) => {
  const { document, dead, clock } = liveness(t);
  clock.tick(34_000);
  document.fire("visibilitychange");
  assert.equal(dead.length, 0);
  clock.tick(1_000);
  assert.equal(dead.length, 1);
});

test("another network is a reason to doubt: no sign in ten seconds is death", (t) => {
  const { window, dead, doubt, clock } = liveness(t);
  clock.tick(5_000);
  window.fire("online");
  assert.deepEqual([doubt.length, dead.length], [1, 0]);
  clock.tick(9_999);
  assert.equal(dead.length, 0);
  clock.tick(1);
  assert.equal(dead.length, 1);
});

test("a stopped monitor is silent", (t) => {
  const { monitor, window, dead, doubt, clock } = liveness(t);
  monitor.stop();
  clock.tick(100_000);
  window.fire("online");
  monitor.alive();
  clock.tick(100_000);
  assert.deepEqual([dead, doubt], [[], []]);
});
