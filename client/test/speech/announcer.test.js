import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS } from "../../src/platform/labels.js";
import { Announcer, announcement, summary } from "../../src/speech/announcer.js";
import { clock } from "../kit/clock.js";
import { globals, row } from "../kit/helpers.js";

test("the announcement: level, title, text, and that there are actions", () => {
  const labels = { ...DEFAULTS, info: "Information", error: "Error", success: "Success" };
  const of = (/** @type {any} */ more) => announcement(row(1, 1, more), labels);
  assert.equal(of({ message: "Saved" }), "Information: Saved.");
  assert.equal(of({ level: "error", title: "Import failed", message: "No date!" }), "Error: Import failed. No date!");
  assert.equal(of({ level: "success", title: "Done", message: "Look.", url: "/x/" }), "Success: Done. Look. Press F6 for actions.");
  assert.equal(of({ message: "完了しました。" }), "Information: 完了しました。");
  assert.equal(of({ message: "Undo?", actions: [{ label: "Undo", url: "/" }] }), "Information: Undo? Press F6 for actions.");
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
  clock.start(t);
  globals({ document });
  const subject = new Announcer();
  const [polite, assertive] = /** @type {FakeNode[]} */ (/** @type {unknown} */ ([subject._polite, subject._assertive]));
  return { subject, polite, assertive, clock };
}

test("the two live regions are there before the first text, and empty", (t) => {
  const { polite, assertive } = announcer(t);
  assert.deepEqual(polite.attributes, { class: "nf-sr", role: "status", "aria-live": "polite", "aria-atomic": "false" });
  assert.deepEqual(assertive.attributes, { class: "nf-sr", role: "alert", "aria-live": "assertive", "aria-atomic": "true" });
  assert.deepEqual([polite.children, assertive.textContent], [[], ""]);
});

test("polite texts are added, also the same text again, and removed after seven seconds", (t) => {
  const { subject, polite, clock } = announcer(t);
  subject.announce("Saved.");
  clock.tick(3_000);
  subject.announce("Saved.");
  assert.deepEqual(polite.children.map(({ textContent }) => textContent), ["Saved.", "Saved."]);
  clock.tick(4_000);
  assert.equal(polite.children.length, 1);
  clock.tick(3_000);
  assert.equal(polite.children.length, 0);
});

test("urgent texts clear the region, and follow after a pause, all of them", (t) => {
  const { subject, assertive, polite, clock } = announcer(t);
  subject.announce("One.", true);
  clock.tick(100);
  assert.equal(assertive.textContent, "One.");
  subject.announce("Two.", true);
  assert.equal(assertive.textContent, "");
  clock.tick(50);
  subject.announce("Three.", true);
  clock.tick(100);
  assert.deepEqual([assertive.textContent, polite.children], ["Two. Three.", []]);
});

test("a browser with ariaNotify() makes the announcement", (t) => {
  /** @type {any[]} */
  const announced = [];
  const document = { createElement: () => new FakeNode(), ariaNotify: (/** @type {any[]} */ ...args) => announced.push(args) };
  const { subject, polite } = announcer(t, document);
  subject.announce("Saved.");
  subject.announce("Failed.", true);
  assert.deepEqual(announced, [["Saved.", { priority: "normal" }], ["Failed.", { priority: "high" }]]);
  assert.equal(polite.children.length, 0);
});

test("many notifications are announced by their number", () => {
  assert.equal(summary(12, DEFAULTS), "Notifications: 12 new.");
});
