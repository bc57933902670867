import assert from "node:assert/strict";
import { test } from "node:test";
import "../kit/html-element.js";
import { badgeText } from "../../src/page/badge.js";
import { DEFAULTS } from "../../src/platform/labels.js";

test("the badge shows at most 99+, and its name has the exact count", () => {
  const of = (/** @type {number} */ count) => Object.values(badgeText(count, DEFAULTS));
  assert.deepEqual([of(0), of(3), of(99), of(100)], [
    ["0", "Notifications"],
    ["3", "Notifications, 3 new"],
    ["99", "Notifications, 99 new"],
    ["99+", "Notifications, 100 new"],
  ]);
});
