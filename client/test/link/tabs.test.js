import assert from "node:assert/strict";
import { test } from "node:test";
import { Tabs } from "../../src/link/tabs.js";
import { FakeBrowser } from "../kit/browser.js";
import { globals, settled } from "../kit/helpers.js";

function tab(user = "alice") {
  const tabs = new Tabs(user);
  /** @type {any[]} */
  const heard = [];
  /** @type {string[]} */
  const told = [];
  tabs.on("message", (message) => heard.push(message));
  tabs.open();
  const lead = (steal = false) => tabs.lead(() => told.push("won"), () => told.push("robbed"), steal);
  return { tabs, heard, told, lead };
}

test("what a tab posts all other tabs of its user hear, and nobody else", async () => {
  new FakeBrowser();
  const [one, two, three, bob] = [tab(), tab(), tab(), tab("bob")];
  one.tabs.post({ hello: true });
  await settled();
  assert.deepEqual([one, two, three, bob].map(({ heard }) => heard), [[], [{ hello: true }], [{ hello: true }], []]);
});

test("a closed tab hears and says nothing, until it is opened again", async () => {
  new FakeBrowser();
  const [one, two] = [tab(), tab()];
  two.tabs.close();
  one.tabs.post({ n: 1 });
  two.tabs.post({ n: 2 });
  two.tabs.open();
  one.tabs.post({ n: 3 });
  await settled();
  assert.deepEqual([one.heard, two.heard], [[], [{ n: 3 }]]);
});

test("one leads at a time, in the order of asking", async () => {
  new FakeBrowser();
  const tabs = [tab(), tab(), tab()];
  const [letGo] = tabs.map(({ lead }) => lead());
  await settled();
  assert.deepEqual(tabs.map(({ told }) => told), [["won"], [], []]);
  letGo();
  await settled();
  assert.deepEqual(tabs.map(({ told }) => told), [["won"], ["won"], []]);
});

test("who no longer waits does not get the lead", async () => {
  const browser = new FakeBrowser();
  const [one, two] = [tab(), tab()];
  const [first, second] = [one.lead(), two.lead()];
  await settled();
  second();
  first();
  await settled();
  assert.deepEqual([two.told, browser.interest], [[], 0]);
});

test("who lets go in the moment of winning does not lead", async () => {
  const browser = new FakeBrowser();
  const { told, lead } = tab();
  lead()();
  await settled();
  assert.deepEqual([told, browser.interest], [[], 0]);
});

test("the lead can be taken away, and who had it is told", async () => {
  new FakeBrowser();
  const [one, two, three] = [tab(), tab(), tab()];
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
  globals({ navigator: { locks: { request: async () => Promise.reject(new Error("SecurityError")) } } });
  const { told, lead } = tab();
  lead();
  await settled();
  assert.deepEqual(told, ["won"]);
});

test("tabs are together only where there are locks, a channel and a user", () => {
  const { Channel, locks } = new FakeBrowser();
  assert.equal(new Tabs("alice").together, true);
  assert.equal(new Tabs("").together, false);
  globals({ BroadcastChannel: undefined });
  assert.equal(new Tabs("alice").together, false);
  globals({ BroadcastChannel: Channel, navigator: {} });
  assert.equal(new Tabs("alice").together, false);
  globals({ navigator: { locks } });
});

test("where channels are forbidden each tab leads itself", async () => {
  new FakeBrowser();
  const refuses = class {
    constructor() {
      throw new Error("SecurityError");
    }
  };
  globals({ BroadcastChannel: refuses });
  const [one, two] = [tab(), tab()];
  one.tabs.post({ hello: true });
  for (const { lead } of [one, two]) lead();
  await settled();
  assert.deepEqual([one, two].map(({ heard, told }) => [heard, told]), [[[], ["won"]], [[], ["won"]]]);
});
