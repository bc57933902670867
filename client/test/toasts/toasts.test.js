import assert from "node:assert/strict";
import { test } from "node:test";
import { SeenWatch } from "../../src/mailbox/seen.js";
import { duration, Toasts } from "../../src/toasts/toasts.js";
import { FakePage, globals, heard, progress, row } from "../kit/helpers.js";

/** @param {import("node:test").TestContext} t */
function toasts(t, limit = 3) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const room = { limit, held: /** @type {number[]} */ ([]) };
  const subject = new Toasts({ limit: () => room.limit, holds: (id) => room.held.includes(id) });
  const closed = heard(subject, "close");
  return {
    ...{ subject, room, clock: t.mock.timers },
    visible: () => subject.visible().map(({ notification }) => notification.id),
    get closed() {
      return closed.map(({ notification, reason }) => [notification.id, reason]);
    },
  };
}

test("time to read: by level, by length, never for what must be answered", () => {
  const of = (/** @type {any} */ more) => duration(row(1, 1, more));
  assert.deepEqual(["debug", "info", "success", "warning", "error", "other"].map((level) => of({ level })), [8_000, 8_000, 8_000, 12_000, Infinity, Infinity]);
  assert.equal(of({ actions: [{ label: "Undo", url: "/" }] }), Infinity);
  const words = (/** @type {number} */ count) => of({ message: "word ".repeat(count) });
  assert.deepEqual([words(60), words(61), words(200)], [8_000, 9_000, 15_000]);
  assert.equal(of({ title: "word ".repeat(60), message: "more" }), 9_000);
});

test("a task stays on screen while it runs, and for the time of its level once it has ended", () => {
  const of = (/** @type {string} */ state) => duration(row(1, 1, { level: "info", progress: progress({ state, ended_at: ["succeeded", "failed", "cancelled"].includes(state) ? "2026-11-21T12:00:00+00:00" : null }) }));
  assert.deepEqual(["queued", "running", "cancelling", "lost", "succeeded", "failed", "cancelled"].map(of), [Infinity, Infinity, Infinity, Infinity, 8_000, 8_000, 8_000]);
});

test("a toast closes when its time is over", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.tick(7_999);
  assert.deepEqual(it.closed, []);
  it.clock.tick(1);
  assert.deepEqual([it.closed, it.subject.size], [[[1, "timeout"]], 0]);
});

test("an error stays", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1, { level: "error" }));
  it.clock.tick(10_000_000);
  assert.deepEqual(it.visible(), [1]);
});

test("all clocks stand still while there is any reason", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2, { level: "warning" }));
  it.clock.tick(5_000);
  it.subject.pause("pointer");
  it.subject.pause("hidden");
  it.clock.tick(60_000);
  it.subject.pause("pointer", false);
  it.clock.tick(60_000);
  assert.deepEqual(it.closed, []);
  it.subject.pause("hidden", false);
  it.clock.tick(2_999);
  assert.deepEqual(it.closed, []);
  it.clock.tick(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
  it.clock.tick(4_000);
  assert.deepEqual(it.closed, [[1, "timeout"], [2, "timeout"]]);
});

test("while the clocks stand still nothing happens at all", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.pause("hidden");
  const draws = heard(it.subject, "change");
  it.clock.tick(60_000);
  assert.equal(draws.length, 0);
});

test("who comes back has at least a second and a half", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.tick(7_900);
  it.subject.pause("focus");
  it.subject.pause("focus", false);
  it.clock.tick(1_499);
  assert.deepEqual(it.closed, []);
  it.clock.tick(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("the end of a pause that never was gives no time", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.tick(7_900);
  it.subject.pause("blur", false);
  it.clock.tick(100);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("three are on screen, the newest first; the others wait, and their time with them", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4]) it.subject.show(row(id, id));
  assert.deepEqual(it.visible(), [4, 3, 2]);
  it.clock.tick(8_000);
  assert.deepEqual([it.closed.map(([id]) => id).sort(), it.visible()], [[2, 3, 4], [1]]);
  it.clock.tick(7_999);
  assert.deepEqual(it.visible(), [1]);
  it.clock.tick(1);
  assert.deepEqual(it.visible(), []);
});

test("a phone has room for one", (t) => {
  const it = toasts(t, 1);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2));
  assert.deepEqual(it.visible(), [2]);
  it.room.limit = 3;
  it.subject.refit();
  assert.deepEqual(it.visible(), [2, 1]);
});

test("errors and the toast that the reader is at are not pushed out", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1, { level: "error" }));
  it.subject.show(row(2, 2));
  it.subject.show(row(3, 3));
  it.room.held = [2];
  it.subject.show(row(4, 4));
  assert.deepEqual(it.visible(), [4, 2, 1]);
  it.room.held = [];
  it.subject.show(row(5, 5));
  assert.deepEqual(it.visible(), [5, 4, 1]);
});

test("news is seen although errors fill the screen, one more at the most", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3]) it.subject.show(row(id, id, { level: "error" }));
  it.subject.show(row(4, 4));
  assert.deepEqual(it.visible(), [4, 3, 2, 1]);
  it.subject.show(row(5, 5, { level: "error" }));
  assert.deepEqual(it.visible(), [5, 3, 2, 1]);
  it.subject.show(row(6, 6));
  assert.deepEqual(it.visible(), [6, 5, 3, 2]);
});

test("expanded, all are on screen, until they fit again", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4, 5]) it.subject.show(row(id, id));
  it.subject.expand();
  assert.deepEqual(it.visible(), [5, 4, 3, 2, 1]);
  it.subject.close(5, "user");
  assert.deepEqual(it.visible(), [4, 3, 2, 1]);
  it.subject.close(4, "user");
  for (const id of [6, 7]) it.subject.show(row(id, id));
  assert.deepEqual(it.visible(), [7, 6, 3]);
});

test("what was expanded is put back by the same button", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4]) it.subject.show(task(id));
  it.subject.show(row(5, 5));
  it.subject.expand();
  assert.deepEqual(it.visible(), [5, 4, 3, 2, 1]);
  it.subject.expand();
  assert.deepEqual(it.visible(), [5]);
});

test("new content under the same id: one toast, with its full time, to be announced again", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2));
  for (const toast of it.subject.all()) toast.announced = true;
  it.clock.tick(7_000);
  it.subject.show(row(1, 3, { count: 2 }));
  assert.deepEqual([it.visible(), it.subject.all().map(({ announced }) => announced)], [[1, 2], [false, true]]);
  it.clock.tick(1_000);
  assert.deepEqual(it.visible(), [1]);
  it.clock.tick(7_000);
  assert.deepEqual(it.visible(), []);
});

test("a change of the row alone gives no time, and opens nothing", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.tick(7_000);
  it.subject.update(row(1, 5, { arrived: 1, seen_at: "now" }));
  it.subject.update(row(9, 9));
  it.clock.tick(1_000);
  assert.deepEqual([it.closed, it.subject.size], [[[1, "timeout"]], 0]);
});

test("what is no news is shown at its place, quietly, and is news when its content comes again", (t) => {
  const it = toasts(t);
  const of = () => it.subject.all().map(({ notification, quiet, announced }) => [notification.id, quiet, announced]);
  it.subject.show(row(1, 4, { arrived: 1, progress: progress() }), true);
  it.subject.show(row(2, 2));
  assert.deepEqual(of(), [[2, false, false], [1, true, true]]);
  it.subject.show(row(1, 5, { progress: progress({ state: "succeeded", ended_at: "2026-11-21T12:00:00+00:00" }) }));
  assert.deepEqual(of(), [[1, false, false], [2, false, false]]);
});

/** @param {number} id @param {any} [more] */
const task = (id, more) => row(id, id, { progress: progress(more) });

test("more than three running tasks are behind the button, all of them; news is not", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3]) it.subject.show(task(id));
  assert.deepEqual(it.visible(), [3, 2, 1]);
  it.subject.show(task(4, { state: "queued" }));
  assert.deepEqual(it.visible(), []);
  it.subject.show(row(5, 5));
  it.subject.show(task(6));
  assert.deepEqual(it.visible(), [5]);
  it.subject.expand();
  assert.deepEqual(it.visible(), [6, 5, 4, 3, 2, 1]);
});

test("what ends, well or badly, or is lost, comes out of the fold, and shows what it was told meanwhile", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4, 5, 6]) it.subject.show(task(id));
  it.subject.update(row(4, 7, { arrived: 4, level: "warning", progress: progress({ state: "lost" }) }));
  assert.deepEqual(it.visible(), [4]);
  it.subject.show(row(2, 8, { level: "error", progress: progress({ state: "failed", ended_at: "2026-11-21T12:00:00+00:00" }) }));
  assert.deepEqual(it.visible(), [2, 4]);
  it.subject.update(row(3, 9, { arrived: 3, progress: progress({ done: 7 }) }));
  it.subject.close(6, "user");
  it.subject.close(5, "user");
  assert.deepEqual(it.visible(), [2, 4], "two run, and do not come and go with each that ends and begins");
  it.subject.close(1, "user");
  assert.deepEqual(it.visible(), [2, 4, 3]);
  assert.equal(it.subject.visible().at(-1)?.notification.progress?.done, 7);
});

test("a task that the reader is at is not folded under the hands", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3]) it.subject.show(task(id));
  it.room.held = [2];
  it.subject.show(task(4));
  assert.deepEqual(it.visible(), [2]);
});

test("toasts of the page before go on with the time that they had, quietly", (t) => {
  const it = toasts(t);
  it.subject.restore([{ notification: row(1, 1), left: 3_000, visible: true, announced: true, quiet: false }]);
  assert.deepEqual(it.subject.all().map(({ quiet, announced }) => [quiet, announced]), [[true, true]]);
  it.clock.tick(2_999);
  assert.deepEqual(it.visible(), [1]);
  it.clock.tick(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("idle time before a toast is not taken off its own", (t) => {
  const it = toasts(t);
  it.clock.tick(60_000);
  it.subject.show(row(1, 1));
  it.clock.tick(7_999);
  assert.deepEqual(it.visible(), [1]);
});

/** @param {import("node:test").TestContext} t */
function watch(t) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const document = new FakePage();
  globals({ document });
  const subject = new SeenWatch();
  const reports = heard(subject, "seen");
  return { subject, document, clock: t.mock.timers, ids: () => reports.map(({ notifications }) => notifications.map((/** @type {any} */ { id }) => id)) };
}

test("on screen for a second: seen, all at once that came together", (t) => {
  const it = watch(t);
  it.subject.look([row(1, 1), row(2, 2), row(3, 3, { seen_at: "before" })]);
  it.clock.tick(999);
  assert.deepEqual(it.ids(), []);
  it.clock.tick(1);
  it.clock.tick(10_000);
  assert.deepEqual(it.ids(), [[1, 2]]);
});

test("looking again does not start the second anew, leaving the screen does", (t) => {
  const it = watch(t);
  it.subject.look([row(1, 1), row(2, 2)]);
  it.clock.tick(600);
  it.subject.look([row(1, 1)]);
  it.clock.tick(200);
  it.subject.look([row(1, 1), row(2, 2)]);
  it.clock.tick(200);
  assert.deepEqual(it.ids(), [[1]]);
  it.subject.look([row(1, 1, { seen_at: "now" }), row(2, 2)]);
  it.clock.tick(800);
  assert.deepEqual(it.ids(), [[1], [2]]);
});

test("in a hidden tab nothing is seen", (t) => {
  const it = watch(t);
  it.subject.look([row(1, 1)]);
  it.clock.tick(900);
  it.document.hidden = true;
  it.subject.look([row(1, 1)]);
  it.clock.tick(60_000);
  it.document.hidden = false;
  it.subject.look([row(1, 1)]);
  it.clock.tick(999);
  assert.deepEqual(it.ids(), []);
  it.clock.tick(1);
  assert.deepEqual(it.ids(), [[1]]);
});

test("new content under the same id has its own second", (t) => {
  const it = watch(t);
  it.subject.look([row(1, 1)]);
  it.clock.tick(900);
  it.subject.look([row(1, 2)]);
  it.clock.tick(999);
  assert.deepEqual(it.ids(), []);
});
