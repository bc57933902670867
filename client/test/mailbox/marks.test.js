import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Client } from "../../src/mailbox/client.js";
import { FakeBrowser } from "../kit/browser.js";
import { at, changes, EPOCH, FakeFetch, FakePage, FakeStorage, FakeWebSocket, globals, heard, row, settled, snapshot, welcome } from "../kit/helpers.js";

beforeEach(() => {
  FakeWebSocket.all = [];
});

/** A tab of the same user in the browser made last. */
function tab({ transports = ["websocket"], share = "" } = {}) {
  const [web, window, document] = [new FakeFetch(), new FakePage(), new FakePage()];
  globals({ fetch: web.fetch, WebSocket: FakeWebSocket, localStorage: new FakeStorage() });
  const client = new Client({
    ...{ src: "https://example.org/notify/", transports, window, document, pollInterval: 5, user: "alice", share },
    csrf: () => ({ cookie: "token", header: "X-CSRFToken", token: null }),
  });
  client.open();
  return { client, web, socket: FakeWebSocket.last, changes: heard(client, "change"), ends: heard(client, "disconnect") };
}

/** Two tabs that show notification 1. @param {import("node:test").TestContext} t */
function pair(t) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const browser = new FakeBrowser();
  const tabs = [tab(), tab()];
  for (const { socket } of tabs) {
    socket.accept();
    socket.say(welcome(snapshot(41, [row(1, 41)])));
  }
  const [here, there] = tabs;
  return { browser, here, there, clock: t.mock.timers };
}

/** @param {{client: Client}} tab */
function isRead({ client }) {
  return Boolean(client.store.get(1)?.read_at);
}

test("a mark shows in the other tab before the server has answered", async (t) => {
  const { here, there } = pair(t);
  here.client.mark("read", here.client.store.all());
  await settled();
  assert.deepEqual([isRead(here), isRead(there)], [true, true]);
  assert.deepEqual(there.socket.sent, [], "who marked is who tells the server");
  assert.deepEqual(there.client.counts, { unseen: 1, unread: 1 }, "only the server counts");
});

test("so does a mark of everything", async (t) => {
  const { here, there } = pair(t);
  here.client.markAll("read");
  await settled();
  assert.equal(isRead(there), true);
});

test("marks of several tabs do not get in each other's way", async (t) => {
  const { here, there } = pair(t);
  here.client.mark("seen", here.client.store.all());
  there.client.mark("read", there.client.store.all());
  await settled();
  here.socket.say({ type: "error", ref: 1, code: "too_many", message: "" });
  await settled();
  assert.deepEqual([isRead(here), isRead(there)], [true, true]);
});

test("a refused mark is taken back in the other tab, and said to be refused", async (t) => {
  const { here, there } = pair(t);
  here.client.mark("read", here.client.store.all());
  await settled();
  here.socket.say({ type: "error", ref: 1, code: "too_many", message: "" });
  await settled();
  assert.equal(isRead(there), false);
  assert.equal(there.changes.at(-1).refused, true);
});

test("a mark that is done stays until its document has come", async (t) => {
  const { here, there, clock } = pair(t);
  here.client.mark("read", here.client.store.all());
  here.socket.say({ type: "ack", ref: 1, cursor: at(42) });
  await settled();
  assert.equal(isRead(there), true);
  clock.tick(9_999);
  assert.equal(isRead(there), true);
  // Somebody has marked it unread since.
  there.socket.say(changes(41, 43, [row(1, 43, { arrived: 41 })]));
  assert.equal(isRead(there), false);
});

test("a mark of which nobody hears any more is taken back, and is not said to be refused", async (t) => {
  const { here, there, clock } = pair(t);
  here.client.mark("read", here.client.store.all());
  await settled();
  clock.tick(10_000);
  assert.equal(isRead(there), false);
  assert.ok(!there.changes.at(-1).refused);
});

test("a mark on rows of another epoch is not taken", async (t) => {
  const { here, there } = pair(t);
  there.socket.say({ ...snapshot(41, [row(1, 41, { updated_at: "new" })]), cursor: `1${EPOCH.slice(1)}:41` });
  here.client.mark("read", here.client.store.all());
  await settled();
  assert.equal(isRead(there), false);
});

test("a closed tab hears no marks", async (t) => {
  const { browser, here, there } = pair(t);
  there.client.close();
  here.client.mark("read", here.client.store.all());
  await settled();
  assert.deepEqual([isRead(there), browser.channels.size], [false, 1]);
});

test("each tab has its own socket, unless they share it", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  new FakeBrowser();
  tab();
  new FakeBrowser();
  const leader = tab({ transports: ["websocket", "poll"], share: "websocket" });
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome(snapshot(41)));
  const follower = tab({ transports: ["websocket", "poll"], share: "websocket" });
  await settled();
  assert.equal(FakeWebSocket.all.length, 2);
  await follower.web.last.answer(200, snapshot(41));
  FakeWebSocket.last.say(changes(41, 42, [row(1, 42)]));
  await settled();
  for (const { client } of [leader, follower]) {
    assert.deepEqual([client.transport, client.store.cursor], ["websocket", at(42)]);
  }
});

test("a follower reads page after page until it has all", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  new FakeBrowser();
  tab({ transports: ["websocket", "poll"], share: "websocket" });
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome(snapshot(41)));
  const follower = tab({ transports: ["websocket", "poll"], share: "websocket" });
  follower.client.store.apply(snapshot(30), { authoritative: true });
  await settled();
  await follower.web.last.answer(200, changes(30, 40, [row(1, 40)], { head: 41 }));
  await settled();
  assert.equal(follower.web.last.url.searchParams.get("since"), at(40));
  await follower.web.last.answer(200, changes(40, 41));
  assert.equal(follower.client.store.complete, at(41));
  assert.deepEqual(follower.web.calls.map(({ url }) => url.searchParams.get("since")), [at(30), at(40), at(41)], "and the leader asked nothing");
});

test("a socket that comes is used instead of what is shared", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const browser = new FakeBrowser();
  const it = tab({ transports: ["websocket", "poll"] });
  it.socket.end(1006);
  await settled();
  await it.web.last.answer(200, snapshot(41));
  assert.deepEqual([it.client.transport, browser.interest], ["poll", 1]);
  t.mock.timers.tick(2_000);
  FakeWebSocket.last.accept();
  FakeWebSocket.last.say(welcome(changes(41, 42)));
  await settled();
  assert.deepEqual([it.client.transport, it.client.store.cursor, browser.interest, it.ends], ["websocket", at(42), 0, []]);
});
