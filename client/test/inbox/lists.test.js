import assert from "node:assert/strict";
import { test } from "node:test";
import { belongs, Lists } from "../../src/inbox/lists.js";
import { Store } from "../../src/mailbox/store.js";
import { at, changes, row, snapshot } from "../kit/helpers.js";

const LATER = "2026-11-22T00:00:00+00:00";

/** @param {number} cursor @param {any[]} notifications */
function page(cursor, notifications, next = "") {
  return /** @type {const} */ ({ type: "rows", cursor: at(cursor), counts: { unseen: 0, unread: 0 }, next, notifications });
}

/** @param {any[]} [held] */
function opened(held = []) {
  const store = new Store();
  store._apply(snapshot(50, held), true);
  store.floor = 0;
  const lists = new Lists(() => store);
  return { store, lists, ids: (/** @type {import("../../src/inbox/lists.js").View} */ view) => lists.rows(view).map(({ id }) => id) };
}

test("each list has its rows; what has expired or was retracted is in none", () => {
  const of = (/** @type {any} */ more) => /** @type {const} */ (["all", "unread", "archived"]).filter((view) => belongs(view, row(1, 1, more)));
  assert.deepEqual(of({}), ["all", "unread"]);
  assert.deepEqual(of({ read_at: LATER }), ["all"]);
  assert.deepEqual(of({ read_at: LATER, archived_at: LATER }), ["archived"]);
  assert.deepEqual(of({ archived_at: LATER, expires_at: LATER }), []);
  assert.deepEqual(of({ archived_at: "2026-11-21T00:00:00+00:00", expires_at: LATER }), ["archived"]);
});

test("a list is known down to its place, with what the tab holds and what it has read", () => {
  const { lists, ids } = opened([row(9, 50), row(1, 3)]);
  assert.deepEqual(ids("all"), [], "nothing is known before the server has answered");
  lists.take("all", page(50, [row(9, 50), row(5, 40)], "40"));
  assert.deepEqual([ids("all"), lists.place("all")], [[9, 5], "40"]);
  lists.take("all", page(50, [row(1, 3)]));
  assert.deepEqual([ids("all"), lists.place("all")], [[9, 5, 1], ""]);
});

test("changes of any tab reach the lists", () => {
  const { store, lists, ids } = opened([row(9, 50)]);
  for (const view of /** @type {const} */ (["all", "unread", "archived"])) lists.take(view, page(50, view === "archived" ? [] : [row(5, 40)]));
  store._apply(changes(50, 51, [row(5, 51, { arrived: 40, read_at: LATER, archived_at: LATER })]));
  assert.deepEqual([ids("all"), ids("unread"), ids("archived")], [[9], [9], [5]]);
  store._apply(changes(51, 52, [row(12, 52)]));
  assert.deepEqual(ids("all"), [12, 9]);
});

test("a row that was read ahead of the changes is shown, until they bring it", () => {
  const { store, lists, ids } = opened();
  lists.take("all", page(52, [row(7, 52, { title: "ahead" })]));
  assert.deepEqual([ids("all"), lists.get(7)?.title, store.get(7)], [[7], "ahead", null]);
  store._apply(changes(50, 52, [row(7, 52, { title: "held" })]));
  assert.deepEqual([ids("all"), lists.get(7)?.title], [[7], "held"]);
});

test("a list that was read earlier does not bring back what was archived since", () => {
  const { store, lists, ids } = opened();
  store._apply(changes(50, 53, [row(5, 53, { arrived: 40, archived_at: LATER })]));
  lists.take("all", page(50, [row(5, 40)]));
  assert.deepEqual(ids("all"), []);
});

test("what is forgotten is not known", () => {
  const { lists, ids } = opened([row(1, 3)]);
  lists.take("all", page(52, [row(7, 52)]));
  lists.forget();
  assert.deepEqual([ids("all"), lists.place("all"), lists.get(7)], [[], undefined, null]);
});
