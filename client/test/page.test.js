import assert from "node:assert/strict";
import { test } from "node:test";
import { Announcer, spoken } from "../src/announcer.js";
import { badgeText } from "../src/badge.js";
import { safeHref } from "../src/href.js";
import { Keeper } from "../src/keeper.js";
import { Emitter } from "../src/emitter.js";
import { DEFAULTS, fill, levelWord, readLabels } from "../src/labels.js";
import { TabMemory } from "../src/memory.js";
import { PageWatch } from "../src/page-watch.js";
import { Speaker } from "../src/speaker.js";
import { Store } from "../src/store.js";
import { ToastSync } from "../src/toast-sync.js";
import { Toasts } from "../src/toasts.js";
import { FakePage, FakeStorage, heard, row, settled, snapshot } from "./helpers.js";

test("a link leads to the web, to a page of this site, or to a mailbox; to nothing else", () => {
  const base = "https://example.org/a/";
  assert.equal(safeHref("/x/?y=1#z", base), "https://example.org/x/?y=1#z");
  assert.equal(safeHref("b", base), "https://example.org/a/b");
  assert.equal(safeHref("http://other.example/", base), "http://other.example/");
  assert.equal(safeHref("mailto:a@example.org", base), "mailto:a@example.org");
  for (const url of ["", "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "\u0001javascript:alert(1)", "data:text/html,x", "vbscript:x", "blob:https://example.org/1", "http://["]) {
    assert.equal(safeHref(url, base), null, JSON.stringify(url));
  }
});

test("labels of the server come before ours, and nonsense is no reason to fall silent", () => {
  const labels = readLabels('{"notifications": "Mitteilungen"}');
  assert.deepEqual([labels.notifications, labels.error], ["Mitteilungen", DEFAULTS.error]);
  assert.deepEqual(readLabels("{"), DEFAULTS);
  assert.deepEqual(readLabels(null), DEFAULTS);
});

test("labels are filled in Django's way", () => {
  assert.equal(fill("%(count)s more of %(count)s", { count: 4 }), "4 more of 4");
  assert.equal(fill("%(other)s", { count: 4 }), "%(other)s");
  assert.equal(levelWord(readLabels(null), "warning"), "Warning");
  assert.equal(levelWord(readLabels(null), "constructor"), "constructor");
});

test("what is said: level, title, text, and that there is something to do", () => {
  const labels = readLabels(null);
  const say = (/** @type {any} */ more) => spoken(row(1, 1, more), labels);
  assert.equal(say({ message: "Saved" }), "Information: Saved.");
  assert.equal(say({ level: "error", title: "Import failed", message: "No date!" }), "Error: Import failed. No date!");
  assert.equal(say({ level: "success", title: "Done", message: "Look.", url: "/x/" }), "Success: Done. Look. Press F6 for its actions.");
  assert.equal(say({ message: "Undo?", actions: [{ label: "Undo", url: "/" }] }), "Information: Undo? Press F6 for its actions.");
});

test("the badge is capped for the eye and exact for the ear", () => {
  const of = (/** @type {number} */ count) => Object.values(badgeText(count, DEFAULTS));
  assert.deepEqual([of(0), of(3), of(99), of(100)], [
    ["0", "Notifications"],
    ["3", "Notifications, 3 new"],
    ["99", "Notifications, 99 new"],
    ["99+", "Notifications, 100 new"],
  ]);
});

class FakeNode {
  /** @type {Record<string, string>} */
  attributes = {};
  /** @type {Record<string, string>} */
  dataset = {};
  /** @type {FakeNode[]} */
  children = [];
  textContent = "";
  /** @type {FakeNode | null} */
  parent = null;
  /** @param {string} name @param {string} value */
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  /** @param {FakeNode[]} children */
  append(...children) {
    for (const child of children) child.parent = this;
    this.children.push(...children);
  }
  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((child) => child !== this);
  }
}

/** @param {import("node:test").TestContext} t */
function announcer(t, document = { createElement: () => new FakeNode() }) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const subject = new Announcer(/** @type {any} */ (document));
  const [polite, assertive] = /** @type {FakeNode[]} */ (/** @type {unknown} */ ([subject.polite, subject.assertive]));
  return { subject, polite, assertive, clock: t.mock.timers };
}

test("the two live regions are there before the first word, and empty", (t) => {
  const { polite, assertive } = announcer(t);
  assert.deepEqual(polite.attributes, { class: "nf-sr", role: "status", "aria-live": "polite", "aria-atomic": "false", "aria-relevant": "additions" });
  assert.deepEqual(assertive.attributes, { class: "nf-sr", role: "alert", "aria-live": "assertive", "aria-atomic": "true" });
  assert.deepEqual([polite.children, assertive.textContent], [[], ""]);
});

test("polite words are added, also the same words, and removed after seven seconds", (t) => {
  const { subject, polite, clock } = announcer(t);
  subject.say("Saved.");
  clock.tick(3_000);
  subject.say("Saved.");
  assert.deepEqual(polite.children.map(({ textContent }) => textContent), ["Saved.", "Saved."]);
  clock.tick(4_000);
  assert.equal(polite.children.length, 1);
  clock.tick(3_000);
  assert.equal(polite.children.length, 0);
});

test("urgent words clear the region, and come after a pause, all of them", (t) => {
  const { subject, assertive, polite, clock } = announcer(t);
  subject.say("One.", { urgent: true });
  clock.tick(100);
  assert.equal(assertive.textContent, "One.");
  subject.say("Two.", { urgent: true });
  assert.equal(assertive.textContent, "");
  clock.tick(50);
  subject.say("Three.", { urgent: true });
  clock.tick(100);
  assert.deepEqual([assertive.textContent, polite.children], ["Two. Three.", []]);
});

test("a browser that can speak by itself is asked to", (t) => {
  /** @type {any[]} */
  const said = [];
  const document = { createElement: () => new FakeNode(), ariaNotify: (/** @type {any[]} */ ...args) => said.push(args) };
  const { subject, polite } = announcer(t, document);
  subject.say("Saved.");
  subject.say("Failed.", { urgent: true });
  assert.deepEqual(said, [["Saved.", { priority: "normal" }], ["Failed.", { priority: "high" }]]);
  assert.equal(polite.children.length, 0);
});

/** @type {any} */
const MEMORY = { store: { cursor: "x", rows: [] }, toasts: [] };

test("a tab remembers for its user alone", () => {
  const storage = new FakeStorage();
  const of = (/** @type {string} */ user) => new TabMemory({ user, storage: () => /** @type {any} */ (storage) });
  of("alice").write(MEMORY);
  assert.deepEqual(of("alice").read(), MEMORY);
  assert.equal(of("bob").read(), null);
  assert.equal(of("alice").read(), null, "what bob found is wiped");
  assert.equal(storage.items.size, 0);
});

test("there is one record, and forgetting leaves nothing", () => {
  const storage = new FakeStorage();
  const memory = new TabMemory({ user: "alice", storage: () => /** @type {any} */ (storage) });
  memory.write(MEMORY);
  memory.write(MEMORY);
  assert.equal(storage.items.size, 1);
  memory.forget();
  assert.equal(storage.items.size, 0);
});

test("a record that cannot be read is wiped; one that cannot be written leaves no older one", () => {
  const storage = new FakeStorage();
  const memory = new TabMemory({ user: "alice", storage: () => /** @type {any} */ (storage) });
  storage.setItem("notify", "{");
  assert.equal(memory.read(), null);
  assert.equal(storage.items.size, 0);
  memory.write(MEMORY);
  storage.setItem = () => {
    throw new Error("full");
  };
  memory.write(MEMORY);
  assert.equal(storage.items.size, 0);
});

test("a forbidden storage is no storage", () => {
  const memory = new TabMemory({
    user: "alice",
    storage: () => {
      throw new Error("SecurityError");
    },
  });
  memory.write(MEMORY);
  assert.equal(memory.read(), null);
});

/** @param {FakeStorage} storage */
function tab(storage, { focused = false, hidden = false } = {}) {
  const [window, document] = [new FakePage(), new FakePage()];
  Object.assign(document, { focused, hidden });
  const speaker = new Speaker({ window, document, storage: () => /** @type {any} */ (storage) });
  speaker.start(new AbortController().signal);
  return { window, document, speaks: () => speaker.speaks() };
}

test("the focused tab speaks, and no other", () => {
  const storage = new FakeStorage();
  const [one, two] = [tab(storage), tab(storage, { focused: true })];
  assert.deepEqual([one.speaks(), two.speaks()], [false, true]);
  two.document.focused = false;
  assert.deepEqual([one.speaks(), two.speaks()], [false, true], "the last focused, while it can be seen");
  one.document.focused = true;
  one.window.fire("focus");
  assert.deepEqual([one.speaks(), two.speaks()], [true, false]);
});

test("when the last focused tab is hidden or gone, another that can be seen speaks", () => {
  for (const leave of [
    (/** @type {ReturnType<typeof tab>} */ it) => ((it.document.hidden = true), it.document.fire("visibilitychange")),
    (/** @type {ReturnType<typeof tab>} */ it) => ((it.document.hidden = true), it.window.fire("pagehide")),
  ]) {
    const storage = new FakeStorage();
    const [one, two, three] = [tab(storage), tab(storage, { focused: true }), tab(storage, { hidden: true })];
    two.document.focused = false;
    leave(two);
    assert.deepEqual([one.speaks(), two.speaks(), three.speaks()], [true, false, false]);
  }
});

/** A page with one toast for each notification, and what keeps it for the next page. */
function keeping(/** @type {FakeStorage} */ storage, /** @type {import("../src/protocol.js").Notification[]} */ notifications = []) {
  const client = /** @type {any} */ ({ store: new Store(), state: "open" });
  client.store.apply(snapshot(notifications.length, notifications));
  const toasts = new Toasts({ limit: () => 3 });
  for (const notification of notifications) toasts.show(notification);
  const memory = new TabMemory({ user: "alice", storage: () => /** @type {any} */ (storage) });
  const running = new AbortController();
  return { client, toasts, running, keeper: new Keeper({ memory, client, toasts, signal: running.signal }) };
}

test("the next page goes on with the cursor, the toasts and the time that they had left", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const storage = new FakeStorage();
  const before = keeping(storage, [row(1, 1), row(2, 2, { level: "error" })]);
  t.mock.timers.tick(3_000);
  before.keeper.save();
  const after = keeping(storage);
  assert.equal(after.keeper.restore(), true);
  assert.equal(after.client.store.cursor, before.client.store.cursor);
  assert.deepEqual(after.toasts.all().map(({ notification, left, quiet }) => [notification.id, left, quiet]), [[2, Infinity, true], [1, 5_000, true]]);
});

test("without a memory nothing is put back", () => {
  assert.equal(keeping(new FakeStorage()).keeper.restore(), false);
});

test("what one document changed is saved once; what is closed or stopped is not saved", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const storage = new FakeStorage();
  const write = t.mock.method(storage, "setItem");
  const { keeper, client, running } = keeping(storage, [row(1, 1)]);
  keeper.saveSoon();
  keeper.saveSoon();
  await settled();
  assert.equal(write.mock.callCount(), 1);
  client.state = "closed";
  keeper.save();
  client.state = "open";
  keeper.saveSoon();
  running.abort();
  await settled();
  assert.equal(write.mock.callCount(), 1);
  keeper.forget();
  assert.equal(storage.items.size, 0);
});

/** A page that is watched until `stop`. */
function watched() {
  const [window, document, running] = [new FakePage(), new FakePage(), new AbortController()];
  const page = new PageWatch({ window, document });
  const attention = heard(page, "attention");
  page.start(running.signal);
  return { window, document, page, attention, stop: () => running.abort() };
}

test("the reader's attention is told at once and at each change; of a blur when the focus has settled", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { window, document, attention, stop } = watched();
  document.hidden = true;
  document.fire("visibilitychange");
  document.hidden = false;
  window.fire("focus");
  window.fire("blur");
  document.focused = false;
  t.mock.timers.tick(0);
  assert.deepEqual(attention, [
    { hidden: false, blurred: false },
    { hidden: true, blurred: false },
    { hidden: false, blurred: false },
    { hidden: false, blurred: true },
  ]);
  window.fire("blur");
  stop();
  window.fire("focus");
  t.mock.timers.tick(0);
  assert.equal(attention.length, 4);
});

test("a page that is frozen is left, and returns when it is thawed", () => {
  const { document, page } = watched();
  const [left, returned] = [heard(page, "leave"), heard(page, "return")];
  document.fire("freeze");
  assert.deepEqual([left.length, returned.length], [1, 0]);
  document.fire("resume");
  assert.deepEqual([left.length, returned.length], [1, 1]);
});

test("a page is left, and returns only if it was kept whole", () => {
  const { window, page } = watched();
  const [left, returned] = [heard(page, "leave"), heard(page, "return")];
  window.fire("pagehide");
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
  assert.deepEqual([left.length, returned.length], [1, 0]);
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  assert.equal(returned.length, 1);
});

test("F6 alone is a call, and the page keeps the key unless somebody answers", () => {
  const { document, page } = watched();
  const calls = heard(page, "call");
  const press = (/** @type {object} */ key) => document.dispatchEvent(Object.assign(new Event("keydown", { cancelable: true }), key));
  assert.equal(press({ key: "F6", ctrlKey: true }), true);
  assert.equal(press({ key: "F5" }), true);
  assert.equal(calls.length, 0);
  assert.equal(press({ key: "F6" }), true);
  page.addEventListener("call", (event) => event.preventDefault());
  assert.equal(press({ key: "F6" }), false);
  assert.equal(calls.length, 2);
});

test("a toast goes when its notification is done with, and its end marks it unless that came from elsewhere", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const toasts = new Toasts({ limit: () => 3 });
  const rows = [row(1, 1), row(2, 2), row(3, 3), row(4, 4)];
  for (const notification of rows) toasts.show(notification);
  /** @type {any[]} */
  const marks = [];
  const client = Object.assign(new Emitter(), {
    store: { get: (/** @type {number} */ id) => (id === 4 ? undefined : rows[id - 1]) },
    mark: (/** @type {string} */ mark, /** @type {any[]} */ of) => marks.push([mark, ...of.map(({ id }) => id)]),
  });
  const seen = new EventTarget();
  const list = { toasts, region: new EventTarget() };
  new ToastSync(/** @type {any} */ ({ client, list, seen })).start(new AbortController().signal);
  const change = (/** @type {any} */ notification) => client.dispatchEvent(new CustomEvent("change", { detail: { notification } }));
  change({ ...rows[0], read_at: "2026-11-21" });
  change({ ...rows[1], seen_at: "2026-11-21" });
  client.dispatchEvent(new Event("reset"));
  assert.deepEqual(toasts.all().map(({ notification }) => notification.id), [3, 2]);
  assert.deepEqual(marks, []);
  seen.dispatchEvent(new CustomEvent("seen", { detail: { notifications: [rows[1], rows[2]] } }));
  toasts.close(3, "user");
  assert.deepEqual(marks, [["seen", 2, 3], ["dismissed", 3]]);
});
