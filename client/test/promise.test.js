import assert from "node:assert/strict";
import { test } from "node:test";
import { find, follow } from "../src/promise.js";
import { duration } from "../src/toasts.js";
import { at } from "./helpers.js";

/** @import { Notification } from "../src/protocol.js" */

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
  await follow(root, Promise.resolve(42), WORDS);
  assert.deepEqual(said(), [["info", "Uploading"], ["success", "42 bytes"]]);
  const [pending, done] = shown;
  assert.equal(pending.id, done.id);
  assert.ok(pending.id < 0);
  assert.equal(find(done.id), done);
  assert.deepEqual([duration(pending), duration(done)], [Infinity, 8_000]);
  assert.ok(7 < pending.arrived && pending.arrived < done.arrived && done.arrived < 8);
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
