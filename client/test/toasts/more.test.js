import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS } from "../../src/platform/labels.js";
import { MoreButton } from "../../src/toasts/more.js";
import { Toasts } from "../../src/toasts/toasts.js";
import { clock } from "../kit/clock.js";
import { globals, row } from "../kit/helpers.js";

/** A button, as far as this client uses it. */
class FakeButton {
  textContent = "";
  replaced = 0;
  /** @type {Record<string, string>} */
  attributes = {};
  /** @param {string} name @param {string} value */
  setAttribute(name, value) {
    this.attributes[name] = value;
  }
  append() {}
  /** @param {any[]} content */
  replaceChildren(...content) {
    this.textContent = content.map((part) => part.textContent ?? part).join("");
    this.replaced += 1;
  }
}

/** The button beside five toasts, of which three are on screen. @param {import("node:test").TestContext} t */
function more(t) {
  clock.start(t);
  globals({ document: { createElement: () => new FakeButton() } });
  const toasts = new Toasts({ _limit: () => 3, _holds: () => false });
  for (const id of [1, 2, 3, 4, 5]) toasts.show(row(id, id));
  const subject = new MoreButton({ toasts, labels: () => DEFAULTS });
  const button = /** @type {any} */ (subject._button);
  return { toasts, subject, button, state: () => [button.textContent, button.attributes["aria-expanded"], button.hidden] };
}

test("the button shows how many toasts are behind it, or that the stack can be folded or uncovered", (t) => {
  const { toasts, subject, state } = more(t);
  subject.draw(false, []);
  assert.deepEqual(state(), ["2 more", "false", false]);
  subject.draw(true, []);
  assert.deepEqual(state(), ["Notifications (5)", "false", false]);
  toasts.expand();
  subject.draw(false, []);
  assert.deepEqual(state(), ["Show fewer", "true", false]);
  for (const id of [1, 2, 3]) toasts.close(id, "user");
  subject.draw(false, []);
  assert.deepEqual(state(), ["0 more", "false", true]);
});

test("a decoration may offer the content of the folded button, and is called in every state", (t) => {
  const { toasts, subject, button } = more(t);
  /** @type {any[]} */
  const calls = [];
  const fold = (/** @type {any} */ { state, open, behind }) => {
    calls.push([state, open.length, behind.map((/** @type {any} */ { id }) => id)]);
    return [{ textContent: "5 tasks" }, " running"];
  };
  const draw = /** @type {any} */ ({ toast: () => {}, fold });
  subject.draw(false, [draw]);
  subject.draw(false, [draw]);
  assert.deepEqual([button.textContent, button.replaced], ["5 tasks running", 1], "the same content does not replace a node");
  subject.draw(true, [draw]);
  toasts.expand();
  subject.draw(false, [draw]);
  assert.equal(button.textContent, "Show fewer");
  assert.deepEqual(calls, [["folded", 5, [2, 1]], ["folded", 5, [2, 1]], ["ducked", 5, [2, 1]], ["expanded", 5, []]]);
});
