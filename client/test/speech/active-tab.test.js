import assert from "node:assert/strict";
import { test } from "node:test";
import { ActiveTab } from "../../src/speech/active-tab.js";
import { FakePage, FakeStorage, globals } from "../kit/helpers.js";

/** @param {FakeStorage} storage */
function tab(storage, { focused = false, hidden = false } = {}) {
  const [window, document] = [new FakePage(), new FakePage()];
  Object.assign(document, { focused, hidden });
  const activeTab = new ActiveTab();
  /** @template T @param {() => T} work */
  const here = (work) => {
    globals({ window, document, localStorage: storage });
    return work();
  };
  here(() => activeTab.start(new AbortController().signal));
  const fire = (/** @type {FakePage} */ page, /** @type {string} */ type) => here(() => page.fire(type));
  return { window, document, fire, isActive: () => here(() => activeTab._isActive) };
}

test("the focused tab is active, and no other", () => {
  const storage = new FakeStorage();
  const [one, two] = [tab(storage), tab(storage, { focused: true })];
  assert.deepEqual([one.isActive(), two.isActive()], [false, true]);
  two.document.focused = false;
  assert.deepEqual([one.isActive(), two.isActive()], [false, true], "the last focused, while it can be seen");
  one.document.focused = true;
  one.fire(one.window, "focus");
  assert.deepEqual([one.isActive(), two.isActive()], [true, false]);
});

test("when the last focused tab is hidden or gone, another visible one is active", () => {
  for (const leave of [
    (/** @type {ReturnType<typeof tab>} */ it) => ((it.document.hidden = true), it.fire(it.document, "visibilitychange")),
    (/** @type {ReturnType<typeof tab>} */ it) => ((it.document.hidden = true), it.fire(it.window, "pagehide")),
  ]) {
    const storage = new FakeStorage();
    const [one, two, three] = [tab(storage), tab(storage, { focused: true }), tab(storage, { hidden: true })];
    two.document.focused = false;
    leave(two);
    assert.deepEqual([one.isActive(), two.isActive(), three.isActive()], [true, false, false]);
  }
});
