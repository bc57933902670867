import assert from "node:assert/strict";
import { test } from "node:test";
import { find, follow, pending } from "../../src/progress/promise.js";
import { duration } from "../../src/toasts/toasts.js";
import { at } from "../kit/helpers.js";

/** @import { Notification } from "../../src/protocol.js" */

/** A root at this position, and the notifications that it has shown. */
function stage(/** @type {number} */ position) {
  /** @type {Notification[]} */
  const shown = [];
  const root = { show: (/** @type {Notification} */ notification) => shown.push(notification), getAttribute: () => at(position) };
  return { shown, root: /** @type {any} */ (root), texts: () => shown.map(({ level, message }) => [level, message]) };
}

const TEXTS = {
  loading: "Uploading",
  success: (/** @type {number} */ size) => `${size} bytes`,
  error: (/** @type {any} */ reason) => `No: ${reason.message ?? reason.status}`,
};

test("a promise is a toast that stays while it is pending, and its result in the same place", async () => {
  const { shown, root, texts } = stage(7);
  const work = follow(root, Promise.resolve(42), TEXTS);
  const [first] = shown;
  assert.equal(find(first.id), first);
  assert.deepEqual(pending(), [first]);
  await work;
  assert.deepEqual(texts(), [["info", "Uploading"], ["success", "42 bytes"]]);
  const done = shown[1];
  assert.equal(first.id, done.id);
  assert.ok(first.id < 0);
  assert.deepEqual([duration(first), duration(done)], [Infinity, 8_000]);
  assert.ok(7 < first.arrived && first.arrived < done.arrived && done.arrived < 8);
});

test("work that has ended is forgotten, and its id is not used again", async () => {
  const { shown, root } = stage(0);
  for (const work of [Promise.resolve(1), Promise.reject(new Error("offline"))]) await follow(root, work, TEXTS);
  assert.deepEqual(pending(), []);
  assert.deepEqual(shown.map(({ id }) => find(id)), [undefined, undefined, undefined, undefined]);
  assert.notEqual(shown[0].id, shown[2].id);
});

test("work that fails shows why, and so does a Response that is not ok", async () => {
  const { texts, shown, root } = stage(0);
  await follow(root, Promise.reject(new Error("offline")), TEXTS);
  await follow(root, Promise.resolve(new Response("", { status: 500 })), { ...TEXTS, success: "Saved" });
  assert.deepEqual(texts().map(([level, message]) => `${level} ${message}`), ["info Uploading", "error No: offline", "info Uploading", "error No: 500"]);
  assert.notEqual(shown[0].id, shown[2].id);
  assert.equal(shown[3].progress?.state, "failed");
});

test("texts may be left out, and a text whose function throws is a failure", async () => {
  const { texts, root } = stage(0);
  await follow(root, Promise.resolve(new Response()), { loading: "Saving" });
  const success = () => {
    throw new Error("no text");
  };
  await follow(root, Promise.resolve(1), { ...TEXTS, success });
  assert.deepEqual(texts(), [["info", "Saving"], ["success", "Saving"], ["info", "Uploading"], ["error", "No: no text"]]);
});

test("a failure whose text throws has ended all the same", async () => {
  const { texts, root } = stage(0);
  const error = () => {
    throw new TypeError("no text");
  };
  await assert.rejects(follow(root, Promise.reject(undefined), { ...TEXTS, error }), TypeError);
  assert.deepEqual(texts(), [["info", "Uploading"], ["error", "Uploading"]]);
});
