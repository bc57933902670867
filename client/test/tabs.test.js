import assert from "node:assert/strict";
import { test } from "node:test";
import { Tabs } from "../src/tabs.js";
import { FakeBrowser } from "./browser.js";
import { settled } from "./helpers.js";

/** @param {FakeBrowser} browser */
function tab(browser, user = "alice") {
  const tabs = new Tabs({ user, locks: browser.locks, Channel: browser.Channel });
  /** @type {any[]} */
  const heard = [];
  /** @type {string[]} */
  const told = [];
  tabs.addEventListener("message", (event) => heard.push(/** @type {MessageEvent} */ (event).data));
  tabs.open();
  const lead = (steal = false) => tabs.lead(() => told.push("won"), () => told.push("robbed"), steal);
  return { tabs, heard, told, lead };
}

test("what a tab posts all other tabs of its user hear, and nobody else", async () => {
  const browser = new FakeBrowser();
  const [one, two, three, bob] = [tab(browser), tab(browser), tab(browser), tab(browser, "bob")];
  one.tabs.post({ hello: true });
  await settled();
  assert.deepEqual([one, two, three, bob].map(({ heard }) => heard), [[], [{ hello: true }], [{ hello: true }], []]);
});

test("a closed tab hears and says nothing, until it is opened again", async () => {
  const browser = new FakeBrowser();
  const [one, two] = [tab(browser), tab(browser)];
  two.tabs.close();
  one.tabs.post({ n: 1 });
  two.tabs.post({ n: 2 });
  two.tabs.open();
  one.tabs.post({ n: 3 });
  await settled();
  assert.deepEqual([one.heard, two.heard], [[], [{ n: 3 }]]);
});

test("one leads at a time, in the order of asking", async () => {
  const browser = new FakeBrowser();
  const tabs = [tab(browser), tab(browser), tab(browser)];
  const [letGo] = tabs.map(({ lead }) => lead());
  await settled();
  assert.deepEqual(tabs.map(({ told }) => told), [["won"], [], []]);
  letGo();
  await settled();
  assert.deepEqual(tabs.map(({ told }) => told), [["won"], ["won"], []]);
});

test("who no longer waits does not get the lead", async () => {
  const browser = new FakeBrowser();
  const [one, two] = [tab(browser), tab(browser)];
  const [first, second] = [one.lead(), two.lead()];
  await settled();
  second();
  first();
  await settled();
  assert.deepEqual([two.told, browser.interest], [[], 0]);
});

test("who lets go in the moment of winning does not lead", async () => {
  const browser = new FakeBrowser();
  const { told, lead } = tab(browser);
  lead()();
  await settled();
  assert.deepEqual([told, browser.interest], [[], 0]);
});

test("the lead can be taken away, and who had it is told", async () => {
  const browser = new FakeBrowser();
  const [one, two, three] = [tab(browser), tab(browser), tab(browser)];
  one.lead();
  two.lead();
  await settled();
  const letGo = three.lead(true);
  await settled();
  assert.deepEqual([one.told, two.told, three.told], [["won", "robbed"], [], ["won"]]);
  letGo();
  await settled();
  assert.deepEqual(two.told, ["won"]);
});

test("where locks are forbidden a tab leads itself", async () => {
  const locks = /** @type {any} */ ({ request: async () => Promise.reject(new Error("SecurityError")) });
  const { told, lead } = tab(/** @type {any} */ ({ ...new FakeBrowser(), locks }));
  lead();
  await settled();
  assert.deepEqual(told, ["won"]);
});

test("tabs are together only where there are locks, a channel and a user", () => {
  const browser = new FakeBrowser();
  const refuses = class {
    constructor() {
      throw new Error("SecurityError");
    }
  };
  const together = (/** @type {any} */ options) => {
    const tabs = new Tabs({ user: "alice", locks: browser.locks, Channel: browser.Channel, ...options });
    tabs.open();
    tabs.post({ hello: true });
    return tabs.together;
  };
  assert.equal(together({}), true);
  assert.equal(together({ user: "" }), false);
  assert.equal(together({ Channel: refuses }), false);
  assert.equal(together({ locks: null }), false);
});
