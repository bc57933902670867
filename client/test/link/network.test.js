import assert from "node:assert/strict";
import { test } from "node:test";
import { Network } from "../../src/link/network.js";
import { clock } from "../kit/clock.js";
import { FakeStorage, forbidStorage, globals } from "../kit/helpers.js";

const MINUTE = 60_000;

/** @param {import("node:test").TestContext} t */
function network(t) {
  clock.start(t);
  const storage = new FakeStorage();
  globals({ localStorage: storage });
  return { storage, subject: new Network(), tab: new Network(), clock };
}

/**
 * Two connections are cut after the same silence.
 * @param {Network} subject
 * @param {number} quiet
 */
function cutTwice(subject, quiet) {
  subject._suspect(quiet);
  subject._suspect(quiet);
}

test("all tabs know for half an hour what one has learned", (t) => {
  const { subject, tab, clock } = network(t);
  assert.deepEqual([tab._winner, tab._beat], [undefined, Infinity]);
  subject._remember("sse");
  cutTwice(subject, 10_000);
  assert.deepEqual([tab._winner, tab._beat], ["sse", 5_000]);
  clock.tick(30 * MINUTE - 1);
  assert.deepEqual([tab._winner, tab._beat], ["sse", 5_000]);
  clock.tick(1);
  assert.deepEqual([tab._winner, tab._beat], [undefined, Infinity]);
});

test("a lesson that was only followed is not prolonged", (t) => {
  const { subject, clock } = network(t);
  subject._remember("sse");
  clock.tick(20 * MINUTE);
  subject._remember("sse");
  clock.tick(10 * MINUTE);
  assert.equal(subject._winner, undefined);
});

test("the shortest silence counts, if it is not below three seconds", (t) => {
  const { subject } = network(t);
  cutTwice(subject, 2_999);
  assert.equal(subject._beat, Infinity);
  cutTwice(subject, 10_000);
  cutTwice(subject, 20_000);
  cutTwice(subject, 8_000);
  assert.equal(subject._beat, 4_000);
});

test("a tab whose storage is forbidden uses its own lesson", (t) => {
  clock.start(t);
  forbidStorage();
  const subject = new Network();
  subject._remember("sse");
  assert.equal(subject._winner, "sse");
});

for (const text of ["{", "null", "5", '{"until": "soon"}', '{"name": "sse", "until": 9e15}']) {
  test(`a stored value in another shape is ignored: ${text}`, (t) => {
    const { subject, storage } = network(t);
    storage.setItem("notify:network:1", text);
    assert.deepEqual([subject._winner, subject._beat], [undefined, Infinity]);
  });
}
