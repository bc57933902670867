import assert from "node:assert/strict";
import { test } from "node:test";
import { drawAppBadge, drawTitle, play } from "../../src/news/outside.js";
import { clock } from "../kit/clock.js";
import { globals, settled } from "../kit/helpers.js";

/** @param {Record<string, string>} attributes @returns {any} */
const rootWith = (attributes) => ({ hasAttribute: (/** @type {string} */ name) => name in attributes, getAttribute: (/** @type {string} */ name) => attributes[name] ?? null });

test("the title of a hidden tab begins with the number, and is as before when the user is back", () => {
  const title = { textContent: "Orders" };
  const page = { hidden: false, querySelector: () => title };
  globals({ document: page });
  const root = rootWith({ "title-count": "" });
  const draw = (/** @type {boolean} */ hidden, /** @type {number} */ unseen, on = root) => {
    page.hidden = hidden;
    drawTitle(on, unseen);
    return title.textContent;
  };
  assert.equal(draw(true, 3, rootWith({})), "Orders", "off by default");
  assert.deepEqual([draw(false, 3), draw(true, 3), draw(true, 4), draw(true, 0), draw(true, 1), draw(false, 1)], ["Orders", "(3) Orders", "(4) Orders", "Orders", "(1) Orders", "Orders"]);
  draw(true, 2);
  title.textContent = "Order 7"; // another script
  assert.deepEqual([draw(false, 2), draw(true, 2), draw(false, 2)], ["Order 7", "(2) Order 7", "Order 7"]);
  globals({ document: { hidden: true, querySelector: () => null } });
  drawTitle(root, 1);
});

test("the icon of an app shows the number, if the page asks for it and the browser has it", async () => {
  /** @type {number[]} */
  const shown = [];
  const refuse = async (/** @type {number} */ count) => {
    shown.push(count);
    throw new Error("NotAllowedError");
  };
  globals({ navigator: { setAppBadge: refuse } });
  drawAppBadge(rootWith({}), 1);
  drawAppBadge(rootWith({ "app-badge": "" }), 2);
  await settled();
  assert.deepEqual(shown, [2]);
  globals({ navigator: {} });
  drawAppBadge(rootWith({ "app-badge": "" }), 3);
});

test("a sound is played in one tab, for a second at most, and not again for three seconds", async (t) => {
  clock.start(t);
  /** @type {string[]} */
  const heard = [];
  class FakeAudio {
    constructor(/** @type {string} */ source) {
      heard.push(source);
    }
    play() {
      return Promise.reject(new Error("NotAllowedError"));
    }
    pause() {
      heard.push("end");
    }
  }
  let taken = false;
  const request = async (/** @type {string} */ name, /** @type {any} */ options, /** @type {any} */ callback) => {
    assert.deepEqual([name, options], ["notify-sound", { ifAvailable: true }]);
    if (taken) return callback(null);
    taken = true;
    await callback({});
    taken = false;
  };
  const navigator = { locks: { request }, userActivation: { hasBeenActive: true } };
  globals({ navigator, Audio: FakeAudio });
  const root = rootWith({ sound: "/pling.ogg" });
  play(rootWith({}));
  play(root);
  play(root); // another tab, or another notification
  clock.pass(1_000);
  await settled();
  assert.deepEqual(heard, ["/pling.ogg", "end"]);
  clock.pass(2_000);
  await settled();
  play(root);
  assert.deepEqual(heard, ["/pling.ogg", "end", "/pling.ogg"]);
  clock.pass(3_000);
  await settled();
  navigator.userActivation.hasBeenActive = false;
  play(root);
  assert.equal(heard.length, 4, "the browser would refuse it");
});
