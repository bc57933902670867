import assert from "node:assert/strict";
import { test } from "node:test";
import { timeTexts } from "../../src/inbox/times.js";

const NOW = Date.parse("2026-11-22T12:00:00Z");

/** @param {number} seconds @param {string} [language] */
function ago(seconds, language = "en") {
  return timeTexts(new Date(NOW - 1_000 * seconds).toISOString(), language, NOW).ago;
}

test("a time is told in the largest unit that has passed", () => {
  assert.deepEqual([0, 59, 60, 3_599, 3_600, 86_400, 8 * 86_400, 40 * 86_400, 800 * 86_400].map((seconds) => ago(seconds)), [
    "now", "now", "1 minute ago", "59 minutes ago", "1 hour ago", "1 day ago", "1 week ago", "1 month ago", "2 years ago",
  ]);
});

test("a time that is ahead of this computer's clock is now", () => {
  assert.equal(ago(-90), "now");
});

test("a time is told in the language of the page", () => {
  assert.equal(ago(120, "fr"), "il y a 2 minutes");
  assert.match(timeTexts("2026-11-22T12:00:00Z", "de", NOW).exact, /22\.11\.2026/);
  assert.match(ago(120, "not a language"), /2/);
});
