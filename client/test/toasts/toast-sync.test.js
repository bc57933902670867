import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../../src/platform/emitter.js";
import { ToastSync } from "../../src/toasts/toast-sync.js";
import { Toasts } from "../../src/toasts/toasts.js";
import { clock } from "../kit/clock.js";
import { row } from "../kit/helpers.js";

test("a toast closes when its notification is marked, and closing it marks the notification unless another tab closed it", (t) => {
  clock.start(t);
  const toasts = new Toasts({ _limit: () => 3, _holds: () => false });
  const rows = [row(1, 1), row(2, 2), row(3, 3), row(4, 4)];
  for (const notification of rows) toasts.show(notification);
  /** @type {any[]} */
  const marks = [];
  const client = Object.assign(new Emitter(), {
    store: { get: (/** @type {number} */ id) => (id === 4 ? undefined : rows[id - 1]) },
    mark: (/** @type {string} */ mark, /** @type {any[]} */ of) => marks.push([mark, ...of.map(({ id }) => id)]),
  });
  const list = { _region: new EventTarget() };
  new ToastSync(/** @type {any} */ ({ client, toasts, list })).start(new AbortController().signal);
  const change = (/** @type {any} */ notification) => client.dispatchEvent(new CustomEvent("change", { detail: { notification } }));
  change({ ...rows[0], read_at: "2026-11-21" });
  change({ ...rows[1], seen_at: "2026-11-21" });
  client.dispatchEvent(new Event("reset"));
  toasts.show(row(5, 5));
  change({ ...row(5, 6), toast: false });
  assert.deepEqual(toasts.all().map(({ notification }) => notification.id), [3, 2]);
  assert.deepEqual(marks, []);
  toasts.dispatchEvent(new CustomEvent("seen", { detail: { notifications: [rows[1], rows[2]] } }));
  toasts.close(3, "user");
  assert.deepEqual(marks, [["seen", 2, 3], ["dismissed", 3]]);
});

test("a toast whose action was taken stays for as long as its outcome takes to read", (t) => {
  clock.start(t);
  const toasts = new Toasts({ _limit: () => 3, _holds: () => false });
  const asked = row(1, 1, { actions: [{ label: "Approve", run: true }] });
  toasts.show(asked);
  assert.equal(toasts.all()[0].left, Infinity);
  const client = new Emitter();
  new ToastSync(/** @type {any} */ ({ client, toasts, list: { _region: new EventTarget() } })).start(new AbortController().signal);
  const change = (/** @type {any} */ detail) => client.dispatchEvent(new CustomEvent("change", { detail }));
  const outcome = { action: 0, message: "Approved", level: "success", url: "" };
  const acted = { ...asked, position: 2, read_at: "2026-11-21", outcome };
  change({ notification: acted, previous: asked });
  change({ notification: { ...acted, id: 2 }, previous: { ...asked, id: 2 } });
  assert.deepEqual(toasts.all().map(({ notification, left }) => [notification.id, notification.outcome, left]), [[1, outcome, 8_000]]);
  change({ notification: { ...acted, position: 3, archived_at: "2026-11-21" }, previous: acted });
  assert.equal(toasts.size, 0);
});
