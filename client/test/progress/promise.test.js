import assert from "node:assert/strict";
import { test } from "node:test";
import { find, follow, pending } from "../../src/progress/promise.js";
import { duration } from "../../src/toasts/toasts.js";
import { at } from "../kit/helpers.js";

/** @import { Notification } from "../../src/protocol.js" */

/** A root at this position, and what it was given to show. */
function stage(/** @type {number} */ position) {
  /** @type {Notification[]} */
  const shown = [];
  const root = { show: (/** @type {Notification} */ notification) => shown.push(notification), getAttribute: () => at(position) };
  return { shown, root: /** @type {any} */ (root), said: () => shown.map(({ level, message }) => [level, message]) };
}

const WORDS = {
  loading: "Uploading",
  success: (/** @type {number} */ size) => `${size} bytes`,
  error: (/** @type {any} */ reason) => `No: ${reason.message ?? reason.status}`,
};

test("a promise is a toast that stays while it is pending, and its result in the same place", async () => {
  const { shown, root, said } = stage(7);
  const work = follow(root, Promise.resolve(42), WORDS);
  const [first] = shown;
  assert.equal(find(first.id), first);
  assert.deepEqual(pending(), [first]);
  await work;
  assert.deepEqual(said(), [["info", "Uploading"], ["success", "42 bytes"]]);
  const done = shown[1];
  assert.equal(first.id, done.id);
  assert.ok(first.id < 0);
  assert.deepEqual([duration(first), duration(done)], [Infinity, 8_000]);
  assert.ok(7 < first.arrived && first.arrived < done.arrived && done.arrived < 8);
});

test("what has ended is let go of, and its id is not given again", async () => {
  const { shown, root } = stage(0);
  for (const work of [Promise.resolve(1), Promise.reject(new Error("offline"))]) await follow(root, work, WORDS);
  assert.deepEqual(pending(), []);
  assert.deepEqual(shown.map(({ id }) => find(id)), [undefined, undefined, undefined, undefined]);
  assert.notEqual(shown[0].id, shown[2].id);
});

test("what fails says why, and so does an answer that is not ok", async () => {
  const { said, shown, root } = stage(0);
  await follow(root, Promise.reject(new Error("offline")), WORDS);
  await follow(root, Promise.resolve(new Response("", { status: 500 })), { ...WORDS, success: "Saved" });
  assert.deepEqual(said().map(([level, message]) => `${level} ${message}`), ["info Uploading", "error No: offline", "info Uploading", "error No: 500"]);
  assert.notEqual(shown[0].id, shown[2].id);
  assert.equal(shown[3].progress?.state, "failed");
});

test("words may be left out, and words that cannot be made are a failure", async () => {
  const { said, root } = stage(0);
  await follow(root, Promise.resolve(new Response()), { loading: "Saving" });
  const success = () => {
    throw new Error("no words");
  };
  await follow(root, Promise.resolve(1), { ...WORDS, success });
  assert.deepEqual(said(), [["info", "Saving"], ["success", "Saving"], ["info", "Uploading"], ["error", "No: no words"]]);
});

test("a failure whose words cannot be made has ended all the same", async () => {
  const { said, root } = stage(0);
  const error = () => {
    throw new TypeError("no words");
  };
  await assert.rejects(follow(root, Promise.reject(undefined), { ...WORDS, error }), TypeError);
  assert.deepEqual(said(), [["info", "Uploading"], ["error", "Uploading"]]);
});
