import assert from "node:assert/strict";
import { test } from "node:test";
import { duration, Toasts } from "../../src/toasts/toasts.js";
import { clock } from "../kit/clock.js";
import { eventsOf, progress, row } from "../kit/helpers.js";

/** @param {import("node:test").TestContext} t */
function toasts(t, limit = 3) {
  clock.start(t);
  const room = { limit, held: /** @type {number[]} */ ([]) };
  const subject = new Toasts({ _limit: () => room.limit, _holds: (id) => room.held.includes(id) });
  const closed = eventsOf(subject, "close");
  const seen = eventsOf(subject, "seen");
  return {
    ...{ subject, room, clock },
    visible: () => subject.visible().map(({ notification }) => notification.id),
    get seen() {
      return seen.map(({ notifications }) => notifications.map((/** @type {any} */ { id }) => id));
    },
    get closed() {
      return closed.map(({ notification, reason }) => [notification.id, reason]);
    },
  };
}

test("reading time: by level, by length, without an end for toasts with actions", () => {
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
  it.clock.pass(7_999);
  assert.deepEqual(it.closed, []);
  it.clock.pass(1);
  assert.deepEqual([it.closed, it.subject.size], [[[1, "timeout"]], 0]);
});

test("an error stays", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1, { level: "error" }));
  it.clock.pass(10_000_000);
  assert.deepEqual(it.visible(), [1]);
});

test("all reading times stand still while there is any reason", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2, { level: "warning" }));
  it.clock.pass(5_000);
  it.subject._pause("pointer");
  it.clock.pass(1_500);
  it.subject._pause("hidden");
  it.clock.pass(60_000);
  it.subject._pause("pointer", false);
  it.clock.pass(60_000);
  assert.deepEqual(it.closed, []);
  it.subject._pause("hidden", false);
  it.clock.pass(2_999);
  assert.deepEqual(it.closed, []);
  it.clock.pass(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
  it.clock.pass(4_000);
  assert.deepEqual(it.closed, [[1, "timeout"], [2, "timeout"]]);
});

test("while the reading times stand still nothing is drawn", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject._pause("hidden");
  const draws = eventsOf(it.subject, "change");
  it.clock.pass(60_000);
  assert.equal(draws.length, 0);
});

test("after a pause each toast stays at least a second and a half", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(7_900);
  it.subject._pause("focus");
  it.subject._pause("focus", false);
  it.clock.pass(1_499);
  assert.deepEqual(it.closed, []);
  it.clock.pass(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("the end of a pause that never began gives no time", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(7_900);
  it.subject._pause("blur", false);
  it.clock.pass(100);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("three are on screen, the newest first; the others wait, and their time with them", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4]) it.subject.show(row(id, id));
  assert.deepEqual(it.visible(), [4, 3, 2]);
  it.clock.pass(8_000);
  assert.deepEqual([it.closed.map(([id]) => id).sort(), it.visible()], [[2, 3, 4], [1]]);
  it.clock.pass(7_999);
  assert.deepEqual(it.visible(), [1]);
  it.clock.pass(1);
  assert.deepEqual(it.visible(), []);
});

test("a phone has room for one", (t) => {
  const it = toasts(t, 1);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2));
  assert.deepEqual(it.visible(), [2]);
  it.clock.pass(900);
  it.room.limit = 3;
  it.subject._refit();
  assert.deepEqual(it.visible(), [2, 1]);
  it.clock.pass(7_999);
  assert.deepEqual(it.visible(), [1], "its time began when there was room for it");
  it.clock.pass(1);
  assert.deepEqual(it.visible(), []);
});

test("errors and the toast that the user is at are not pushed out", (t) => {
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

test("expanded toasts count as announced, and their time begins", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4]) it.subject.show(row(id, id));
  it.clock.pass(900);
  it.subject.expand();
  assert.ok(it.subject.all().every(({ announced }) => announced));
  it.clock.pass(7_999);
  assert.deepEqual(it.visible(), [1]);
  it.clock.pass(1);
  assert.deepEqual(it.visible(), []);
});

test("expanded toasts are put back by the same button", (t) => {
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
  it.clock.pass(7_000);
  it.subject.show(row(1, 3, { count: 2 }));
  assert.deepEqual([it.visible(), it.subject.all().map(({ announced }) => announced)], [[1, 2], [false, true]]);
  it.clock.pass(1_000);
  assert.deepEqual(it.visible(), [1]);
  it.clock.pass(7_000);
  assert.deepEqual(it.visible(), []);
});

test("a change of the row alone gives no time, and opens nothing", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(7_000);
  it.subject.update(row(1, 5, { arrived: 1, seen_at: "now" }));
  it.subject.update(row(9, 9));
  it.clock.pass(1_000);
  assert.deepEqual([it.closed, it.subject.size], [[[1, "timeout"]], 0]);
});

test("a toast that is not news is shown at its place, quietly, and is news when its content comes again", (t) => {
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

test("a task that ends, well or badly, or is lost, comes out of the fold, with the updates that it had meanwhile", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3, 4, 5, 6]) it.subject.show(task(id));
  it.subject.update(row(4, 7, { arrived: 4, level: "warning", progress: progress({ state: "lost" }) }));
  assert.deepEqual(it.visible(), [4]);
  it.subject.show(row(2, 8, { level: "error", progress: progress({ state: "failed", ended_at: "2026-11-21T12:00:00+00:00" }) }));
  assert.deepEqual(it.visible(), [2, 4]);
  it.subject.update(row(3, 9, { arrived: 3, progress: progress({ done: 7 }) }));
  it.subject.close(6, "user");
  it.subject.close(5, "user");
  assert.deepEqual(it.visible(), [2, 4], "two are running, and stay folded until one is left");
  it.subject.close(1, "user");
  assert.deepEqual(it.visible(), [2, 4, 3]);
  assert.equal(it.subject.visible().at(-1)?.notification.progress?.done, 7);
});

test("a task that the user is at is not folded", (t) => {
  const it = toasts(t);
  for (const id of [1, 2, 3]) it.subject.show(task(id));
  it.room.held = [2];
  it.subject.show(task(4));
  assert.deepEqual(it.visible(), [2]);
});

test("toasts of the page before go on with the time that they had, quietly", (t) => {
  const it = toasts(t);
  it.subject._restore([{ notification: row(1, 1), left: 3_000, visible: true, announced: true }]);
  assert.deepEqual(it.subject.all().map(({ quiet, announced }) => [quiet, announced]), [[true, true]]);
  it.clock.pass(2_999);
  assert.deepEqual(it.visible(), [1]);
  it.clock.pass(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("idle time before a toast is not taken off its own", (t) => {
  const it = toasts(t);
  it.clock.pass(60_000);
  it.subject.show(row(1, 1));
  it.clock.pass(7_999);
  assert.deepEqual(it.visible(), [1]);
});

test("on screen for a second means seen, and those that came together are reported together", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2, { level: "error" }));
  it.subject.show(row(3, 3, { seen_at: "before" }));
  it.clock.pass(999);
  assert.deepEqual(it.seen, []);
  it.clock.pass(1);
  assert.deepEqual(it.seen, [[2, 1]]);
  it.clock.pass(60_000);
  assert.deepEqual(it.seen, [[2, 1]]);
});

test("a change of the row does not start the second again, leaving the screen does", (t) => {
  const it = toasts(t, 1);
  it.subject.show(row(1, 1));
  it.clock.pass(600);
  it.subject.update(row(1, 2, { arrived: 1 }));
  it.subject.show(row(2, 3));
  it.clock.pass(200);
  it.subject.close(2, "user");
  it.clock.pass(999);
  assert.deepEqual(it.seen, []);
  it.clock.pass(1);
  assert.deepEqual(it.seen, [[1]]);
});

test("in a hidden tab nothing is seen", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(900);
  it.subject._pause("hidden");
  it.clock.pass(60_000);
  it.subject._pause("hidden", false);
  it.clock.pass(999);
  assert.deepEqual(it.seen, []);
  it.clock.pass(1);
  assert.deepEqual(it.seen, [[1]]);
  it.subject._pause("hidden");
  it.clock.pass(100);
  it.subject._pause("hidden", false);
  it.clock.pass(2_000);
  assert.deepEqual(it.seen, [[1]], "it is seen once");
});

test("a toast is seen while the user is at it, or at another window", (t) => {
  const it = toasts(t);
  it.subject._pause("pointer");
  it.subject._pause("blur");
  it.subject.show(row(1, 1));
  it.clock.pass(1_000);
  assert.deepEqual(it.seen, [[1]]);
});

test("new content under the same id has its own second, and a mark that is taken back is not made again", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(900);
  it.subject.show(row(1, 2));
  it.clock.pass(999);
  assert.deepEqual(it.seen, []);
  it.clock.pass(1);
  it.subject.update(row(1, 2, { seen_at: "now" }));
  it.subject.update(row(1, 2));
  it.clock.pass(5_000);
  assert.deepEqual(it.seen, [[1]]);
});

test("while the page is asleep nothing is seen, and no reading time passes", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(100);
  it.clock.tick(600_000);
  it.clock.pass(999);
  assert.deepEqual([it.seen, it.closed], [[], []]);
  it.clock.pass(1);
  assert.deepEqual(it.seen, [[1]]);
  it.clock.tick(600_000);
  it.clock.pass(6_899);
  assert.deepEqual(it.closed, []);
  it.clock.pass(101);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("a wall clock that steps changes nothing", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.step(-3_600_000);
  it.clock.pass(1_000);
  assert.deepEqual(it.seen, [[1]]);
  it.clock.step(3_600_000);
  it.clock.pass(6_999);
  assert.deepEqual(it.closed, []);
  it.clock.pass(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("the time out of view is no reading time, and the time before it is", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(900);
  it.subject.look(1, false);
  it.clock.pass(1_000);
  it.subject.look(1, true);
  it.clock.pass(7_099);
  assert.deepEqual(it.closed, []);
  it.clock.pass(1);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("a toast that was in view gets no time for being in view", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.clock.pass(7_900);
  it.subject.look(1, true);
  it.clock.pass(100);
  assert.deepEqual(it.closed, [[1, "timeout"]]);
});

test("a toast that was closed out of view can come again", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.look(1, false);
  it.subject.close(1, "elsewhere");
  it.subject.show(row(1, 2));
  it.clock.pass(1_000);
  assert.deepEqual(it.seen, [[1]]);
});

test("after its end nothing happens", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.stop();
  it.clock.pass(60_000);
  assert.deepEqual([it.seen, it.closed], [[], []]);
});

test("a toast that is out of view is not seen, and its time stands still; back in view it stays at least a second and a half", (t) => {
  const it = toasts(t);
  it.subject.show(row(1, 1));
  it.subject.show(row(2, 2));
  it.clock.pass(900);
  it.subject.look(1, false);
  it.clock.pass(7_000);
  assert.deepEqual(it.seen, [[2]]);
  it.subject.look(1, true);
  it.clock.pass(999);
  assert.deepEqual([it.seen, it.closed], [[[2]], [[2, "timeout"]]]);
  it.clock.pass(1);
  assert.deepEqual(it.seen, [[2], [1]]);
  it.clock.pass(6_000);
  it.subject.look(1, false);
  it.subject.look(9, false);
  it.subject.look(9, true);
  it.subject.look(1, true);
  it.clock.pass(1_499);
  assert.equal(it.subject.size, 1);
  it.clock.pass(1);
  assert.equal(it.subject.size, 0);
});
