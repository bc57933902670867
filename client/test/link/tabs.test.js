import assert from "node:assert/strict";
import { test } from "node:test";
import { Tabs } from "../../src/link/tabs.js";
import { FakeBrowser } from "../kit/browser.js";
import { globals, settled } from "../kit/helpers.js";

function tab(user = "alice") {
  const tabs = new Tabs(user);
  /** @type {any[]} */
  const received = [];
  /** @type {string[]} */
  const roles = [];
  tabs.on("message", (message) => received.push(message));
  tabs.open();
  const lead = (steal = false) => tabs._lead(() => roles.push("won"), () => roles.push("robbed"), steal);
  return { tabs, received, roles, lead };
}

test("a message that a tab posts reaches all other tabs of its user, and no others", async () => {
  new FakeBrowser();
  const [one, two, three, bob] = [tab(), tab(), tab(), tab("bob")];
  one.tabs.post({ hello: true });
  await settled();
  assert.deepEqual([one, two, three, bob].map(({ received }) => received), [[], [{ hello: true }], [{ hello: true }], []]);
});

test("a closed tab receives and posts nothing, until it is opened again", async () => {
  new FakeBrowser();
  const [one, two] = [tab(), tab()];
  two.tabs.close();
  one.tabs.post({ n: 1 });
  two.tabs.post({ n: 2 });
  two.tabs.open();
  one.tabs.post({ n: 3 });
  await settled();
  assert.deepEqual([one.received, two.received], [[], [{ n: 3 }]]);
});

test("one tab leads at a time, in the order of asking", async () => {
  new FakeBrowser();
  const tabs = [tab(), tab(), tab()];
  const [letGo] = tabs.map(({ lead }) => lead());
  await settled();
  assert.deepEqual(tabs.map(({ roles }) => roles), [["won"], [], []]);
  letGo();
  await settled();
  assert.deepEqual(tabs.map(({ roles }) => roles), [["won"], ["won"], []]);
});

test("a tab that no longer waits does not get the lead", async () => {
  const browser = new FakeBrowser();
  const [one, two] = [tab(), tab()];
  const [first, second] = [one.lead(), two.lead()];
  await settled();
  second();
  first();
  await settled();
  assert.deepEqual([two.roles, browser.interest], [[], 0]);
});

test("a tab that stops waiting at the moment of winning does not lead", async () => {
  const browser = new FakeBrowser();
  const { roles, lead } = tab();
  lead()();
  await settled();
  assert.deepEqual([roles, browser.interest], [[], 0]);
});

test("the lead can be taken away, and the tab that had it is notified", async () => {
  new FakeBrowser();
  const [one, two, three] = [tab(), tab(), tab()];
  one.lead();
  two.lead();
  await settled();
  const letGo = three.lead(true);
  await settled();
  assert.deepEqual([one.roles, two.roles, three.roles], [["won", "robbed"], [], ["won"]]);
  letGo();
  await settled();
  assert.deepEqual(two.roles, ["won"]);
});

test("if locks are forbidden, a tab leads itself", async () => {
  globals({ navigator: { locks: { request: async () => Promise.reject(new Error("SecurityError")) } } });
  const { roles, lead } = tab();
  lead();
  await settled();
  assert.deepEqual(roles, ["won"]);
});

test("tabs are together only where there are locks, a channel and a user", () => {
  const { Channel, locks } = new FakeBrowser();
  assert.equal(new Tabs("alice")._together, true);
  assert.equal(new Tabs("")._together, false);
  globals({ BroadcastChannel: undefined });
  assert.equal(new Tabs("alice")._together, false);
  globals({ BroadcastChannel: Channel, navigator: {} });
  assert.equal(new Tabs("alice")._together, false);
  globals({ navigator: { locks } });
});

test("if channels are forbidden, each tab leads itself", async () => {
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
  assert.deepEqual([one, two].map(({ received, roles }) => [received, roles]), [[[], ["won"]], [[], ["won"]]]);
});
