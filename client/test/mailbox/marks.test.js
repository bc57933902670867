import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Client } from "../../src/mailbox/client.js";
import { FakeBrowser } from "../kit/browser.js";
import { clock } from "../kit/clock.js";
import { at, changes, EPOCH, FakeFetch, FakePage, FakeStorage, FakeWebSocket, globals, eventsOf, row, settled, snapshot, welcome } from "../kit/helpers.js";

beforeEach(() => {
  FakeWebSocket.all = [];
});

/** A tab of the same user, in the browser that was made last. */
function tab({ transports = ["websocket"], share = "" } = {}) {
  const [web, window, document] = [new FakeFetch(), new FakePage(), new FakePage()];
  globals({ fetch: web.fetch, WebSocket: FakeWebSocket, localStorage: new FakeStorage() });
  const client = new Client({
    ...{ src: "https://example.org/notify/", transports, window, document, pollInterval: 5, user: "alice", share },
    csrf: () => ({ cookie: "token", header: "X-CSRFToken", token: null }),
  });
  client.open();
  return { client, web, socket: FakeWebSocket.last, changes: eventsOf(client, "change"), ends: eventsOf(client, "disconnect") };
}

/** Two tabs that show notification 1. @param {import("node:test").TestContext} t */
function pair(t) {
  clock.start(t);
  const browser = new FakeBrowser();
  const tabs = [tab(), tab()];
  for (const { socket } of tabs) {
    socket.accept();
    socket.push(welcome(snapshot(41, [row(1, 41)])));
  }
  const [here, there] = tabs;
  return { browser, here, there, clock };
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
  assert.deepEqual(there.socket.sent, [], "only the tab that marked sends it to the server");
  assert.deepEqual(there.client.counts, { unseen: 1, unread: 1 }, "only the server counts");
});

test("a mark of everything shows in the other tab as well", async (t) => {
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
  here.socket.push({ type: "error", ref: 1, code: "bad_command", message: "" });
  await settled();
  assert.deepEqual([isRead(here), isRead(there)], [true, true]);
});

test("a refused mark is taken back in the other tab, and reported as refused", async (t) => {
  const { here, there } = pair(t);
  here.client.mark("read", here.client.store.all());
  await settled();
  here.socket.push({ type: "error", ref: 1, code: "bad_command", message: "" });
  await settled();
  assert.equal(isRead(there), false);
  assert.equal(there.changes.at(-1).refused, true);
});

test("a mark that is done stays until its document has come", async (t) => {
  const { here, there, clock } = pair(t);
  here.client.mark("read", here.client.store.all());
  here.socket.push({ type: "ack", ref: 1, cursor: at(42) });
  await settled();
  assert.equal(isRead(there), true);
  clock.tick(9_999);
  assert.equal(isRead(there), true);
  // It was marked unread again meanwhile.
  there.socket.push(changes(41, 43, [row(1, 43, { arrived: 41 })]));
  assert.equal(isRead(there), false);
});

test("a mark that is never answered is taken back, and is not reported as refused", async (t) => {
  const { here, there, clock } = pair(t);
  here.client.mark("read", here.client.store.all());
  await settled();
  clock.tick(10_000);
  assert.equal(isRead(there), false);
  assert.ok(!there.changes.at(-1).refused);
});

test("a mark on rows of another epoch is ignored", async (t) => {
  const { here, there } = pair(t);
  there.socket.push({ ...snapshot(41, [row(1, 41, { updated_at: "new" })]), cursor: `1${EPOCH.slice(1)}:41` });
  here.client.mark("read", here.client.store.all());
  await settled();
  assert.equal(isRead(there), false);
});

test("a closed tab receives no marks", async (t) => {
  const { browser, here, there } = pair(t);
  there.client.close();
  here.client.mark("read", here.client.store.all());
  await settled();
  assert.deepEqual([isRead(there), browser.channels.size], [false, 1]);
});

test("each tab has its own socket, unless they share it", async (t) => {
  clock.start(t);
  new FakeBrowser();
  tab();
  new FakeBrowser();
  const leader = tab({ transports: ["websocket", "poll"], share: "websocket" });
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.push(welcome(snapshot(41)));
  const follower = tab({ transports: ["websocket", "poll"], share: "websocket" });
  await settled();
  assert.equal(FakeWebSocket.all.length, 2);
  await follower.web.last.answer(200, snapshot(41));
  FakeWebSocket.last.push(changes(41, 42, [row(1, 42)]));
  await settled();
  for (const { client } of [leader, follower]) {
    assert.deepEqual([client.transport, client.store.cursor], ["websocket", at(42)]);
  }
});

test("a follower reads page after page until it has all", async (t) => {
  clock.start(t);
  new FakeBrowser();
  tab({ transports: ["websocket", "poll"], share: "websocket" });
  await settled();
  FakeWebSocket.last.accept();
  FakeWebSocket.last.push(welcome(snapshot(41)));
  const follower = tab({ transports: ["websocket", "poll"], share: "websocket" });
  follower.client.store._apply(snapshot(30), true);
  await settled();
  await follower.web.last.answer(200, changes(30, 40, [row(1, 40)], { head: 41 }));
  await settled();
  assert.equal(follower.web.last.url.searchParams.get("since"), at(40));
  await follower.web.last.answer(200, changes(40, 41));
  assert.equal(follower.client.store.complete, at(41));
  assert.deepEqual(follower.web.calls.map(({ url }) => url.searchParams.get("since")), [at(30), at(40), at(41)], "and the leader asked nothing");
});

test("a socket that opens later replaces the shared connection", async (t) => {
  clock.start(t);
  const browser = new FakeBrowser();
  const it = tab({ transports: ["websocket", "poll"] });
  it.socket.end(1006);
  await settled();
  await it.web.last.answer(200, snapshot(41));
  assert.deepEqual([it.client.transport, browser.interest], ["poll", 1]);
  clock.tick(2_000);
  FakeWebSocket.last.accept();
  FakeWebSocket.last.push(welcome(changes(41, 42)));
  await settled();
  assert.deepEqual([it.client.transport, it.client.store.cursor, browser.interest, it.ends], ["websocket", at(42), 0, []]);
});

test("what was shown up to a cursor is marked, and what came since stays new", (t) => {
  const { here } = pair(t);
  here.socket.push(changes(41, 44, [row(2, 42), row(3, 43), row(4, 44)]));
  const shown = here.client.store.all().filter(({ id }) => [1, 2, 3].includes(id));
  here.client.markAll("read", at(42), shown);
  const [{ type, cursor, ids }] = here.socket.sent;
  assert.deepEqual({ type, cursor, ids }, { type: "read_all", cursor: at(42), ids: [[3, 43]] });
  assert.deepEqual(here.client.store.all().filter((it) => it.read_at).map(({ id }) => id), [3, 2, 1]);
});

test("an action is sent as it was shown, and a refusal names the command", (t) => {
  const { here, there } = pair(t);
  const errors = eventsOf(here.client, "error");
  const ref = here.client.act(/** @type {any} */ (here.client.store.get(1)), 1);
  assert.deepEqual(here.socket.sent, [{ type: "act", ids: [[1, 41]], action: 1, epoch: EPOCH, ref }]);
  here.socket.push({ type: "error", ref, code: "gone", message: "It is too late." });
  assert.deepEqual(errors, [{ ref, code: "gone", message: "It is too late." }]);
  assert.deepEqual([here.changes.at(-1).notification.read_at, there.changes.at(-1).notification.read_at], [null, null], "nothing is shown before the server has acted");
});

test("an action whose answer is lost is sent again, under the same number", (t) => {
  const { here } = pair(t);
  const ref = here.client.act(/** @type {any} */ (here.client.store.get(1)), 0);
  here.socket.end(1006);
  clock.pass(2_000);
  FakeWebSocket.last.accept();
  FakeWebSocket.last.push(welcome(changes(41, 41)));
  assert.deepEqual(FakeWebSocket.last.sent.map(({ type, ref }) => [type, ref]), [["act", ref]]);
});
