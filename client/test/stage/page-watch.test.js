import assert from "node:assert/strict";
import { test } from "node:test";
import { PageWatch } from "../../src/stage/page-watch.js";
import { clock } from "../kit/clock.js";
import { FakePage, globals, eventsOf } from "../kit/helpers.js";

/** A page that is watched until `stop`. */
function watched() {
  const [window, document, running] = [new FakePage(), new FakePage(), new AbortController()];
  globals({ window, document });
  const page = new PageWatch();
  const attention = eventsOf(page, "attention");
  page.start(running.signal);
  return { window, document, page, attention, stop: () => running.abort() };
}

test("the user's attention is emitted at once and at each change; after a blur when the focus has settled", (t) => {
  clock.start(t);
  const { window, document, attention, stop } = watched();
  document.hidden = true;
  document.fire("visibilitychange");
  document.hidden = false;
  window.fire("focus");
  window.fire("blur");
  document.focused = false;
  clock.tick(0);
  assert.deepEqual(attention, [
    { hidden: false, blurred: false },
    { hidden: true, blurred: false },
    { hidden: false, blurred: false },
    { hidden: false, blurred: true },
  ]);
  window.fire("blur");
  stop();
  window.fire("focus");
  clock.tick(0);
  assert.equal(attention.length, 4);
});

test("freezing a page emits leave, and resuming it return", () => {
  const { document, page } = watched();
  const [left, returned] = [eventsOf(page, "leave"), eventsOf(page, "return")];
  document.fire("freeze");
  assert.deepEqual([left.length, returned.length], [1, 0]);
  document.fire("resume");
  assert.deepEqual([left.length, returned.length], [1, 1]);
});

test("hiding a page emits leave, and showing it return only if it came from the back/forward cache", () => {
  const { window, page } = watched();
  const [left, returned] = [eventsOf(page, "leave"), eventsOf(page, "return")];
  window.fire("pagehide");
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: false }));
  assert.deepEqual([left.length, returned.length], [1, 0]);
  window.dispatchEvent(Object.assign(new Event("pageshow"), { persisted: true }));
  assert.equal(returned.length, 1);
});

test("F6 alone is a call, and the page keeps the key unless a listener answers", () => {
  const { document, page } = watched();
  const calls = eventsOf(page, "call");
  const press = (/** @type {object} */ key) => document.dispatchEvent(Object.assign(new Event("keydown", { cancelable: true }), key));
  assert.equal(press({ key: "F6", ctrlKey: true }), true);
  assert.equal(press({ key: "F5" }), true);
  assert.equal(calls.length, 0);
  assert.equal(press({ key: "F6" }), true);
  page.on("call", (event) => event.preventDefault());
  assert.equal(press({ key: "F6" }), false);
  assert.equal(calls.length, 2);
});
