import assert from "node:assert/strict";
import { test } from "node:test";
import { Announcer, spoken } from "../../src/speech/announcer.js";
import { badgeText } from "../../src/elements/badge.js";
import { status } from "../../src/progress/bar.js";
import { safeHref } from "../../src/platform/href.js";
import { Keeper } from "../../src/toasts/keeper.js";
import { Emitter } from "../../src/platform/emitter.js";
import { DEFAULTS, fill, levelWord, readLabels } from "../../src/platform/labels.js";
import { PageWatch } from "../../src/stage/page-watch.js";
import { Speaker } from "../../src/speech/active-tab.js";
import { Store } from "../../src/mailbox/store.js";
import { ToastSync } from "../../src/toasts/toast-sync.js";
import { Toasts } from "../../src/toasts/toasts.js";
import { FakePage, FakeStorage, globals, heard, progress, row, settled, snapshot } from "../kit/helpers.js";

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
  assert.deepEqual([labels.notifications, labels.dismiss], ["Mitteilungen", DEFAULTS.dismiss]);
  assert.deepEqual(readLabels("{"), DEFAULTS);
  assert.deepEqual(readLabels(null), DEFAULTS);
});

test("labels are filled in Django's way", () => {
  assert.equal(fill("%(count)s more of %(count)s", { count: 4 }), "4 more of 4");
  assert.equal(fill("%(other)s", { count: 4 }), "%(other)s");
  assert.equal(levelWord(readLabels('{"warning": "Warnung"}'), "warning"), "Warnung");
  assert.equal(levelWord(readLabels(null), "constructor"), "constructor");
});

test("what is said: level, title, text, and that there is something to do", () => {
  const labels = readLabels('{"info": "Information", "error": "Error", "success": "Success"}');
  const say = (/** @type {any} */ more) => spoken(row(1, 1, more), labels);
  assert.equal(say({ message: "Saved" }), "Information: Saved.");
  assert.equal(say({ level: "error", title: "Import failed", message: "No date!" }), "Error: Import failed. No date!");
  assert.equal(say({ level: "success", title: "Done", message: "Look.", url: "/x/" }), "Success: Done. Look. Press F6 for its actions.");
  assert.equal(say({ message: "Undo?", actions: [{ label: "Undo", url: "/" }] }), "Information: Undo? Press F6 for its actions.");
});

const LABELS = { left: "about %(time)s left", progress: "%(done)s of %(total)s", queued: "Waiting to start", silent: "No sign of life for a while", lost: "Nothing was heard of it any more", cancel: "Cancel", cancelling: "Cancelling…" };

test("what is said of a task: how much, what, and that it is silent", () => {
  globals({ document: { documentElement: { lang: "en" } } });
  const of = (/** @type {any} */ more) => status(progress(more), /** @type {any} */ (LABELS));
  assert.equal(of({ done: 420, total: 1200 }), "420 of 1,200 (35 %)");
  assert.equal(of({ done: 420, total: 1200, message: "Page 3" }), "420 of 1,200 (35 %) · Page 3");
  assert.equal(of({ done: 1300, total: 1200 }), "1,300 of 1,200 (100 %)");
  assert.equal(of({ done: 0, total: 0 }), "0 of 0");
  assert.equal(of({ done: 0.254, total: 1, message: "Reading" }), "25 % · Reading", "a task in steps");
  assert.equal(of({}), "");
  assert.equal(of({ done: 1234 }), "1,234");
  assert.equal(of({ done: 1, silent: true }), "1 · No sign of life for a while");
  assert.equal(of({ state: "queued", total: 5, silent: true }), "Waiting to start · No sign of life for a while");
  assert.equal(of({ state: "cancelling", done: 3, total: 5 }), "Cancelling…");
  assert.equal(of({ state: "lost", silent: true }), "Nothing was heard of it any more");
  const timed = (/** @type {any} */ time) => status(progress({ done: 5, total: "left" in time ? 10 : null }), /** @type {any} */ (LABELS), time);
  assert.deepEqual([{ left: 40 }, { left: 120 }, { left: 5_400 }, { left: null }].map(timed), ["5 of 10 (50 %) · about 40 sec left", "5 of 10 (50 %) · about 2 min left", "5 of 10 (50 %) · about 1.5 hr left", "5 of 10 (50 %)"]);
  assert.deepEqual([{ elapsed: 1 }, { elapsed: 65 }].map(timed), ["5", "5 · 1 min"]);
  globals({ document: { documentElement: { lang: "en_US" } } });
  assert.equal(of({ done: 420 }), "420", "a language that is none");
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
  /** @param {(FakeNode | string)[]} content */
  append(...content) {
    for (const child of content) {
      if (typeof child === "string") this.textContent += child;
      else this.children.push(Object.assign(child, { parent: this }));
    }
  }
  remove() {
    if (this.parent) this.parent.children = this.parent.children.filter((child) => child !== this);
  }
}

/** @param {import("node:test").TestContext} t */
function announcer(t, document = { createElement: () => new FakeNode() }) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  globals({ document });
  const subject = new Announcer();
  const [polite, assertive] = /** @type {FakeNode[]} */ (/** @type {unknown} */ ([subject.polite, subject.assertive]));
  return { subject, polite, assertive, clock: t.mock.timers };
}

test("the two live regions are there before the first word, and empty", (t) => {
  const { polite, assertive } = announcer(t);
  assert.deepEqual(polite.attributes, { class: "nf-sr", role: "status", "aria-live": "polite", "aria-atomic": "false" });
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

/** @param {FakeStorage} storage */
function tab(storage, { focused = false, hidden = false } = {}) {
  const [window, document] = [new FakePage(), new FakePage()];
  Object.assign(document, { focused, hidden });
  const speaker = new Speaker();
  /** @template T @param {() => T} work */
  const here = (work) => {
    globals({ window, document, localStorage: storage });
    return work();
  };
  here(() => speaker.start(new AbortController().signal));
  const fire = (/** @type {FakePage} */ page, /** @type {string} */ type) => here(() => page.fire(type));
  return { window, document, fire, speaks: () => here(() => speaker.speaks()) };
}

test("the focused tab speaks, and no other", () => {
  const storage = new FakeStorage();
  const [one, two] = [tab(storage), tab(storage, { focused: true })];
  assert.deepEqual([one.speaks(), two.speaks()], [false, true]);
  two.document.focused = false;
  assert.deepEqual([one.speaks(), two.speaks()], [false, true], "the last focused, while it can be seen");
  one.document.focused = true;
  one.fire(one.window, "focus");
  assert.deepEqual([one.speaks(), two.speaks()], [true, false]);
});

test("when the last focused tab is hidden or gone, another that can be seen speaks", () => {
  for (const leave of [
    (/** @type {ReturnType<typeof tab>} */ it) => ((it.document.hidden = true), it.fire(it.document, "visibilitychange")),
    (/** @type {ReturnType<typeof tab>} */ it) => ((it.document.hidden = true), it.fire(it.window, "pagehide")),
  ]) {
    const storage = new FakeStorage();
    const [one, two, three] = [tab(storage), tab(storage, { focused: true }), tab(storage, { hidden: true })];
    two.document.focused = false;
    leave(two);
    assert.deepEqual([one.speaks(), two.speaks(), three.speaks()], [true, false, false]);
  }
});

/** A page with one toast for each notification, and what keeps it for the next page. */
function keeping(/** @type {FakeStorage} */ storage, /** @type {import("../../src/protocol.js").Notification[]} */ notifications = [], user = "alice") {
  const client = /** @type {any} */ ({ store: new Store(), state: "open" });
  client.store.apply(snapshot(notifications.length, notifications));
  const toasts = new Toasts({ limit: () => 3, holds: () => false });
  for (const notification of notifications) toasts.show(notification);
  const running = new AbortController();
  globals({ sessionStorage: storage });
  const keeper = new Keeper({ user, client, toasts, signal: running.signal });
  return { client, toasts, running, keeper };
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

test("the next page knows of tasks that run although their toasts are closed", () => {
  const storage = new FakeStorage();
  const task = (/** @type {number} */ id, /** @type {any} */ more) => row(id, id, { progress: progress(more) });
  const before = keeping(storage, [task(1, {}), task(2, { state: "lost" }), task(3, { ended_at: "2026-11-21T12:00:00+00:00" })]);
  for (const id of [1, 2, 3]) before.toasts.close(id, "user");
  before.keeper.save();
  const after = keeping(storage);
  after.keeper.restore();
  assert.deepEqual(after.client.store.all().map((/** @type {any} */ { id }) => id), [1]);
  assert.equal(after.toasts.size, 0);
});

test("without a memory nothing is put back", () => {
  assert.equal(keeping(new FakeStorage()).keeper.restore(), false);
});

test("a tab remembers for its user alone", () => {
  const storage = new FakeStorage();
  keeping(storage, [row(1, 1)]).keeper.save();
  assert.equal(keeping(storage).keeper.restore(), true);
  assert.equal(keeping(storage, [], "bob").keeper.restore(), false);
  assert.equal(storage.items.size, 0, "what bob found is wiped");
});

test("there is one record; one that cannot be read is wiped, and one that cannot be written leaves no older one", () => {
  const storage = new FakeStorage();
  const { keeper } = keeping(storage, [row(1, 1)]);
  keeper.save();
  keeper.save();
  assert.equal(storage.items.size, 1);
  storage.setItem = () => {
    throw new Error("full");
  };
  keeper.save();
  assert.equal(storage.items.size, 0);
  storage.items.set("notify", "{");
  assert.equal(keeper.restore(), false);
  assert.equal(storage.items.size, 0);
});

test("a forbidden storage is no storage", () => {
  const forbidden = /** @type {any} */ (null);
  const { keeper } = keeping(forbidden, [row(1, 1)]);
  keeper.save();
  assert.equal(keeper.restore(), false);
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
  globals({ window, document });
  const page = new PageWatch();
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
  page.on("call", (event) => event.preventDefault());
  assert.equal(press({ key: "F6" }), false);
  assert.equal(calls.length, 2);
});

test("a toast goes when its notification is done with, and its end marks it unless that came from elsewhere", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const toasts = new Toasts({ limit: () => 3, holds: () => false });
  const rows = [row(1, 1), row(2, 2), row(3, 3), row(4, 4)];
  for (const notification of rows) toasts.show(notification);
  /** @type {any[]} */
  const marks = [];
  const client = Object.assign(new Emitter(), {
    store: { get: (/** @type {number} */ id) => (id === 4 ? undefined : rows[id - 1]) },
    mark: (/** @type {string} */ mark, /** @type {any[]} */ of) => marks.push([mark, ...of.map(({ id }) => id)]),
  });
  const seen = new Emitter();
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
