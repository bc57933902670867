import assert from "node:assert/strict";
import { test } from "node:test";
import { Timer } from "../../src/platform/timer.js";
import { clock } from "../kit/clock.js";

test("a timer that is started again, or stopped, does not run", (t) => {
  clock.start(t);
  const timer = new Timer();
  /** @type {string[]} */
  const ran = [];
  timer.start(1_000, () => ran.push("first"));
  timer.start(2_000, () => ran.push("second"));
  clock.tick(1_999);
  assert.equal(ran.length, 0);
  clock.tick(1);
  assert.equal(ran.join(), "second");
  timer.start(1_000, () => ran.push("third"));
  timer.stop();
  clock.tick(10_000);
  assert.equal(ran.join(), "second");
});

test("a wait that does not fit into a browser's timer is as long as one that does", (t) => {
  clock.start(t);
  let ran = 0;
  new Timer().start(10 ** 12, () => (ran += 1));
  clock.tick(2e9 - 1);
  assert.equal(ran, 0);
  clock.tick(1);
  assert.equal(ran, 1);
});
