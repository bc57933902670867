import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../src/mailbox/store.js";
import { clock } from "../kit/clock.js";
import { at, changes, eventsOf, row, snapshot, vectors } from "../kit/helpers.js";

for (const { about, documents, verdicts, state, fresh } of vectors("reduce")) {
  test(`reduce: ${about}`, () => {
    const store = new Store();
    const events = eventsOf(store, "change");
    const answers = documents.map((/** @type {any} */ document) =>
      document.type === "welcome" ? store._apply(document.changes, true) : store._apply(document),
    );
    assert.deepEqual(answers, verdicts);
    assert.deepEqual({ cursor: store.cursor, complete: store.complete, counts: store.counts }, { cursor: state.cursor, complete: state.complete, counts: state.counts });
    assert.deepEqual(Object.fromEntries(store.all().map(({ id, position }) => [id, position])), state.rows);
    assert.deepEqual(events.filter((event) => event.fresh).map((event) => event.notification.id), fresh);
  });
}

/** @param {number} id */
function opened(id = 1) {
  const store = new Store();
  store._apply(snapshot(41, [row(id, 41)]), true);
  return store;
}

test("a change has the notification as it was before, and comes when the store is consistent", () => {
  const store = opened();
  /** @type {any[]} */
  const seen = [];
  store.addEventListener("change", (event) => seen.push([/** @type {any} */ (event).detail.previous.position, store.cursor, store.counts?.unseen]));
  store._apply(changes(41, 42, [row(1, 42, { arrived: 41, seen_at: "now" })], { unseen: 0 }));
  assert.deepEqual(seen, [[41, at(42), 0]]);
});

test("counts and cursor are emitted only when they change", () => {
  const store = opened();
  const [counts, cursors] = [eventsOf(store, "counts"), eventsOf(store, "cursor")];
  store._apply(changes(41, 42, [row(1, 42, { arrived: 41 })], { unseen: 1 }));
  store._apply(changes(41, 42, [], { unseen: 5 }));
  assert.deepEqual([counts, cursors], [[], [at(42)]]);
});

test("a poll's reset for a user without a mailbox is applied once", () => {
  const store = new Store();
  const empty = { ...snapshot(0), cursor: null };
  assert.equal(store._apply(empty, true), "apply");
  assert.equal(store._apply(empty, true), "drop");
});

test("an optimistic mark shows at once and ends when the cursor reaches the ack's", () => {
  const store = opened();
  store._mark("read", [[1, 41]], 7);
  assert.ok(store.get(1)?.read_at && store.get(1)?.seen_at);
  store._acknowledge(7, at(43));
  store._apply(changes(41, 42, [row(2, 42)]));
  assert.ok(store.get(1)?.read_at, "below the ack it stays");
  store._apply(changes(42, 43, [row(1, 43, { arrived: 41, seen_at: "x", read_at: "server" })]));
  assert.equal(store.get(1)?.read_at, "server");
});

test("a mark whose ack comes after its change ends with the ack", () => {
  const store = opened();
  store._mark("seen", [[1, 41]], 7);
  store._apply(changes(41, 42, [row(2, 42)]));
  const events = eventsOf(store, "change");
  store._acknowledge(7, at(42));
  assert.equal(store.get(1)?.seen_at, null);
  assert.deepEqual(events.map(({ notification, fresh }) => [notification.id, fresh]), [[1, false]]);
});

test("a mark that reaches its cursor without its row is taken back with a change event", () => {
  const store = opened();
  store._mark("seen", [[1, 41]], 7);
  store._acknowledge(7, at(42));
  const events = eventsOf(store, "change");
  store._apply(changes(41, 42, [row(2, 42)]));
  assert.deepEqual(events.map(({ notification }) => [notification.id, notification.seen_at]), [[2, null], [1, null]]);
});

test("a refused mark is taken back", () => {
  const store = opened();
  store._mark("archived", [[1, 41]], 7);
  assert.ok(store.get(1)?.archived_at);
  store._fail(7);
  assert.equal(store.get(1)?.archived_at, null);
});

test("a mark that is not answered ends after ten seconds", (t) => {
  clock.start(t);
  const store = opened();
  store._mark("dismissed", [[1, 41]], 7);
  clock.tick(9_999);
  assert.ok(store.get(1)?.dismissed_at);
  clock.tick(1);
  assert.equal(store.get(1)?.dismissed_at, null);
});

test("a mark does not cover content that came after it", () => {
  const store = opened();
  const events = eventsOf(store, "change");
  store._mark("dismissed", [[1, 41]], 7);
  store._apply(changes(41, 42, [row(1, 42, { count: 2 })]));
  assert.equal(store.get(1)?.dismissed_at, null);
  assert.equal(events.at(-1).fresh, true);
  store._close();
});

test("marks never change the counts: only the server counts", () => {
  const store = opened();
  store._mark("read", [[1, 41]], 7);
  assert.equal(store.counts?.unseen, 1);
  store._close();
});

test("a saved store goes on where it was, and old content is no news", () => {
  const store = opened();
  const saved = JSON.parse(JSON.stringify(store._save([1, 99])));
  const next = new Store();
  next._restore(saved);
  const events = eventsOf(next, "change");
  assert.equal(next._apply(changes(41, 43, [row(5, 42, { arrived: 30 }), row(6, 43)])), "apply");
  assert.deepEqual(events.filter((event) => event.fresh).map((event) => event.notification.id), [6]);
  assert.equal(next.get(1)?.message, "Message 1");
  assert.deepEqual([next.complete, next.counts], [at(43), { unseen: 2, unread: 2 }]);
});

test("a restored store keeps the head of its counts", () => {
  const store = new Store();
  store._apply({ ...snapshot(41), head: 45, counts: { unseen: 5, unread: 5 } }, true);
  const next = new Store();
  next._restore(store._save([]));
  next._apply(changes(41, 42, [row(1, 42)], { head: 42, unseen: 1 }));
  assert.equal(next.counts?.unseen, 5);
});

test("a store of weeks keeps the newest rows", () => {
  const store = new Store();
  store._apply(snapshot(600, Array.from({ length: 600 }, (_, index) => row(index + 1, index + 1))), true);
  assert.equal(store.all().length, 500);
  assert.equal(store.get(100), null);
  assert.ok(store.get(101));
});

test("a lowered cursor does not make news of what was shown", () => {
  const store = opened();
  store._apply(changes(41, 43, [row(3, 43)]));
  store._apply(snapshot(42, [row(1, 41)]), true);
  const events = eventsOf(store, "change");
  store._apply(changes(42, 43, [row(3, 43)]));
  assert.deepEqual(events.map(({ fresh }) => fresh), [false]);
});

test("the complete cursor of another epoch covers nothing", () => {
  const store = opened();
  assert.equal(store.complete, at(41));
  store._apply({ ...snapshot(5), cursor: "0hqk3m9v0f00ba4ee:5", head: 9 }, true);
  assert.equal(store.complete, null);
});

test("a row that a mark moved to a later page is still news", () => {
  const store = new Store();
  store._apply(snapshot(41), true);
  const events = eventsOf(store, "change");
  store._apply(changes(41, 44, [row(2, 43), row(3, 44)], { head: 45 }));
  store._apply(changes(44, 45, [row(1, 45, { arrived: 42, seen_at: "elsewhere" })]));
  assert.deepEqual(events.filter(({ fresh }) => fresh).map(({ notification }) => notification.id), [2, 3, 1]);
});

test("a row that comes with two pages is news once", () => {
  const store = new Store();
  store._apply(snapshot(41), true);
  const events = eventsOf(store, "change");
  store._apply(changes(41, 42, [row(1, 42)], { head: 43 }));
  store._apply(changes(42, 43, [row(1, 43, { arrived: 42, seen_at: "elsewhere" })]));
  assert.deepEqual(events.map(({ fresh }) => fresh), [true, false]);
});

test("after a restored backup a new row in the place of a lost one is news", () => {
  const store = new Store();
  store._apply(snapshot(42, [row(1, 41), row(2, 42, { updated_at: "lost" })]), true);
  const events = eventsOf(store, "change");
  const restored = { ...snapshot(42, [row(1, 41), row(2, 42, { updated_at: "new" })]), cursor: `1${at(42).slice(1)}` };
  assert.equal(store._apply(restored), "apply");
  assert.deepEqual(events.filter(({ fresh }) => fresh).map(({ notification }) => notification.id), [2]);
});

test("rows are emitted in the order of their arrival, whatever marks have moved", () => {
  const store = new Store();
  store._apply(snapshot(41), true);
  const events = eventsOf(store, "change");
  store._apply(changes(41, 44, [row(2, 43), row(1, 44, { arrived: 42, seen_at: "elsewhere" })]));
  assert.deepEqual(events.map(({ notification }) => notification.id), [1, 2]);
});

test("a row that was emitted is not news when it comes again, after a navigation too", () => {
  const store = new Store();
  store._apply(snapshot(41), true);
  store._apply(changes(41, 42, [row(1, 42)], { head: 44 }));
  const next = new Store();
  next._restore(JSON.parse(JSON.stringify(store._save([]))));
  const events = eventsOf(next, "change");
  next._apply(snapshot(41), true); // a late welcome lowers the cursor
  next._apply(changes(41, 43, [row(2, 43), row(1, 44, { arrived: 42, seen_at: "elsewhere" })], { head: 44 }));
  assert.deepEqual(events.map(({ notification, fresh }) => [notification.id, fresh]), [[1, false], [2, true]]);
});

test("a room's reset does not bring counts that are older than those shown", () => {
  const store = new Store();
  store._apply({ ...changes(0, 5, [row(1, 5)], { head: 8, unseen: 3 }), since: null, reset: true }, true);
  store.cursor = null;
  store._apply({ ...snapshot(7, [row(1, 5)]), counts: { unseen: 1, unread: 1 } });
  assert.equal(store.counts?.unseen, 3);
});

test("a mark shows until its row has come, on a later page too", () => {
  const store = opened();
  store._mark("read", [[1, 41]], 7);
  store._apply(changes(41, 42, [row(2, 42)], { head: 44 }));
  store._acknowledge(7, at(42));
  assert.ok(store.get(1)?.read_at, "more pages follow");
  store._apply(changes(42, 44, [row(1, 44, { arrived: 41, seen_at: "x", read_at: "server" })]));
  assert.equal(store.get(1)?.read_at, "server");
});

test("a mark covers nothing of another epoch", () => {
  const store = opened();
  store._mark("read", [[1, 41]], 7);
  const restored = { ...snapshot(41, [row(1, 41, { updated_at: "new" })]), cursor: `1${at(41).slice(1)}` };
  store._apply(restored);
  assert.equal(store.get(1)?.read_at, null);
});

/** @param {number} cursor @param {import("../../src/protocol.js").Notification[]} notifications */
function rows(cursor, notifications) {
  return /** @type {const} */ ({ type: "rows", cursor: at(cursor), counts: { unseen: 9, unread: 9 }, next: "", notifications });
}

test("rows of a list are no news: they move neither cursor nor counts, and nothing is emitted", () => {
  const store = opened();
  const events = ["change", "counts", "cursor", "reset"].map((name) => eventsOf(store, name));
  store.take(rows(41, [row(2, 30)]));
  assert.equal(store.get(2)?.position, 30);
  assert.deepEqual({ cursor: store.cursor, unseen: store.counts?.unseen }, { cursor: at(41), unseen: 1 });
  assert.deepEqual(events, [[], [], [], []]);
});

test("rows of a list neither replace a row that is held nor take the news from the changes that follow", () => {
  const store = opened();
  const events = eventsOf(store, "change");
  store._apply(changes(41, 43, [row(1, 43, { arrived: 41, read_at: "now" })]), true);
  store.take(rows(42, [row(1, 41), row(3, 44)]));
  assert.ok(store.get(1)?.read_at, "a list that was read earlier");
  assert.equal(store.get(3), null, "a list that was read at a later cursor");
  store._apply(changes(43, 44, [row(3, 44)]));
  assert.equal(events.at(-1).fresh, true);
});

test("rows of a list of another epoch are left out", () => {
  const store = opened();
  store.take({ ...rows(41, [row(2, 30)]), cursor: `${"v".repeat(17)}:41` });
  assert.equal(store.get(2), null);
});

test("a row above the floor is kept, however many rows there are", () => {
  const store = opened();
  store.take(rows(41, [row(2, 30), row(3, 20)]));
  store.floor = 30;
  store._apply(changes(41, 600, Array.from({ length: 550 }, (_, index) => row(50 + index, 50 + index))));
  assert.deepEqual([store.get(2)?.id, store.get(3)], [2, null]);
});

test("an undo is shown at once, and takes back what the mark had set", () => {
  const store = opened();
  store._apply(changes(41, 42, [row(2, 42, { seen_at: "first" })]));
  store._mark("archived", [[2, 42]], 1);
  store._mark("unarchive", [[2, 42]], 2);
  assert.deepEqual([store.get(2)?.seen_at, store.get(2)?.read_at, store.get(2)?.archived_at], ["first", null, null]);
  store._mark("read", [[1, 41]], 3);
  store._mark("unread", [[1, 41]], 4);
  store._mark("unread", [[1, 41]], 5);
  assert.deepEqual([Boolean(store.get(1)?.seen_at), store.get(1)?.read_at], [true, null]);
  store._fail(4);
  store._fail(5, true);
  assert.ok(store.get(1)?.read_at, "a refused undo is taken back itself");
});

test("an undo does not reach content that has come since", () => {
  const store = opened();
  store._apply(changes(41, 42, [row(1, 42, { read_at: "now" })]));
  store._mark("unread", [[1, 41]], 1);
  assert.ok(store.get(1)?.read_at);
});

test("a mark of which only the server knows the effect changes nothing here", () => {
  const store = opened();
  store._mark(/** @type {any} */ ("of a newer tab"), [[1, 41]], 1);
  assert.deepEqual(store.get(1), row(1, 41));
});
