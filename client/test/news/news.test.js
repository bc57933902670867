import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../../src/mailbox/store.js";
import { News } from "../../src/news/news.js";
import { Toasts } from "../../src/toasts/toasts.js";
import { clock } from "../kit/clock.js";
import { FakeStorage, changes, globals, progress, row, settled, snapshot } from "../kit/helpers.js";

/** @import { Notification } from "../../src/protocol.js" */

/** When the server wrote the page, in seconds. */
const RENDERED = Date.parse("2026-11-20T23:00:00Z") / 1_000;

/** An element, as far as this script uses it. */
class FakeElement {
  hidden = false;
  textContent = "";
  /** @type {any} */
  parentNode = null;
  /** @type {Record<string, any>} */
  attributes = {};
  /** @type {any} */
  count = null;
  setAttribute(/** @type {string} */ name, /** @type {any} */ value) {
    this.attributes[name] = value;
  }
  querySelector(/** @type {string} */ name) {
    return name === "p" ? this : this.count;
  }
  append(/** @type {any[]} */ ...[, child]) {
    if (child) Object.assign((this.count = child), { parentNode: this });
  }
  after() {}
}

/**
 * A page with a root, its toasts and its rows.
 * @param {import("node:test").TestContext} t
 * @param {{storage?: FakeStorage, user?: string, age?: number}} [options]  age: of all rows, in seconds
 */
function page(t, { storage = new FakeStorage(), user = "alice", age = 0 } = {}) {
  clock.start(t);
  const document = { hidden: false, createElement: () => new FakeElement(), dispatchEvent: () => true };
  globals({ document, sessionStorage: storage });
  const toasts = new Toasts({ _limit: () => 3, _holds: () => false });
  const store = new Store();
  /** @type {[string, number[]][]} */
  const marks = [];
  const client = {
    store,
    mark: (/** @type {any} */ mark, /** @type {Notification[]} */ rows) => {
      if (rows.length === 0) return;
      marks.push([mark, rows.map(({ id }) => id)]);
      store._mark(mark, rows.map(({ id, arrived }) => [id, arrived]), marks.length);
    },
  };
  /** @type {Map<number, FakeElement>} */
  const items = new Map();
  /** @type {any} */
  let decoration;
  const draw = () => {
    for (const { notification } of toasts.visible()) {
      items.set(notification.id, items.get(notification.id) ?? new FakeElement());
      decoration?.toast(items.get(notification.id), notification);
    }
    decoration?.fold({ state: "folded", open: toasts.all().map(({ notification }) => notification), behind: [] });
  };
  toasts.on("change", draw);
  const all = new FakeElement();
  const more = new FakeElement();
  /** @type {any} */
  const root = {
    client,
    getAttribute: (/** @type {string} */ name) => ({ rendered: String(RENDERED + age), user, cursor: store.cursor, src: "/notify/", inbox: "/notify/inbox/" })[name] ?? null,
    querySelector: (/** @type {string} */ name) => (name === ".nf-all" ? all : more),
    decorate: (/** @type {any} */ drawn) => {
      decoration = drawn;
      draw();
      return draw;
    },
    show: (/** @type {Notification} */ notification, /** @type {boolean} */ quiet) => toasts.show(notification, quiet),
    hide: (/** @type {number} */ id) => toasts.close(id, "elsewhere"),
  };
  const news = new News(root);
  store.on("change", ({ notification, fresh }) => {
    news._change(notification);
    if (notification.read_at || notification.archived_at || notification.dismissed_at) toasts.close(notification.id, "elsewhere");
    else toasts.update(notification);
    if (fresh && !news._take(notification)) toasts.show(notification);
  });
  let position = 0;
  /** @param {Partial<Notification>[]} rows */
  const receive = async (...rows) => {
    const since = position;
    const sent = rows.map((more) => row(more.id ?? position + 1, (position += 1), more));
    store._apply(since ? changes(since, position, sent) : snapshot(position, sent), true);
    await settled();
  };
  const texts = () => toasts.all().map(({ notification }) => notification.message);
  return { all, client, document, items, marks, news, receive, root, storage, store, texts, toasts };
}

const many = (/** @type {number} */ number, more = {}) => Array.from({ length: number }, () => ({ ...more }));

test("the same text within two seconds is one toast that counts, and all of it is marked together", async (t) => {
  const { items, marks, receive, client, store, texts, toasts } = page(t);
  await receive({ message: "Again" });
  clock.pass(1_900);
  await receive({ message: "Again" }, { message: "Again", level: "error" });
  clock.pass(1_900);
  await receive({ message: "Again", count: 2 });
  assert.deepEqual(texts(), ["Again", "Again"]);
  assert.equal(items.get(1)?.count.textContent, "×4");
  assert.equal(items.get(1)?.count.attributes["aria-label"], "4 times");
  client.mark("seen", [/** @type {any} */ (store.get(1))]);
  assert.deepEqual(marks.splice(0), [["seen", [1]], ["seen", [2, 4]]]);
  // One that comes once the first was seen is seen as well.
  await receive({ message: "Again" });
  assert.deepEqual(marks.splice(0), [["seen", [5]]]);
  client.mark("dismissed", [/** @type {any} */ (store.get(1))]);
  assert.deepEqual(marks.splice(0), [["dismissed", [1]], ["dismissed", [2, 4, 5]]]);
  assert.equal(toasts.size, 1);
  await receive({ message: "Again" });
  assert.equal(toasts.size, 2, "a closed toast counts no more");
});

test("a text that comes later, or has an action, or is a task, is a toast of its own", async (t) => {
  const { receive, toasts } = page(t);
  await receive({ message: "Again" });
  clock.pass(2_001);
  const actions = [{ label: "Undo", url: "/" }];
  await receive({ message: "Again" }, { message: "Again", actions }, { message: "Again", actions }, { message: "Again", progress: progress() });
  assert.equal(toasts.size, 5);
});

test("a repeat in a hidden page is not seen until the user is back", async (t) => {
  const { document, marks, receive, client, store } = page(t);
  await receive({ message: "Again" });
  client.mark("seen", [/** @type {any} */ (store.get(1))]);
  document.hidden = true;
  await receive({ message: "Again" });
  assert.deepEqual(marks, [["seen", [1]]]);
});

test("more than six toasts in ten seconds are one line that counts on; errors and tasks are shown", async (t) => {
  const { receive, texts, toasts } = page(t);
  await receive(...many(6));
  assert.equal(texts().length, 6);
  await receive({}, { level: "error", message: "Failed" }, {}, { progress: progress(), message: "Task" });
  assert.deepEqual(texts().slice(0, 3), ["2 new notifications", "Task", "Failed"]);
  assert.equal(toasts.all()[0].quiet, false);
  await receive(...many(500));
  assert.equal(texts()[0], "502 new notifications");
  assert.deepEqual(toasts.all()[0].quiet, true, "announced once");
  clock.pass(10_000);
  await receive({ message: "Quiet again" });
  assert.ok(texts().includes("Quiet again"));
});

test("the line counts what nobody has seen, and closes when there is nothing left", async (t) => {
  const { client, receive, root, store, texts } = page(t, { age: 3600 });
  await receive(...many(5));
  assert.deepEqual(texts(), ["5 new notifications"]);
  client.mark("seen", [/** @type {any} */ (store.get(1))]);
  client.mark("archived", [/** @type {any} */ (store.get(2))]);
  await settled();
  assert.deepEqual(texts(), ["3 new notifications"]);
  root.show(store.get(3));
  await settled();
  assert.ok(texts().includes("2 new notifications"), "a toast of its own");
  client.mark("read", [4, 5].map((id) => /** @type {any} */ (store.get(id))));
  await settled();
  assert.deepEqual(texts(), ["Message 3"]);
});

test("the user closes the line, and what comes later begins another", async (t) => {
  const { receive, storage, texts, toasts } = page(t, { age: 3600 });
  await receive(...many(5));
  toasts.close(toasts.all()[0].notification.id, "user");
  await settled();
  assert.deepEqual([texts(), storage.items.size], [[], 0]);
  await receive(...many(4));
  assert.deepEqual(texts(), ["4 new notifications"]);
});

test("of what came long ago three are toasts, and more are one line beside the newest error and the tasks", async (t) => {
  const few = page(t, { age: 61 });
  await few.receive(...many(3), { level: "error" });
  assert.equal(few.texts().length, 4);
  const { receive, texts } = page(t, { age: 61 });
  await receive(...many(3), { level: "error", message: "Older" }, { level: "error", message: "Newer" }, { progress: progress(), message: "Task" });
  assert.deepEqual(texts().sort(), ["4 new notifications", "Newer", "Task"]);
  await receive({});
  assert.ok(texts().includes("5 new notifications"), "the next page of the answer");
});

test("what has come within a minute, was seen before, or changes an open toast, is as without this rule", async (t) => {
  const fresh = page(t, { age: 60 });
  await fresh.receive(...many(5));
  assert.equal(fresh.texts().length, 5);
  const { receive, texts } = page(t, { age: 61 });
  await receive(...many(5, { seen_at: "2026-11-20T22:00:00Z" }), { toast: false });
  assert.equal(texts().length, 6, "the last is kept back by the script of toasts");
  await receive(...[1, 2, 3, 4].map((id) => ({ id, message: `Changed ${id}` })));
  assert.ok(texts().includes("Changed 4"));
});

test("the age is that by the server's clock, whatever the user's says and however long the page is open", async (t) => {
  const { receive, texts } = page(t);
  clock.step(-7 * 3_600_000);
  await receive(...many(4));
  assert.equal(texts().length, 4);
  clock.tick(61_000);
  await receive(...many(4));
  assert.ok(texts().includes("4 new notifications"), "they were sent a minute ago, by the server's clock");
});

test("a page without the server's time shows everything one by one", async (t) => {
  const { receive, root, texts } = page(t);
  root.getAttribute = () => null;
  clock.tick(3_600_000);
  await receive(...many(5));
  assert.equal(texts().length, 5);
});

test("toasts that opened long ago in a hidden page become a line when the user is back", async (t) => {
  const { document, news, receive, texts } = page(t);
  document.hidden = true;
  await receive(...many(3), { level: "error", message: "Failed" }, { progress: progress(), message: "Task" }, {});
  document.hidden = false;
  news._wake();
  assert.equal(texts().length, 6, "within a minute");
  document.hidden = true;
  await receive(...many(4, { level: "error" }));
  clock.tick(61_000);
  document.hidden = false;
  news._wake();
  await settled();
  assert.equal(texts().length, 10, "three are few, beside the newest error");
  document.hidden = true;
  await receive(...many(4, { updated_at: "2026-11-20T23:01:01Z" }));
  assert.equal(texts().length, 14);
  clock.tick(61_000);
  document.hidden = false;
  news._wake();
  await settled();
  assert.deepEqual([texts().length, texts()[0]], [11, "4 new notifications"]);
});

test("the line survives a navigation of the same user, and is not announced again", async (t) => {
  const storage = new FakeStorage();
  const before = page(t, { storage, age: 3600 });
  await before.receive(...many(5));
  const after = page(t, { storage });
  assert.deepEqual(after.toasts.all().map(({ notification, quiet }) => [notification.message, quiet]), [["5 new notifications", true]]);
  await after.receive(...[1, 2].map((id) => ({ id, seen_at: "2026-11-20T23:00:00Z" })));
  assert.ok(after.texts().includes("3 new notifications"));
  assert.deepEqual(page(t, { storage, user: "bob" }).texts(), []);
  assert.equal(storage.items.size, 0);
});

test("a snapshot and the end of the connection take off what they do not have", async (t) => {
  const { news, receive, storage, store, texts } = page(t, { age: 3600 });
  await receive(...many(5));
  news._reset();
  await settled();
  assert.deepEqual(texts(), ["5 new notifications"]);
  store._clear();
  news._reset();
  await settled();
  assert.deepEqual([texts(), storage.items.size], [[], 0]);
});

test("a toast of the page can be changed and closed, and the same text again is the same toast", async (t) => {
  const { items, news, texts, toasts } = page(t);
  const first = news._toast("Saved", { level: "success" });
  const again = news._toast("Saved", { level: "success" });
  assert.deepEqual(texts(), ["Saved"]);
  assert.equal([...items.values()][0].count.textContent, "×2");
  again.update("Published", {});
  assert.deepEqual(toasts.all().map(({ notification: { message, level } }) => [message, level]), [["Published", "info"]]);
  first.close();
  assert.deepEqual(texts(), []);
  assert.throws(() => news._toast(7, {}), TypeError);
});

test("one button closes all, in one command", async (t) => {
  const { all, marks, news, receive, toasts } = page(t);
  await receive({});
  assert.equal(all.hidden, true);
  await receive({}, { level: "error" });
  news._toast("Own", {});
  assert.equal(all.hidden, false);
  // The button of this page stands for the one that is drawn.
  news._closeAll();
  assert.deepEqual(marks, [["dismissed", [3, 2, 1]]]);
  assert.equal(toasts.size, 0);
});
