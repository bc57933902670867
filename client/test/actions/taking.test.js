import assert from "node:assert/strict";
import { test } from "node:test";
import { Takings } from "../../src/actions/taking.js";
import { row } from "../kit/helpers.js";

const actions = /** @type {any[]} */ ([{ label: "Undo", run: true }, { label: "Delete", run: true, confirm: "Delete it?" }]);

function begun() {
  /** @type {any[]} */
  const [acts, drawn] = [[], []];
  const client = { act: (/** @type {any} */ { id }, /** @type {number} */ index) => acts.push([id, index]) };
  const root = Object.assign(new EventTarget(), { client });
  const takings = new Takings(/** @type {any} */ (root), (id) => drawn.push(id));
  const emit = (/** @type {string} */ name, /** @type {any} */ detail) => root.dispatchEvent(new CustomEvent(name, { detail }));
  return { takings, acts, drawn, emit, notification: row(1, 5, { actions }) };
}

test("a second click does nothing while the server runs the action", () => {
  const { takings, acts, drawn, notification } = begun();
  takings.press(notification, 0);
  takings.press(notification, 0);
  takings.press(notification, 1);
  assert.deepEqual([acts, drawn, takings.of(notification).busy], [[[1, 0]], [1], 0]);
});

test("an action that asks runs after the answer", () => {
  const { takings, acts, notification } = begun();
  takings.press(notification, 1);
  assert.deepEqual([acts, takings.of(notification).asks], [[], 1]);
  takings.cancel(notification);
  assert.deepEqual(takings.of(notification), { arrived: 5 });
  takings.press(notification, 1);
  takings.press(notification, 1);
  assert.deepEqual([acts, takings.of(notification).busy], [[[1, 1]], 1]);
});

test("an action that has failed may be tried again, and says why", () => {
  const { takings, emit, notification } = begun();
  takings.press(notification, 0);
  emit("notify:error", { ref: 7, code: "failed", message: "Another command" });
  assert.equal(takings.of(notification).busy, 0);
  emit("notify:error", { ref: 1, code: "failed", message: "No stock" });
  assert.deepEqual(takings.of(notification), { arrived: 5, problem: "No stock", over: false });
  takings.press(notification, 0);
  emit("notify:error", { ref: 2, code: "bad_command", message: "For developers" });
  assert.equal(takings.of(notification).problem, "");
});

test("an action that can no longer be taken has no button", () => {
  const { takings, emit, notification } = begun();
  takings.press(notification, 0);
  emit("notify:error", { ref: 1, code: "gone", message: "Too late" });
  assert.deepEqual(takings.of(notification), { arrived: 5, problem: "Too late", over: true });
});

test("new content and an outcome end what was begun", () => {
  const { takings, emit, notification } = begun();
  takings.press(notification, 0);
  assert.deepEqual(takings.of({ ...notification, arrived: 6 }), { arrived: 6 });
  emit("notify:change", { notification: { ...notification, outcome: { action: 0, message: "Done", level: "success", url: "" } } });
  assert.deepEqual(takings.of(notification), { arrived: 5 });
});
