import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, fill, fillCount, labelsOf, levelName } from "../../src/platform/labels.js";

/** The labels of a root with this attribute. @param {string} json */
const labels = (json) => labelsOf(/** @type {any} */ ({ getAttribute: () => json }));

test("labels of the server replace ours, and invalid JSON leaves ours", () => {
  const texts = labels('{"notifications": "Mitteilungen"}');
  assert.deepEqual([texts.notifications, texts.dismiss], ["Mitteilungen", DEFAULTS.dismiss]);
  assert.deepEqual({ ...labels("{") }, DEFAULTS);
  assert.deepEqual({ ...labelsOf(null) }, DEFAULTS);
});

test("labels are filled in Django's way", () => {
  assert.equal(fill("%(count)s more of %(count)s", { count: 4 }), "4 more of 4");
  assert.equal(fill("%(other)s", { count: 4 }), "%(other)s");
  assert.equal(levelName(labels('{"warning": "Warnung"}'), "warning"), "Warnung");
  assert.equal(levelName(labelsOf(null), "constructor"), "constructor");
});

test("a number takes its form, and one above 199 that of its last two digits", () => {
  // As in Polish: 1, then 2 to 4 but not 12 to 14, then the others.
  const few = (/** @type {number} */ n) => n % 10 > 1 && n % 10 < 5 && Math.floor(n / 10) % 10 !== 1;
  const forms = Array.from({ length: 200 }, (_, n) => (n === 1 ? 2 : few(n) ? 1 : 0)).join("");
  const texts = labels(JSON.stringify({ forms, more: "many %(count)s", more1: "few %(count)s", more2: "one %(count)s" }));
  const of = (/** @type {number[]} */ ...counts) => counts.map((count) => fillCount(texts, "more", count));
  assert.deepEqual(of(0, 1, 2, 5, 12, 22), ["many 0", "one 1", "few 2", "many 5", "many 12", "few 22"]);
  assert.deepEqual(of(101, 201, 1_003, 1_013), ["many 101", "many 201", "few 1003", "many 1013"]);
  assert.equal(fillCount(texts, "new", 2), "2 new"); // its forms are equal
});

test("a number beyond the last form that was sent takes form 0, and without forms every number does", () => {
  const texts = labels('{"forms": "01", "more": "%(count)s others", "more1": "%(count)s other"}');
  assert.deepEqual([0, 1, 2, 200].map((count) => fillCount(texts, "more", count)), ["0 others", "1 other", "2 others", "200 others"]);
  assert.equal(fillCount(labels('{"more": "%(count)s weitere"}'), "more", 1), "1 weitere");
});
