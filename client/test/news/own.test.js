import assert from "node:assert/strict";
import { test } from "node:test";
import { checked, own, ownId, requested } from "../../src/news/own.js";
import { duration } from "../../src/toasts/toasts.js";
import { at } from "../kit/helpers.js";

test("a toast of the page is newer than all that has come, and is never marked", () => {
  const root = /** @type {any} */ ({ getAttribute: () => at(7) });
  const [first, second] = [own(root, ownId(), "One"), own(root, ownId(), "Two", { level: "error", url: "/x/" })];
  assert.ok(7 < first.arrived && first.arrived < second.arrived && second.arrived < 8);
  assert.ok(first.id < -1e9 && second.id < first.id && first.seen_at);
  assert.deepEqual([first.level, first.title, first.actions, second.level, second.url], ["info", "", [], "error", "/x/"]);
  assert.deepEqual([duration(first), duration(second)], [8_000, Infinity]);
  assert.ok(own(/** @type {any} */ ({ getAttribute: () => null }), 1, "Before the first cursor").arrived < 1);
});

test("what a page gives is taken as it is, and only what is known of it", () => {
  const actions = [{ label: "Undo", url: "/undo/", extra: 1 }];
  const options = { level: "success", title: "Draft", url: "/x/", actions, elt: {} };
  assert.deepEqual(checked("Saved", options), ["Saved", { level: "success", title: "Draft", url: "/x/", actions: [{ label: "Undo", url: "/undo/" }] }]);
  assert.deepEqual(checked("Saved"), ["Saved", { level: "info", title: "", url: "", actions: [] }]);
});

test("hostile values are refused, and the error names them", () => {
  /** @type {[unknown, unknown, RegExp][]} */
  const cases = [
    ...[undefined, null, 7, {}, [], Symbol("s")].map((message) => /** @type {[unknown, unknown, RegExp]} */ ([message, {}, /message is not a string/])),
    ["", {}, /message is empty/],
    ["x", { title: 1 }, /title is not a string/],
    ["x", { url: null }, /url is not a string/],
    ["x", { level: "fatal" }, /level is not one of debug, info/],
    ["x", { level: { __proto__: null } }, /level is not one of/],
    ["x", { actions: [null] }, /label is not a string/],
    ["x", { actions: "ab" }, /label is not a string/],
    ["x", { actions: [{ label: "Go" }] }, /url is not a string/],
    ["x", { actions: 5 }, /iterable/],
  ];
  for (const [message, options, expected] of cases) assert.throws(() => checked(message, options), expected);
});

test("an event asks for a toast by a text, an object, a list, and as htmx wraps what is no object", () => {
  const [text, one] = ["Saved", { message: "Saved", level: "success" }];
  const expected = [["Saved", {}]];
  assert.deepEqual(requested(text), expected);
  assert.deepEqual(requested({ value: text, elt: {} }), expected);
  assert.deepEqual(requested(one), [["Saved", one]]);
  assert.deepEqual(requested({ value: [text, one] }), [...expected, ["Saved", one]]);
  assert.deepEqual(requested([]), []);
  assert.deepEqual(requested({ ...one, value: 1 }), [["Saved", { ...one, value: 1 }]]);
  for (const hostile of [null, undefined, 7, {}, { value: null }]) assert.deepEqual(requested(hostile)[0][0], undefined);
});
