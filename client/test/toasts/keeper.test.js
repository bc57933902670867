import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../src/mailbox/store.js";
import { Keeper } from "../../src/toasts/keeper.js";
import { Toasts } from "../../src/toasts/toasts.js";
import { clock } from "../kit/clock.js";
import { FakeStorage, globals, progress, row, settled, snapshot } from "../kit/helpers.js";

/** A page with one toast for each notification, and its keeper. */
function keeping(/** @type {import("node:test").TestContext} */ t, /** @type {FakeStorage} */ storage, /** @type {import("../../src/protocol.js").Notification[]} */ notifications = [], user = "alice", site = "/notify/") {
  clock.start(t);
  /** @type {any} */
  const client = { store: new Store(), state: "open", _commands: { _pending: [] }, _resume: (/** @type {any} */ commands) => (client.resumed = commands) };
  client.store._apply(snapshot(notifications.length, notifications));
  const toasts = new Toasts({ _limit: () => 3, _holds: () => false });
  for (const notification of notifications) toasts.show(notification);
  const running = new AbortController();
  globals({ sessionStorage: storage });
  const keeper = new Keeper({ user, site, client, toasts, signal: running.signal });
  return { client, toasts, running, keeper };
}

test("the next page goes on with the cursor, the toasts and the time that they had left", (t) => {
  const storage = new FakeStorage();
  const before = keeping(t, storage, [row(1, 1), row(2, 2, { level: "error" })]);
  clock.pass(3_000);
  before.keeper._save();
  const after = keeping(t, storage);
  assert.equal(after.keeper._restore(), true);
  assert.equal(after.client.store.cursor, before.client.store.cursor);
  assert.deepEqual(after.toasts.all().map(({ notification, left, quiet }) => [notification.id, left, quiet]), [[2, Infinity, true], [1, 5_000, true]]);
});

test("the next page knows the tasks that run although their toasts are closed", (t) => {
  const storage = new FakeStorage();
  const task = (/** @type {number} */ id, /** @type {any} */ more) => row(id, id, { progress: progress(more) });
  const before = keeping(t, storage, [task(1, {}), task(2, { state: "lost" }), task(3, { ended_at: "2026-11-21T12:00:00+00:00" })]);
  for (const id of [1, 2, 3]) before.toasts.close(id, "user");
  before.keeper._save();
  const after = keeping(t, storage);
  after.keeper._restore();
  assert.deepEqual(after.client.store.all().map((/** @type {any} */ { id }) => id), [1]);
  assert.equal(after.toasts.size, 0);
});

test("without a record nothing is restored", (t) => {
  assert.equal(keeping(t, new FakeStorage()).keeper._restore(), false);
});

test("a record is restored for its user alone", (t) => {
  const storage = new FakeStorage();
  keeping(t, storage, [row(1, 1)]).keeper._save();
  assert.equal(keeping(t, storage).keeper._restore(), true);
  assert.equal(keeping(t, storage, [], "bob").keeper._restore(), false);
  assert.equal(storage.items.size, 0, "the record that bob found is wiped");
});

test("each site of an origin has a record of its own", (t) => {
  const storage = new FakeStorage();
  keeping(t, storage, [row(1, 1, { level: "error" })], "alice", "/a/notify/").keeper._save();
  const other = keeping(t, storage, [], "bob", "/b/notify/").keeper;
  assert.equal(other._restore(), false);
  other._save();
  const back = keeping(t, storage, [], "alice", "/a/notify/");
  assert.deepEqual([back.keeper._restore(), back.toasts.size], [true, 1]);
});

test("there is one record; one that cannot be read is wiped, and one that cannot be written leaves no older one", (t) => {
  const storage = new FakeStorage();
  const { keeper } = keeping(t, storage, [row(1, 1)]);
  keeper._save();
  keeper._save();
  assert.equal(storage.items.size, 1);
  storage.setItem = () => {
    throw new Error("full");
  };
  keeper._save();
  assert.equal(storage.items.size, 0);
  storage.items.set("notify:/notify/", "{");
  assert.equal(keeper._restore(), false);
  assert.equal(storage.items.size, 0);
});

test("with a forbidden storage nothing is kept", (t) => {
  const forbidden = /** @type {any} */ (null);
  const { keeper } = keeping(t, forbidden, [row(1, 1)]);
  keeper._save();
  assert.equal(keeper._restore(), false);
});

test("the changes of one document are saved once, and nothing is saved after closing or stopping", async (t) => {
  const storage = new FakeStorage();
  const write = t.mock.method(storage, "setItem");
  const { keeper, client, running } = keeping(t, storage, [row(1, 1)]);
  keeper._saveSoon();
  keeper._saveSoon();
  await settled();
  assert.equal(write.mock.callCount(), 1);
  client.state = "closed";
  keeper._save();
  client.state = "open";
  keeper._saveSoon();
  running.abort();
  await settled();
  assert.equal(write.mock.callCount(), 1);
  keeper._forget();
  assert.equal(storage.items.size, 0);
});

test("the next page goes on with the marks that were not answered; an older release keeps none", (t) => {
  const storage = new FakeStorage();
  const before = keeping(t, storage, [row(1, 1)]);
  before.client._commands._pending = [{ type: "read", ids: [[1, 1]], ref: 7 }];
  before.keeper._save();
  const after = keeping(t, storage);
  after.keeper._restore();
  assert.deepEqual(after.client.resumed, [{ type: "read", ids: [[1, 1]], ref: 7 }]);
  const record = JSON.parse(storage.items.get("notify:/notify/") ?? "");
  delete record.memory.commands;
  storage.items.set("notify:/notify/", JSON.stringify(record));
  const later = keeping(t, storage);
  assert.equal(later.keeper._restore(), true);
  assert.deepEqual(later.client.resumed, []);
});
