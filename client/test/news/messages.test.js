import assert from "node:assert/strict";
import { test } from "node:test";
import { globals, settled } from "../kit/helpers.js";

/** The events that were dispatched on the document. @type {any[]} */
let toasts;
let hasRoot = true;
/** @type {any} */
let Messages;

/** An entry of the list. */
class Item {
  removed = false;
  /**
   * @param {string} textContent
   * @param {Record<string, string>} attributes
   */
  constructor(textContent, attributes, childElementCount = 0) {
    Object.assign(this, { textContent, attributes, childElementCount });
    this.attributes = attributes;
  }
  getAttribute(/** @type {string} */ name) {
    return this.attributes[name] ?? null;
  }
  hasAttribute(/** @type {string} */ name) {
    return name in this.attributes;
  }
  removeAttribute(/** @type {string} */ name) {
    delete this.attributes[name];
  }
  remove() {
    this.removed = true;
  }
}

globals({
  HTMLElement: class {},
  customElements: { get: () => undefined, define: (/** @type {string} */ _, /** @type {any} */ made) => (Messages = made), whenDefined: async () => {} },
  document: {
    querySelector: () => (hasRoot ? {} : null),
    dispatchEvent: (/** @type {CustomEvent} */ { type, detail }) => toasts.push([type, detail]),
  },
});
const { defineMessages } = await import("../../src/news/messages.js");
defineMessages();

/**
 * Insert a list. Returns the texts that stay in it.
 * @param {Item[]} items
 */
async function insert(items, isConnected = true) {
  toasts = [];
  const list = new Messages();
  const left = () => items.filter(({ removed }) => !removed);
  Object.assign(list, {
    isConnected,
    querySelectorAll: () => left().filter((item) => item.hasAttribute("data-level")),
    querySelector: () => left()[0] ?? null,
    remove: () => (list.isConnected = false),
  });
  list.connectedCallback();
  await settled();
  return { list, left: left().map((item) => /** @type {any} */ (item).textContent) };
}

test("its messages become toasts, in order, and it is removed", async () => {
  const { list, left } = await insert([new Item("\n Saved ", { "data-level": "success" }), new Item("No", { "data-level": "error" })]);
  assert.deepEqual(toasts, [["notify:toast", [{ message: "Saved", level: "success" }, { message: "No", level: "error" }]]]);
  assert.deepEqual([list.isConnected, left], [false, []]);
});

test("those that are to stay inline are shown once, and stay", async () => {
  const items = [new Item("Saved", { "data-level": "success" }), new Item("No", { "data-level": "error", "data-inline": "" })];
  const { list, left } = await insert(items);
  assert.deepEqual([list.isConnected, left, toasts[0][1].length], [true, ["No"], 2]);
  await insert(items);
  assert.deepEqual(toasts, []);
});

test("markup stays in the list, as a toast is plain text", async () => {
  const { left } = await insert([new Item("Saved, see it", { "data-level": "success" }, 1)]);
  assert.deepEqual([left, toasts], [["Saved, see it"], []]);
});

test("without a root, or removed meanwhile, the list stays", async () => {
  hasRoot = false;
  assert.deepEqual([(await insert([new Item("Saved", { "data-level": "success" })])).left, toasts], [["Saved"], []]);
  hasRoot = true;
  assert.deepEqual([(await insert([new Item("Saved", { "data-level": "success" })], false)).left, toasts], [["Saved"], []]);
});
