import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { PollTransport } from "../src/transports/poll.js";
import { WebSocketTransport } from "../src/transports/websocket.js";
import { at, changes, FakeFetch, FakePage, FakeWebSocket, settled } from "./helpers.js";

const src = "https://example.org/notify/";

/** @param {EventTarget} transport */
function log(transport) {
  /** @type {any[]} */
  const events = [];
  transport.addEventListener("open", () => events.push("open"));
  transport.addEventListener("message", (event) => events.push(/** @type {any} */ (event).data));
  transport.addEventListener("close", (event) => events.push([/** @type {any} */ (event).code, /** @type {any} */ (event).retryAfter]));
  return events;
}

beforeEach(() => {
  FakeWebSocket.all = [];
});

/** @param {string | null} cursor */
function socket(cursor = at(41), address = src) {
  const transport = new WebSocketTransport({ src: address, cursor: () => cursor, WebSocket: /** @type {any} */ (FakeWebSocket) });
  const events = log(transport);
  transport.open();
  return { transport, events, server: FakeWebSocket.last };
}

test("a socket asks from the cursor, or for a snapshot without one", () => {
  assert.equal(socket().server.url.href, `wss://example.org/notify/ws/?since=${encodeURIComponent(at(41))}`);
  assert.equal(socket(null).server.url.href, "wss://example.org/notify/ws/");
  assert.equal(socket(null, "http://localhost:8000/n/").server.url.href, "ws://localhost:8000/n/ws/");
});

test("a socket's life: open, message, close", () => {
  const { events, server } = socket();
  server.accept();
  server.say("text");
  server.end(4501);
  assert.deepEqual(events, ["open", "text", [4501, 0]]);
});

test("a document is sent only while the socket is open", () => {
  const { transport, server } = socket();
  assert.equal(transport.send('{"type":"ping"}'), false);
  server.accept();
  assert.equal(transport.send('{"type":"ping"}'), true);
  server.end(1006);
  assert.equal(transport.send('{"type":"ping"}'), false);
  assert.deepEqual(server.sent, [{ type: "ping" }]);
});

test("a socket that was closed says nothing more", () => {
  const { transport, events, server } = socket();
  server.accept();
  transport.close();
  server.say("late");
  server.end(1000);
  assert.deepEqual([events, server.closedWith], [["open"], 1000]);
});

test("a page that forbids sockets is like a socket that ends", async () => {
  const WebSocket = class {
    constructor() {
      throw new Error("SecurityError");
    }
  };
  const transport = new WebSocketTransport({ src, cursor: () => null, WebSocket: /** @type {any} */ (WebSocket) });
  const events = log(transport);
  transport.open();
  await settled();
  assert.deepEqual(events, [[1006, 0]]);
});

/** @param {import("node:test").TestContext} t */
function poll(t, { cursor = /** @type {string | null} */ (at(41)) } = {}) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  const [web, document] = [new FakeFetch(), new FakePage()];
  const state = { cursor };
  const transport = new PollTransport({ src, cursor: () => state.cursor, interval: 5, document, fetch: web.fetch, random: () => 0.5 });
  const events = log(transport);
  transport.open();
  return { transport, events, web, document, state, clock: t.mock.timers };
}

test("a poll asks with the session's cookie, for JSON, past every cache", (t) => {
  const { web } = poll(t);
  assert.equal(web.last.url.href, `${src}changes/?since=${encodeURIComponent(at(41))}`);
  const { signal, ...options } = web.last.options;
  assert.deepEqual(options, { credentials: "same-origin", headers: { Accept: "application/json" }, cache: "no-store" });
});

test("a poll without a cursor asks for a snapshot", (t) => {
  assert.equal(poll(t, { cursor: null }).web.last.url.href, `${src}changes/`);
});

test("the first answer opens, also when nothing is new; the next is asked for in its time", async (t) => {
  const { web, events, clock, state } = poll(t);
  await web.last.answer(204);
  assert.deepEqual(events, ["open"]);
  state.cursor = at(50);
  clock.tick(4_999);
  assert.equal(web.calls.length, 1);
  clock.tick(1);
  assert.equal(web.last.url.searchParams.get("since"), at(50));
  const document = changes(50, 51);
  await web.last.answer(200, document);
  assert.deepEqual(events, ["open", JSON.stringify(document)]);
});

test("one question at a time: what is asked meanwhile is asked after the answer", async (t) => {
  const { transport, web } = poll(t);
  transport.ask();
  transport.ask();
  assert.equal(web.calls.length, 1);
  await web.last.answer(204);
  assert.equal(web.calls.length, 2);
  await web.last.answer(204);
  assert.equal(web.calls.length, 2);
  transport.ask();
  assert.equal(web.calls.length, 3);
});

test("a hidden tab asks six times less often, and at once when it is looked at", async (t) => {
  const { web, document, clock } = poll(t);
  document.hidden = true;
  await web.last.answer(204);
  clock.tick(29_999);
  assert.equal(web.calls.length, 1);
  document.hidden = false;
  document.fire("visibilitychange");
  clock.tick(0);
  assert.equal(web.calls.length, 2);
  document.hidden = true;
  await web.last.answer(204);
  clock.tick(30_000);
  assert.equal(web.calls.length, 3);
});

for (const status of [401, 403]) {
  test(`${status} is the end for good`, async (t) => {
    const { web, events, clock } = poll(t);
    await web.last.answer(status, {});
    clock.tick(100_000);
    assert.deepEqual([events, web.calls.length], [[[4501, 0]], 1]);
  });
}

test("a failing server and a failing network end this life of the transport", async (t) => {
  const first = poll(t);
  await first.web.last.answer(500, "");
  assert.deepEqual(first.events, [[1006, 0]]);
  t.mock.timers.reset();
  const second = poll(t);
  await second.web.last.fail();
  assert.deepEqual(second.events, [[1006, 0]]);
});

test("Retry-After is passed on, in seconds and as a date", async (t) => {
  const first = poll(t);
  await first.web.last.answer(503, "", { "Retry-After": "120" });
  assert.deepEqual(first.events, [[1006, 120_000]]);
  t.mock.timers.reset();
  const second = poll(t);
  await second.web.last.answer(429, "", { "Retry-After": new Date(1_090_000).toUTCString() });
  assert.deepEqual(second.events, [[1006, 90_000]]);
});

test("a cursor that the server cannot read is asked for once, then a snapshot", async (t) => {
  const { web, events } = poll(t);
  await web.last.answer(400, {});
  assert.equal(web.last.url.href, `${src}changes/`);
  await web.last.answer(400, {});
  assert.deepEqual([events, web.calls.length], [[[1006, 0]], 2]);
});

test("a closed poll aborts its question and says nothing more", async (t) => {
  const { transport, web, events, clock } = poll(t);
  transport.close();
  assert.equal(web.last.options.signal.aborted, true);
  await settled();
  clock.tick(100_000);
  transport.ask();
  assert.deepEqual([events, web.calls.length], [[], 1]);
});

test("a poll that is closed by what it says asks no more", async (t) => {
  const { transport, web } = poll(t);
  transport.addEventListener("message", () => transport.close());
  transport.ask();
  await web.last.answer(200, changes(41, 42));
  assert.equal(web.calls.length, 1);
});

test("a question that hangs for half a minute is lost", async (t) => {
  const { web, events, clock } = poll(t);
  clock.tick(30_000);
  await settled();
  assert.equal(web.last.options.signal.aborted, true);
  assert.deepEqual(events, [[1006, 0]]);
});
