import assert from "node:assert/strict";
import { test } from "node:test";
import { now } from "../../src/platform/clock.js";
import { clock } from "../kit/clock.js";

test("the time follows the clock that went further, and never goes back", (t) => {
  clock.start(t);
  const start = now();
  const since = () => now() - start;
  clock.tick(1_000);
  assert.equal(since(), 1_000);
  // A sleep, during which performance.now() stood still.
  clock.step(600_000);
  assert.equal(since(), 601_000);
  clock.step(-3_600_000);
  assert.equal(since(), 601_000);
  clock.tick(1_000);
  assert.equal(since(), 602_000);
  // Set back while nobody asked for the time.
  clock.step(-3_600_000);
  clock.tick(1_000);
  assert.equal(since(), 603_000);
  clock.set(clock.time - 10_000);
  assert.equal(since(), 603_000);
});
